from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from workbench.audit.manifest import MANIFEST, verify_run, write_manifest
from workbench.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    (run / "sections" / "bias").mkdir(parents=True)
    (run / "report.html").write_text("<p>report</p>")
    (run / "sections" / "bias" / "findings.json").write_text("{}")
    (run / "sections" / "bias" / "empty.parquet").touch()
    write_manifest(run)
    return run


def differences(run: Path) -> list[tuple[str, str]]:
    return [(difference.path, difference.what) for difference in verify_run(run)]


def manifest(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / MANIFEST).read_text())
    return content


def test_every_file_is_listed_with_its_digest_and_size(run: Path) -> None:
    content = manifest(run)
    assert content["schema"] == 1
    assert content["files"] == [
        {
            "name": name,
            "bytes": len((run / name).read_bytes()),
            "sha256": hashlib.sha256((run / name).read_bytes()).hexdigest(),
        }
        for name in (
            "report.html",
            "sections/bias/empty.parquet",
            "sections/bias/findings.json",
        )
    ]


def test_an_untouched_run_has_no_differences(run: Path) -> None:
    assert differences(run) == []


def test_a_manifest_written_again_is_equal(run: Path) -> None:
    before = (run / MANIFEST).read_bytes()
    write_manifest(run)
    assert (run / MANIFEST).read_bytes() == before


def test_what_changed_went_and_came_is_named(run: Path) -> None:
    (run / "report.html").write_text("<p>report!</p>")
    (run / "sections" / "bias" / "findings.json").unlink()
    (run / "sections" / "bias" / "empty.parquet").write_bytes(b"\0")
    (run / "sections" / "new").mkdir()
    (run / "sections" / "new" / "file").touch()
    (run / ".hidden").touch()
    assert differences(run) == [
        ("report.html", "changed"),
        ("sections/bias/empty.parquet", "changed"),
        ("sections/bias/findings.json", "missing"),
        (".hidden", "added"),
        ("sections/new/file", "added"),
    ]


def test_a_file_of_equal_length_is_seen_to_differ(run: Path) -> None:
    (run / "report.html").write_text("<p>tropér</p>"[:13])
    assert ("report.html", "changed") in differences(run)


@pytest.mark.parametrize("name", ["../secret", "sections/../../secret", "{}/secret"])
def test_a_path_out_of_the_run_is_never_read(run: Path, name: str) -> None:
    name = name.format(run.parent)
    (run.parent / "secret").write_text("secret")
    content = manifest(run)
    digest = hashlib.sha256(b"secret").hexdigest()
    content["files"].append({"name": name, "bytes": 6, "sha256": digest})
    (run / MANIFEST).write_text(json.dumps(content))
    assert differences(run) == [(name, "outside the run")]


def test_a_file_replaced_by_a_link_is_missing(run: Path) -> None:
    outside = run.parent / "report.html"
    (run / "report.html").rename(outside)
    (run / "report.html").symlink_to(outside)
    assert differences(run) == [("report.html", "missing")]


def test_an_added_link_is_no_file_of_the_run(run: Path) -> None:
    (run / "link").symlink_to(run.parent)
    assert differences(run) == []


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no manifest\.json; expected the folder of"):
        verify_run(tmp_path)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"schema": 2, "files": []}', '{"files": [{"name": 1}]}']
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(InputError, match="not a Manifest record"):
        verify_run(tmp_path)
