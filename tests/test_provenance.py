"""Records: frozen, deterministic, whole on the disk or not there."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from workbench import provenance
from workbench.errors import InputError, StorageError
from workbench.provenance import FileRecord, Record, dump_json, weights_digest, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


class Example(Record):
    """A record with a number that may be missing."""

    value: float | None
    text: str = ""


@pytest.fixture
def record() -> FileRecord:
    return FileRecord(name="config.json", bytes=3, sha256="0" * 64)


def test_a_record_comes_back_as_it_was_written(record: FileRecord, tmp_path: Path) -> None:
    record.write(tmp_path / "new/folder/record.json")
    assert FileRecord.read(tmp_path / "new/folder/record.json") == record


def test_a_record_is_frozen_and_knows_its_fields(record: FileRecord) -> None:
    with pytest.raises(ValidationError):
        record.name = "other"  # type: ignore[misc]  # the error is what is tested
    with pytest.raises(ValidationError):
        FileRecord.model_validate(record.model_dump() | {"extra": 1})


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"name": 1}', b"\xff", b'{"extra": 1}'])
def test_a_file_that_is_no_such_record(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_bytes(content)
    with pytest.raises(InputError, match=r"not a FileRecord record: .*It was altered"):
        FileRecord.read(tmp_path / "record.json")


def test_a_record_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read \(No such file or directory\)"):
        FileRecord.read(tmp_path / "record.json")


@given(JSON)
def test_json_is_strict_and_stable(value: Any) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    once = dump_json(value)
    assert dump_json(json.loads(once, parse_constant=refuse)) == once
    once.encode()


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_json_does_not_depend_on_the_order(value: dict[str, int]) -> None:
    assert dump_json(value) == dump_json(dict(reversed(value.items())))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, "null\n"),
        (-math.inf, "null\n"),
        (-0.0, "0.0\n"),
        (0.1 + 0.2, "0.3\n"),
        (True, "true\n"),
        (12345678901234567890, "12345678901234567890\n"),
        ("\ud800 é", '"\\ud800 é"\n'),
        ((), "[]\n"),
    ],
)
def test_json_of(value: Any, text: str) -> None:
    assert dump_json(value) == text


def test_what_is_undefined_is_missing_on_the_disk(tmp_path: Path) -> None:
    Example(value=math.nan).write(tmp_path / "record.json")
    assert Example.read(tmp_path / "record.json").value is None


def test_a_weights_digest_does_not_depend_on_the_order(record: FileRecord) -> None:
    other = record.model_copy(update={"name": "a", "sha256": "1" * 64})
    digest = weights_digest([record, other])
    assert digest == weights_digest((other, record))
    lines = "0" * 64 + "  config.json\n" + "1" * 64 + "  a\n"
    assert digest == hashlib.sha256(lines.encode()).hexdigest()
    assert digest != weights_digest([record])


def test_sha256_of_a_file(tmp_path: Path) -> None:
    content = bytes(3_000_001)
    (tmp_path / "file").write_bytes(content)
    assert provenance.sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_writing_leaves_one_file_that_all_may_read(tmp_path: Path) -> None:
    for content in (b"old", b"new"):
        write_atomically(tmp_path / "file", content)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"new"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("error", "raised", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left"), StorageError, "the disk is full"),
        (OSError(errno.EROFS, "Read-only"), StorageError, r"cannot be written \(Read-only\)"),
        (KeyboardInterrupt("Ctrl-C"), KeyboardInterrupt, "Ctrl-C"),
    ],
)
def test_an_interrupted_write_leaves_the_old_file(
    error: BaseException,
    raised: type[BaseException],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_atomically(tmp_path / "file", b"old")

    def fail(_: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(raised, match=reason):
        write_atomically(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="--out"):
        write_atomically(tmp_path / "file/record.json", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="cannot be written"):
        write_atomically(tmp_path / "folder", b"")


def test_the_host_names_no_person_and_no_place() -> None:
    found = provenance.host("an accelerator")
    assert found.accelerator == "an accelerator"
    assert found.memory_bytes > 0
    assert os.uname().nodename not in found.model_dump_json()


def test_versions_are_of_installed_packages() -> None:
    versions = provenance.package_versions()
    assert versions["numpy"].count(".") >= 1
    assert set(versions) <= set(provenance.PACKAGES)
    assert provenance.code_version()
