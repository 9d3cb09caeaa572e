"""`workbench audit --resume`: what is complete stays, what is missing is done; what is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from auditing import CLOSE, FOUND, Audit, files_below, invoke
from cheap import DEADLINE, Running, Workshop

from workbench.audit.proof.manifest import verify_run
from workbench.provenance import code_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Counts how often it is computed, outside of the run.
COUNTED = """\
import pyarrow
from workbench.tables import Result
def compute():
    with pathlib.Path(run).with_suffix(".counted").open("a") as file:
        file.write(section.name + " ")
    return Result("rows", pyarrow.table({{"n": [1, 2]}}))
section.kept("rows", compute)
"""
WAIT = """\
told = pathlib.Path(ready)
if not told.exists() or told.read_text() != "go on":
    told.write_text(str(os.getpid()))
while told.read_text() != "go on":
    time.sleep(0.02)
"""
EARLIER = 'section.state("C-1", "pass", f"{section.earlier(\'first\', \'rows\')!r}")'
SECTIONS = {
    "first": [COUNTED.format(), FOUND.format(code="A-1"), CLOSE],
    "second": [COUNTED.format(), WAIT, FOUND.format(code="B-1"), CLOSE],
    "third": [EARLIER, CLOSE],
}
CHECKS = [("A-1", "first"), ("B-1", "second"), ("C-1", "third")]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with Workshop(tmp_path_factory.mktemp("resuming"), SECTIONS, CHECKS) as workshop:
        yield workshop


def until(done: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def start(workshop: Workshop, name: str) -> tuple[Running, Path]:
    """An audit that waits in its second section; and the file that it waits for."""
    ready = workshop.folder / name
    running = workshop.start("--out", workshop.folder / f"{name}-out", "--param", f"ready={ready}")
    until(lambda: ready.exists() and ready.read_text())
    return running, ready


def run_of(workshop: Workshop, name: str) -> Path:
    (run,) = (
        path for path in (workshop.folder / f"{name}-out" / "planted").iterdir() if path.is_dir()
    )
    return run


@pytest.fixture(scope="module")
def undisturbed(workshop: Workshop) -> Audit:
    running, ready = start(workshop, "undisturbed")
    ready.write_text("go on")
    return workshop.end(running)


@pytest.fixture(scope="module")
def killed(workshop: Workshop, undisturbed: Audit) -> Path:
    """The run of an audit that was killed in its second section."""
    assert undisturbed.code == 0, undisturbed.err
    running, ready = start(workshop, "killed")
    os.kill(running.pid, signal.SIGKILL)
    workshop.end(running)
    ready.write_text("go on")
    return run_of(workshop, "killed")


@pytest.fixture(scope="module")
def resumed(workshop: Workshop, killed: Path) -> Audit:
    copy = shutil.copytree(killed, killed.parents[1] / "copies" / killed.name)
    shutil.copy(killed.with_suffix(".counted"), copy.with_suffix(".counted"))
    return workshop.audit(run=copy)


def test_a_killed_runs_folder_says_that_it_ran(killed: Path) -> None:
    status = json.loads((killed / "status.json").read_text())
    assert status["state"] == "running"
    (attempt,) = status["attempts"]
    assert (attempt["state"], attempt["ended"]) == ("running", None)
    states = {
        path.parent.name: json.loads(path.read_text())["state"]
        for path in killed.glob("sections/*/status.json")
    }
    assert states == {"first": "complete", "second": "running", "third": "not started"}


def test_the_findings_are_those_of_an_undisturbed_audit(undisturbed: Audit, resumed: Audit) -> None:
    assert resumed.code == 0, resumed.err
    expected = (undisturbed.run / "findings.json").read_bytes()
    assert (resumed.run / "findings.json").read_bytes() == expected
    assert resumed.answer["findings_digest"] == undisturbed.answer["findings_digest"]
    assert files_below(resumed.run) == files_below(undisturbed.run)
    assert verify_run(resumed.run) == []


def test_what_was_kept_is_not_computed_again(resumed: Audit) -> None:
    counted = resumed.run.with_suffix(".counted").read_text()
    assert counted.split() == ["first", "second"]


def test_both_attempts_are_on_record(resumed: Audit) -> None:
    first, second = resumed.whole["attempts"]
    assert first["state"] == "killed"
    assert first["reason"] == "The audit's own process ended without a word."
    assert first["sections"] == {"first": "complete", "second": "killed", "third": "not started"}
    assert second["state"] == resumed.whole["state"] == "complete"
    assert "--resume" in second["command"]
    assert [first, second] == resumed.answer["attempts"]


def test_a_complete_run_has_nothing_to_do(workshop: Workshop, undisturbed: Audit) -> None:
    before = {name: (undisturbed.run / name).read_bytes() for name in files_below(undisturbed.run)}
    again = workshop.audit(run=undisturbed.run)
    assert (again.code, again.out) == (0, "")
    assert "nothing to do" in again.err
    after = {name: (undisturbed.run / name).read_bytes() for name in files_below(undisturbed.run)}
    assert after == before


def copied(run: Path, name: str) -> Path:
    return Path(shutil.copytree(run, run.parents[1] / name / run.name))


@pytest.mark.parametrize("lost", ["manifest.json", "report.html", "findings.json"])
def test_a_kill_while_the_report_is_written(
    lost: str, workshop: Workshop, undisturbed: Audit
) -> None:
    run = copied(undisturbed.run, f"without-{lost}")
    for name in {lost, "manifest.json"}:
        (run / name).unlink()
    again = workshop.audit(run=run)
    assert again.code == 0, again.err
    assert "load the model" not in again.err
    expected = (undisturbed.run / "findings.json").read_bytes()
    assert (run / "findings.json").read_bytes() == expected
    assert verify_run(run) == []
    assert len(again.answer["attempts"]) == 2


def test_a_kill_before_the_first_section(workshop: Workshop, undisturbed: Audit) -> None:
    run = copied(undisturbed.run, "nothing-but-audit")
    for path in run.iterdir():
        if path.name != "audit.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    again = workshop.audit(run=run)
    assert again.code == 0, again.err
    expected = (undisturbed.run / "findings.json").read_bytes()
    assert (run / "findings.json").read_bytes() == expected
    assert [one["state"] for one in again.answer["attempts"]] == ["killed", "complete"]


def test_a_section_whose_inputs_changed_is_done_again(
    workshop: Workshop, undisturbed: Audit
) -> None:
    run = copied(undisturbed.run, "other-inputs")
    inputs = run / "sections" / "third" / "inputs.json"
    assert list(json.loads(inputs.read_text())) == ["sections/first/rows.parquet"]
    inputs.write_text(json.dumps({"sections/first/rows.parquet": None}))
    (run / "manifest.json").unlink()
    again = workshop.audit(run=run)
    assert again.code == 0, again.err
    assert "third …" in again.err
    assert "second …" not in again.err
    assert json.loads(inputs.read_text())["sections/first/rows.parquet"] is not None


def test_an_old_signature_is_removed(workshop: Workshop, undisturbed: Audit) -> None:
    run = copied(undisturbed.run, "signed")
    (run / "manifest.json").unlink()
    (run / "manifest.dsse.json").write_text("{}")
    assert workshop.audit(run=run).code == 0
    assert not (run / "manifest.dsse.json").exists()


# What is refused


def refused(workshop: Workshop, run: Path, *options: object) -> str:
    """The one line that is said; the run's folder stays as it is."""
    before = {name: (run / name).read_bytes() for name in files_below(run)}
    audit = workshop.audit(*options, run=run)
    assert (audit.code, audit.out) == (2, "")
    assert "Traceback" not in audit.err
    assert {name: (run / name).read_bytes() for name in files_below(run)} == before
    return audit.err.splitlines()[-1]


@pytest.mark.parametrize(
    "options",
    [
        ("--suite", "deep"),
        ("--limit", 3),
        ("--param", "a=1"),
        ("--out", "x"),
        ("--dtype", "float16"),
    ],
)
def test_options_that_would_change_the_audit(
    options: tuple[object, ...], workshop: Workshop, killed: Path
) -> None:
    line = refused(workshop, killed, *options)
    assert f"got {options[0]} with --resume" in line


def test_a_run_that_is_being_written(workshop: Workshop, killed: Path) -> None:
    from workbench.audit.records.lock import hold

    with hold(killed):
        line = refused(workshop, killed)
    assert "an audit is writing this run" in line


def test_a_folder_that_is_no_run(workshop: Workshop, tmp_path: Path) -> None:
    assert "not a run folder" in refused(workshop, tmp_path)
    assert "not a run folder" in refused(workshop, tmp_path / "none")


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_another_version_of_the_workbench(workshop: Workshop, killed: Path) -> None:
    run = copied(killed, "older")
    change(run / "audit.json", workbench_version="0.0.1")
    line = refused(workshop, run)
    assert f"open-weights-workbench 0.0.1 then, {code_version()} now" in line


def test_another_version_of_a_package(workshop: Workshop, killed: Path) -> None:
    run = copied(killed, "packages")
    packages = json.loads((run / "provenance.json").read_text())["packages"]
    change(run / "provenance.json", packages=packages | {"torch": "1.0"})
    assert f"torch 1.0 then, {packages['torch']} now" in refused(workshop, run)


def test_another_model(workshop: Workshop, killed: Path) -> None:
    run = copied(killed, "model")
    model = json.loads((run / "provenance.json").read_text())["model"]
    files = [{"name": "weights", "bytes": 1, "sha256": "f0"}]
    change(run / "provenance.json", model=model | {"weights_digest": "d0", "files": files})
    line = refused(workshop, run)
    assert "weights differs" in line
    assert "then: d0; now: d1" in line


def test_a_run_from_a_newer_version(workshop: Workshop, killed: Path) -> None:
    run = copied(killed, "newer")
    change(run / "audit.json", schema=99)
    assert "audit.json" in refused(workshop, run)


def test_a_section_that_is_a_file_elsewhere(
    workshop: Workshop, killed: Path, tmp_path: Path
) -> None:
    """A run folder may come from anybody: it never names what is run."""
    run = copied(killed, "elsewhere")
    witness = tmp_path / "ran"
    foreign = json.loads((workshop.folder / "notebooks" / "first.ipynb").read_text())
    foreign["cells"][0]["source"] += f"\nopen({str(witness)!r}, 'w').close()\n"
    (tmp_path / "foreign.ipynb").write_text(json.dumps(foreign))
    definition = json.loads((run / "audit.json").read_text())["definition"]
    change(run / "audit.json", definition=definition | {"sections": [str(tmp_path / "foreign")]})
    assert "There is no section" in refused(workshop, run)
    assert not witness.exists()


def test_a_link_in_the_run(workshop: Workshop, killed: Path, tmp_path: Path) -> None:
    run = copied(killed, "linked")
    shutil.rmtree(run / "sections" / "third", ignore_errors=True)
    (run / "sections" / "third").symlink_to(tmp_path)
    assert "a run holds plain files alone" in refused(workshop, run).lower()
    assert not list(tmp_path.iterdir())


def test_an_interrupted_resume_leaves_the_run_to_go_on_with(
    workshop: Workshop, killed: Path, undisturbed: Audit
) -> None:
    run = copied(killed, "again")
    shutil.copy(killed.with_suffix(".counted"), run.with_suffix(".counted"))
    ready = workshop.folder / "killed"
    ready.write_text("")
    running = workshop.start(run=run)
    until(ready.read_text)
    kernels = running.kernels()
    os.kill(running.pid, signal.SIGTERM)
    stopped = workshop.end(running)
    ready.write_text("go on")
    assert stopped.code == 130, stopped.err
    assert not psutil.wait_procs(kernels, timeout=5)[1]
    assert stopped.states == {"first": "complete", "second": "interrupted", "third": "not started"}
    last = workshop.audit(run=run)
    assert last.code == 0
    assert [one["state"] for one in last.whole["attempts"]] == ["killed", "interrupted", "complete"]
    expected = (undisturbed.run / "findings.json").read_bytes()
    assert (run / "findings.json").read_bytes() == expected


def test_a_model_argument_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], killed: Path
) -> None:
    ended = invoke(monkeypatch, capsys, "audit", "organism:clean", "--resume", killed)
    assert ended.code == 2
    assert "got MODEL with --resume" in ended.err
