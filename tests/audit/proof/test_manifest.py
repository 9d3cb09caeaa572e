from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_run import small_run

from workbench.audit.proof import manifest as manifests
from workbench.audit.proof.manifest import MANIFEST, verify_run, write_manifest
from workbench.audit.proof.statement import PREDICATE, STATEMENT
from workbench.audit.records.folder import SIGNATURE
from workbench.errors import InputError
from workbench.provenance import dump_json


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


def reason(run: Path) -> str:
    (difference,) = verify_run(run)
    return difference.reason


def manifest(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / MANIFEST).read_text())
    return content


def rewrite(run: Path, content: Any) -> None:
    (run / MANIFEST).write_text(dump_json(content))


# What it says.


def test_every_file_is_a_subject_with_its_digest(run: Path) -> None:
    content = manifest(run)
    assert content["subject"] == [
        {"name": name, "digest": {"sha256": hashlib.sha256((run / name).read_bytes()).hexdigest()}}
        for name in (
            "report.html",
            "sections/bias/empty.parquet",
            "sections/bias/findings.json",
        )
    ]


def test_it_is_a_statement_by_the_rules_of_its_specification(tmp_path: Path) -> None:
    """The rules of `spec/v1/statement.md`, `digest_set.md` and `field_types.md`."""
    run = small_run(tmp_path / "run")
    write_manifest(run)
    content = manifest(run)
    assert set(content) == {"_type", "subject", "predicateType", "predicate"}
    assert content["_type"] == "https://in-toto.io/Statement/v1" == STATEMENT
    # A type is a URI (RFC 3986), its scheme in small letters, with a version.
    assert re.fullmatch(r"[a-z][a-z0-9+.-]*:[^\s]+/v[0-9]+", content["predicateType"])
    assert isinstance(content["predicate"], dict)
    names = [subject["name"] for subject in content["subject"]]
    assert len(set(names)) == len(names)
    assert all(
        re.fullmatch("[0-9a-f]{64}", subject["digest"]["sha256"]) for subject in content["subject"]
    )
    created = content["predicate"]["run"]["createdOn"]
    assert created.endswith("Z")
    assert datetime.fromisoformat(created).isoformat() == "2026-11-21T04:05:00+00:00"


def test_the_predicate_says_what_the_run_was(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run")
    (run / "findings.json").write_text('{"schema": 1, "findings": []}')
    attempts = [{"ended": "2026-11-21T05:06:07+01:00"}]
    (run / "status.json").write_text(json.dumps({"state": "incomplete", "attempts": attempts}))
    write_manifest(run)
    audit = json.loads((run / "audit.json").read_text())
    said = manifest(run)["predicate"]
    assert said["run"] == {
        "id": "20261121T040500Z-1a2b3c",
        "createdOn": "2026-11-21T04:05:00Z",
        "finishedOn": "2026-11-21T04:06:07Z",
        "state": "incomplete",
    }
    assert said["model"]["name"] == "organism:planted"
    assert re.fullmatch("[0-9a-f]{64}", said["model"]["weightsDigest"])
    definition = hashlib.sha256(dump_json(audit["definition"]).encode()).hexdigest()
    assert said["definition"] == {
        "name": "quick",
        "version": "1.0",
        "digest": {"sha256": definition},
    }
    findings = hashlib.sha256((run / "findings.json").read_bytes()).hexdigest()
    assert said["findings"] == {"digest": {"sha256": findings}}
    assert said["workbench"] == {"version": "0.1.0"}


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"created": 3, "definition": [], "run_id": {}}',
        '{"created": "2026-13-40"}',
        '{"created": "2026-11-21T04:05:00"}',
        f'{{"definition": {{"a": {"[" * 600}{"]" * 600}}}}}',
    ],
)
def test_records_that_cannot_be_read_are_left_out_of_the_predicate(run: Path, content: str) -> None:
    for name in ("audit.json", "provenance.json", "status.json"):
        (run / name).write_text(content)
    write_manifest(run)
    said = manifest(run)["predicate"]
    assert said["run"] == dict.fromkeys(said["run"])
    assert said["definition"]["digest"] == {}
    assert said["findings"] == {"digest": {}}
    assert differences(run) == []


def test_a_manifest_written_again_is_equal(run: Path) -> None:
    before = (run / MANIFEST).read_bytes()
    write_manifest(run)
    assert (run / MANIFEST).read_bytes() == before


# What it finds.


def test_an_untouched_run_has_no_differences(run: Path) -> None:
    assert differences(run) == []


def test_a_run_that_was_moved_has_none_either(run: Path, tmp_path: Path) -> None:
    assert differences(Path(shutil.copytree(run, tmp_path / "elsewhere"))) == []


def test_the_signature_is_no_subject(run: Path) -> None:
    (run / SIGNATURE).write_text("{}")
    assert differences(run) == []


def test_what_changed_went_and_came_is_named(run: Path) -> None:
    (run / "report.html").write_text("<p>report!</p>")
    (run / "sections" / "bias" / "findings.json").unlink()
    (run / "sections" / "bias" / "empty.parquet").write_bytes(b"\0")
    (run / "sections" / "new").mkdir()
    (run / "sections" / "new" / "file").touch()
    (run / ".hidden").touch()
    # The same names deeper in the run are files like any other.
    (run / "sections" / MANIFEST).touch()
    (run / "sections" / SIGNATURE).touch()
    assert differences(run) == [
        ("report.html", "changed"),
        ("sections/bias/empty.parquet", "changed"),
        ("sections/bias/findings.json", "missing"),
        (".hidden", "added"),
        ("sections/manifest.dsse.json", "added"),
        ("sections/manifest.json", "added"),
        ("sections/new/file", "added"),
    ]


def test_a_file_of_equal_length_is_seen_to_differ(run: Path) -> None:
    (run / "report.html").write_text("<p>tropér</p>"[:13])
    assert ("report.html", "changed") in differences(run)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = small_run(tmp_path_factory.mktemp("whole") / "run")
    write_manifest(run)
    return run


@settings(max_examples=150, deadline=None, database=None)
@given(data=st.data())
def test_a_single_byte_that_differs_in_any_file_is_found(whole: Path, data: st.DataObject) -> None:
    files = sorted(path for path in whole.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    before = path.read_bytes()
    place = data.draw(st.integers(0, len(before) - 1))
    flipped = before[place] ^ data.draw(st.integers(1, 255))
    path.write_bytes(before[:place] + bytes([flipped]) + before[place + 1 :])
    name = path.relative_to(whole).as_posix()
    try:
        found = [difference.path for difference in verify_run(whole)]
        # A byte of the manifest can also be a byte of what it says of a file.
        assert found == [name] or (name == MANIFEST and found)
    except InputError as refused:
        assert name == MANIFEST
        assert "newer version" in str(refused)  # noqa: PT017 - the byte was the version's
    finally:
        path.write_bytes(before)


# A manifest that somebody wrote.


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "sections/../../secret",
        "{}/secret",
        "..\\secret",
        "C:/secret",
        "C:\\secret",
        "./report.html",
        "sections//bias",
        "",
        ".",
        "report.html/",
        "nul\0",
    ],
)
def test_a_path_out_of_the_run_is_never_read(run: Path, name: str) -> None:
    name = name.format(run.parent)
    (run.parent / "secret").write_text("secret")
    content = manifest(run)
    digest = hashlib.sha256(b"secret").hexdigest()
    content["subject"].append({"name": name, "digest": {"sha256": digest}})
    rewrite(run, content)
    assert differences(run) == [(name, "outside the run")]


def test_a_path_that_stands_there_twice_is_named(run: Path) -> None:
    content = manifest(run)
    content["subject"].append(content["subject"][0])
    rewrite(run, content)
    assert differences(run) == [("report.html", "listed twice")]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text + "\n",
        lambda text: json.dumps(json.loads(text)),
        lambda text: text.replace('"id": null', '"id": "another"'),
        lambda text: text.replace('"_type"', '"extra": 1, "_type"'),
    ],
)
def test_a_manifest_that_says_more_or_says_it_otherwise_has_changed(run: Path, change: Any) -> None:
    before = (run / MANIFEST).read_text()
    (run / MANIFEST).write_bytes(change(before).encode())
    assert (run / MANIFEST).read_bytes() != before.encode()
    assert differences(run) == [(MANIFEST, "changed")]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"a": 1, "a": 2}', "not valid JSON"),
        ("\udcff", "not valid JSON"),
        ("[]", "not a JSON object"),
        ("{}", "not an in-toto statement about a run"),
        ('{"_type": 3, "predicateType": []}', "not an in-toto statement about a run"),
        ('{"schema": 1, "files": []}', "not an in-toto statement about a run"),
    ],
)
def test_a_manifest_that_is_none_has_changed(run: Path, content: str, why: str) -> None:
    (run / MANIFEST).write_bytes(content.encode("utf-8", "surrogateescape"))
    assert differences(run) == [(MANIFEST, "changed")]
    assert why in reason(run)


@pytest.mark.parametrize(
    "subject",
    [
        None,
        {},
        "report.html",
        [3],
        [{}],
        [{"name": "report.html"}],
        [{"name": 3, "digest": {"sha256": "a"}}],
        [{"name": "report.html", "digest": "a"}],
        [{"name": "report.html", "digest": {"md5": "a"}}],
        [{"name": "report.html", "digest": {"sha256": 3}}],
    ],
)
def test_subjects_of_a_wrong_type_are_none(run: Path, subject: Any) -> None:
    rewrite(run, {**manifest(run), "subject": subject})
    assert differences(run) == [(MANIFEST, "changed")]
    assert "a subject of it has no name or no SHA-256" in reason(run)


@pytest.mark.parametrize(
    "newer",
    [
        {"predicateType": PREDICATE.replace("/v1", "/v2")},
        {"_type": STATEMENT.replace("/v1", "/v2")},
    ],
)
def test_a_manifest_of_a_newer_version_is_refused(run: Path, newer: dict[str, str]) -> None:
    rewrite(run, {**manifest(run), **newer})
    with pytest.raises(InputError, match="made by a newer version"):
        verify_run(run)


def test_another_projects_statement_is_no_manifest(run: Path) -> None:
    rewrite(run, {**manifest(run), "predicateType": "https://slsa.dev/provenance/v1"})
    assert differences(run) == [(MANIFEST, "changed")]


def test_a_huge_manifest_is_not_read(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "MAX_BYTES", 10)
    assert differences(run) == [(MANIFEST, "changed")]
    assert "larger than" in reason(run)


def test_a_run_without_its_manifest_lacks_it(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run")
    assert differences(run) == [(MANIFEST, "missing")]
    assert "the run is not finished, or the file was removed" in reason(run)


@pytest.mark.parametrize("empty", [True, False])
def test_what_is_no_run_folder_is_refused(tmp_path: Path, *, empty: bool) -> None:
    folder = tmp_path / "folder"
    if not empty:
        folder.mkdir()
        (folder / "report.html").touch()
    with pytest.raises(InputError, match=r"not a run folder: it holds neither audit\.json nor"):
        verify_run(folder)


# Links, pipes, and what may not be read.


def test_a_file_replaced_by_a_link_is_a_link(run: Path) -> None:
    outside = run.parent / "report.html"
    (run / "report.html").rename(outside)
    (run / "report.html").symlink_to(outside)
    assert differences(run) == [("report.html", "link")]


@pytest.mark.parametrize("target", ["..", "sections", "nowhere", "/"])
def test_an_added_link_is_named_and_not_followed(run: Path, target: str) -> None:
    (run / "link").symlink_to(target)
    assert differences(run) == [("link", "link")]


def test_a_loop_of_links_ends(run: Path) -> None:
    (run / "sections" / "round").symlink_to(run)
    (run / "self").symlink_to("self")
    assert differences(run) == [("self", "link"), ("sections/round", "link")]


def test_a_folder_replaced_by_a_link_is_named_once(run: Path) -> None:
    outside = run.parent / "bias"
    (run / "sections" / "bias").rename(outside)
    (run / "sections" / "bias").symlink_to(outside)
    assert differences(run) == [("sections/bias", "link")]


def test_a_manifest_that_is_a_link_is_not_followed(run: Path) -> None:
    (run / MANIFEST).rename(run.parent / MANIFEST)
    (run / MANIFEST).symlink_to(run.parent / MANIFEST)
    assert differences(run) == [(MANIFEST, "link"), (MANIFEST, "missing")]


def test_a_signature_that_is_a_link_is_named(run: Path) -> None:
    (run / SIGNATURE).symlink_to(run.parent)
    assert differences(run) == [(SIGNATURE, "link")]


def test_a_pipe_is_named_and_never_opened(run: Path) -> None:
    os.mkfifo(run / "pipe")
    assert differences(run) == [("pipe", "no file")]


def test_links_are_left_out_of_a_new_manifest(run: Path) -> None:
    (run / "link").symlink_to(run.parent)
    write_manifest(run)
    assert "link" not in {subject["name"] for subject in manifest(run)["subject"]}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(run: Path) -> None:
    (run / "report.html").chmod(0)
    (run / "sections" / "bias").chmod(0)
    try:
        assert differences(run) == [("report.html", "unreadable"), ("sections/bias", "unreadable")]
        with pytest.raises(InputError, match="a manifest needs every file"):
            write_manifest(run)
    finally:
        (run / "sections" / "bias").chmod(0o755)


def test_a_name_that_is_no_text_is_kept(run: Path) -> None:
    odd = os.fsdecode(b"\xff\xfe")
    (run / odd).write_text("odd")
    write_manifest(run)
    assert differences(run) == []
    (run / odd).unlink()
    assert differences(run) == [(odd, "missing")]
