"""Audits that are killed, interrupted or raise: what was found is kept, nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import nbformat
import psutil
import pytest
from auditing import CLOSE, CUSTOM, FOUND, SLEEP, Audit, custom_command, workbench, write_suite

from workbench.audit.manifest import verify_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from psutil import Process

DEADLINE = 120

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
    orphans: list[Process]


def wait_for(done: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def break_audit(
    folder: Path, model: Path, hurt: Callable[[subprocess.Popen[str], int], None], *, early: bool
) -> Ended:
    """Start an audit, hurt it (early: while the model is loaded; else in a cell), see how it ends.

    `hurt` is called with the audit's process and the process id of its kernel.
    """
    write_suite(folder, SECTIONS, CHECKS)
    ready, out = folder / "ready", folder / "out"
    options = ("--suite", CUSTOM, "--out", out, "--param", f"ready={ready}", "--json")
    command = [*custom_command(folder), "audit", model, *options]
    with subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        watched = psutil.Process(process.pid)
        if early:
            wait_for(watched.children)
        else:
            wait_for(lambda: process.poll() is not None or (ready.exists() and ready.read_text()))
            assert process.poll() is None, process.communicate()
        started = watched.children(recursive=True)
        (kernel,) = watched.children()
        hurt(process, kernel.pid)
        printed, said = process.communicate(timeout=DEADLINE)
    _, alive = psutil.wait_procs(started, timeout=10)
    return Ended(Audit(process.returncode, printed, said), out, alive)


def kill_kernel(_: subprocess.Popen[str], kernel: int) -> None:
    os.kill(kernel, signal.SIGKILL)


def interrupt(process: subprocess.Popen[str], _: int) -> None:
    process.send_signal(signal.SIGINT)


def terminate(process: subprocess.Popen[str], _: int) -> None:
    process.send_signal(signal.SIGTERM)


def kill(process: subprocess.Popen[str], _: int) -> None:
    process.kill()


HURTS = {
    "kernel killed": (kill_kernel, False),
    "interrupted": (interrupt, False),
    "terminated": (terminate, False),
    "audit killed": (kill, False),
    "kernel killed early": (kill_kernel, True),
    "interrupted early": (interrupt, True),
    "terminated early": (terminate, True),
}


@pytest.fixture(scope="module")
def endings(
    gpt2_directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Ended]]]:
    """Every broken audit of this file, under way; two at a time."""
    folder = tmp_path_factory.mktemp("dying")
    with ThreadPoolExecutor(2) as pool:
        yield {
            name: pool.submit(
                break_audit, folder / name.replace(" ", "-"), gpt2_directory, hurt, early=early
            )
            for name, (hurt, early) in HURTS.items()
        }
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def killed(endings: dict[str, Future[Ended]]) -> Audit:
    return endings["kernel killed"].result().audit


@pytest.fixture(scope="module", params=["interrupted", "terminated"])
def stopped(request: pytest.FixtureRequest, endings: dict[str, Future[Ended]]) -> Audit:
    return endings[request.param].result().audit


@pytest.mark.parametrize("name", HURTS)
def test_nothing_is_left_running(name: str, endings: dict[str, Future[Ended]]) -> None:
    assert endings[name].result().orphans == []


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


@pytest.mark.parametrize("name", ["interrupted early", "terminated early"])
def test_while_the_model_is_loaded_nothing_was_written(
    name: str, endings: dict[str, Future[Ended]]
) -> None:
    ended = endings[name].result()
    assert ended.audit.code == 130, ended.audit.err
    assert ended.audit.out == ""
    assert ended.audit.err.splitlines()[-1] == "workbench: interrupted."
    assert "Traceback" not in ended.audit.err
    assert not ended.out.exists()


def test_a_kernel_that_dies_of_the_model_is_bad_input(endings: dict[str, Future[Ended]]) -> None:
    ended = endings["kernel killed early"].result()
    assert ended.audit.code == 2, ended.audit.err
    line = ended.audit.err.splitlines()[-1]
    assert line.startswith("workbench: The kernel ended while the model was being loaded")
    assert "too little memory" in line
    assert "Traceback" not in ended.audit.err
    assert not ended.out.exists()


# The audit itself is killed: nobody is there to write a report


def test_what_a_killed_audit_leaves_has_a_report_when_it_is_asked_for(
    endings: dict[str, Future[Ended]],
) -> None:
    ended = endings["audit killed"].result()
    assert ended.audit.code == -signal.SIGKILL
    (run,) = (ended.out / "random-gpt2").iterdir()
    assert not (run / "report.html").exists()
    assert workbench("report", run).code == 0
    html = (run / "report.html").read_text(encoding="utf-8")
    assert "A-1" in html
    assert not list(run.rglob("*.part"))
