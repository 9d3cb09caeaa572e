"""Audits that are killed, interrupted or raise: what was found is kept, nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import nbformat
import psutil
import pytest
from auditing import CLOSE, CUSTOM, FOUND, SLEEP, Audit, custom_command, workbench, write_suite
from cheap import DEADLINE, Running, Workshop

from workbench.audit.proof.manifest import verify_run
from workbench.audit.records.lock import held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECTIONS = {
    "first": [FOUND.format(code="A-1"), SLEEP, CLOSE],
    "second": ["1 / 0", CLOSE],
    "third": [FOUND.format(code="C-1"), CLOSE],
}
CHECKS = [("A-1", "first"), ("A-2", "first"), ("B-1", "second"), ("C-1", "third")]


@dataclass(frozen=True)
class Ended:
    """A broken audit, and the processes of it that were still there after it."""

    audit: Audit
    out: Path
    orphans: list[psutil.Process]


def wait_for(done: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with Workshop(tmp_path_factory.mktemp("dying"), SECTIONS, CHECKS) as workshop:
        yield workshop


def break_audit(workshop: Workshop, name: str, hurt: Callable[[Running], None]) -> Ended:
    """Start an audit, hurt it in a cell, see how it ends."""
    ready, out = workshop.folder / f"{name}-ready", workshop.folder / f"{name}-out"
    running = workshop.start("--out", out, "--param", f"ready={ready}")
    watched = psutil.Process(running.pid)
    wait_for(lambda: not watched.is_running() or (ready.exists() and ready.read_text()))
    kernels = running.kernels()
    hurt(running)
    audit = workshop.end(running)
    _, alive = psutil.wait_procs(kernels, timeout=5)
    return Ended(audit, out, alive)


def kill_kernel(running: Running) -> None:
    (kernel,) = running.kernels()
    kernel.kill()


def twice(running: Running, number: int) -> None:
    for _ in range(2):
        os.kill(running.pid, number)
        time.sleep(0.1)


HURTS = {
    "kernel killed": kill_kernel,
    "interrupted": lambda running: os.kill(running.pid, signal.SIGINT),
    "terminated": lambda running: os.kill(running.pid, signal.SIGTERM),
    "interrupted twice": lambda running: twice(running, signal.SIGINT),
    "terminal closed": lambda running: os.kill(running.pid, signal.SIGHUP),
    "audit killed": lambda running: os.kill(running.pid, signal.SIGKILL),
}
STOPS = ("interrupted", "terminated", "interrupted twice", "terminal closed")


@pytest.fixture(scope="module")
def endings(workshop: Workshop) -> dict[str, Ended]:
    """Every broken audit of this file."""
    return {
        name: break_audit(workshop, name.replace(" ", "-"), hurt) for name, hurt in HURTS.items()
    }


@pytest.fixture(scope="module")
def killed(endings: dict[str, Ended]) -> Audit:
    return endings["kernel killed"].audit


@pytest.fixture(params=STOPS)
def stopped(request: pytest.FixtureRequest, endings: dict[str, Ended]) -> Audit:
    return endings[request.param].audit


@pytest.mark.parametrize("name", HURTS)
def test_nothing_is_left_running(name: str, endings: dict[str, Ended]) -> None:
    assert endings[name].orphans == []


# The kernel is killed


def test_the_other_sections_go_on_and_the_audit_is_incomplete(killed: Audit) -> None:
    assert killed.code == 3, killed.err
    assert killed.states == {"first": "killed", "second": "failed", "third": "complete"}
    assert killed.answer["complete"] is False


def test_the_signal_is_named(killed: Audit) -> None:
    status = killed.status("first")
    assert status["state"] == "killed"
    # Counted by the system, where it does.
    ends = [" (often for want of memory).", ", and not by the system's out-of-memory killer."]
    said = "Code cell 5 of 6: The kernel was killed by SIGKILL"
    assert status["reason"] in [said + end for end in ends]
    assert f"section first killed: {said}" in killed.err


def test_only_cells_that_ran_are_marked_and_counted(killed: Audit) -> None:
    path = killed.run / "sections" / "first" / "notebook.ipynb"
    cells = nbformat.read(path, as_version=4).cells
    marks = [cell.metadata.papermill.status for cell in cells]
    assert marks == [*["completed"] * 4, "failed", "pending"]
    # Parameters, those of the audit, loading and one finding; not the sleep, not the end.
    assert (killed.status("first")["cells_run"], killed.status("first")["cells_total"]) == (4, 6)
    assert (killed.status("second")["cells_run"], killed.status("second")["cells_total"]) == (3, 5)
    assert (killed.status("third")["cells_run"], killed.status("third")["cells_total"]) == (5, 5)


def test_the_run_says_how_it_stands(killed: Audit) -> None:
    assert killed.whole["state"] == killed.answer["state"] == "incomplete"
    (attempt,) = killed.whole["attempts"]
    assert attempt["sections"] == killed.states
    assert attempt["reason"] == "Not complete: first, second."
    assert attempt["ended"] >= attempt["started"]
    assert [attempt] == killed.answer["attempts"]


def test_what_was_found_before_is_kept(killed: Audit) -> None:
    assert killed.verdicts == {"A-1": "pass", "A-2": "error", "B-1": "error", "C-1": "pass"}
    assert "SIGKILL" in killed.findings["A-2"]["reason"]


def test_a_cell_that_raises_fails_its_section_with_its_error(killed: Audit) -> None:
    reason = "Code cell 4 of 5: ZeroDivisionError: division by zero"
    assert killed.status("second")["reason"] == reason
    assert "ZeroDivisionError" in killed.findings["B-1"]["reason"]


def test_the_report_says_at_the_top_what_did_not_complete(killed: Audit) -> None:
    html = (killed.run / "report.html").read_text(encoding="utf-8")
    top = html[html.index("<main") : html.index("<main") + 3000]
    assert "first" in top
    assert "killed" in top
    assert "ZeroDivisionError" in html
    assert verify_run(killed.run) == []


# The audit is interrupted, by hand or by a scheduler


def test_it_leaves_with_130_and_says_what_was_not_started(stopped: Audit) -> None:
    assert stopped.code == 130, stopped.err
    assert stopped.states == {
        "first": "interrupted",
        "second": "not started",
        "third": "not started",
    }
    assert stopped.status("first")["cells_run"] == 4
    assert stopped.status("first")["reason"] == "Code cell 5 of 6: It was stopped by hand."
    assert stopped.whole["state"] == "interrupted"
    reason = "It was stopped by hand, without first, second, third."
    assert stopped.whole["attempts"][-1]["reason"] == reason
    assert stopped.status("second")["state"] == "not started"
    assert "Traceback" not in stopped.err


def test_its_report_and_findings_are_there(stopped: Audit) -> None:
    assert stopped.verdicts == {"A-1": "pass", "A-2": "error", "B-1": "skipped", "C-1": "skipped"}
    html = (stopped.run / "report.html").read_text(encoding="utf-8")
    assert "interrupted" in html
    assert "not started" in html
    assert verify_run(stopped.run) == []


# The audit itself is killed: nobody is there to write a report


def test_what_a_killed_audit_leaves_has_a_report_when_it_is_asked_for(
    endings: dict[str, Ended],
) -> None:
    ended = endings["audit killed"]
    assert ended.audit.code == -signal.SIGKILL
    (run,) = (ended.out / "planted").iterdir()
    assert not held(run)
    assert not (run / "report.html").exists()
    assert workbench("report", run).code == 0
    html = (run / "report.html").read_text(encoding="utf-8")
    assert "A-1" in html


# While the model is loaded


def break_early(folder: Path, model: Path, number: int, *, kernel: bool) -> Ended:
    """Start an audit of a real model, and signal it or its kernel as soon as that is there."""
    write_suite(folder, SECTIONS, CHECKS)
    out = folder / "out"
    command = [*custom_command(folder), "audit", model, "--suite", CUSTOM, "--out", out, "--json"]
    said = folder / "said.txt"
    with (
        said.open("w") as stderr,
        subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as process,
    ):
        watched = psutil.Process(process.pid)
        wait_for(watched.children)
        started = watched.children(recursive=True)
        os.kill(started[0].pid if kernel else process.pid, number)
        printed, _ = process.communicate(timeout=DEADLINE)
    _, alive = psutil.wait_procs(started, timeout=5)
    return Ended(Audit(process.returncode, printed, said.read_text()), out, alive)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_before_the_first_section_nothing_is_written(
    number: int, tmp_path: Path, gpt2_directory: Path
) -> None:
    ended = break_early(tmp_path, gpt2_directory, number, kernel=False)
    assert ended.audit.code == 130, ended.audit.err
    assert ended.audit.out == ""
    assert ended.audit.err.splitlines()[-1] == "workbench: interrupted."
    assert "Traceback" not in ended.audit.err
    assert not ended.out.exists()
    assert ended.orphans == []


def test_a_kernel_that_dies_of_the_model_is_bad_input(tmp_path: Path, gpt2_directory: Path) -> None:
    ended = break_early(tmp_path, gpt2_directory, signal.SIGKILL, kernel=True)
    assert ended.audit.code == 2, ended.audit.err
    line = ended.audit.err.splitlines()[-1]
    assert line.startswith("workbench: The kernel ended while the model was being loaded")
    assert "too little memory" in line
    assert "Traceback" not in ended.audit.err
    assert not ended.out.exists()
    assert ended.orphans == []
