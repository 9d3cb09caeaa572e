"""How sections end that take too long or too much, or end their kernel: each by its name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from auditing import CLOSE, FOUND, Audit
from cheap import DEADLINE, Workshop

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDLESS = "print('I have begun', flush=True)\nwhile True: time.sleep(0.05)"
STUBBORN = """\
while True:
    try:
        while True: time.sleep(0.05)
    except KeyboardInterrupt:
        pass
"""
SECTIONS = {
    "complete": [FOUND.format(code="A-1"), CLOSE],
    "endless": [FOUND.format(code="B-1"), ENDLESS, CLOSE],
    "stubborn": [STUBBORN, CLOSE],
    "greedy": ["eaten = []\nwhile True: eaten.append(bytearray(b'x' * (100 << 20)))", CLOSE],
    "raising": [FOUND.format(code="E-1"), "raise ValueError('no <such> item')", CLOSE],
    "terminated": ["import signal; os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", CLOSE],
    "ended": ["os._exit(3)", CLOSE],
    "last": [FOUND.format(code="H-1"), CLOSE],
}
CHECKS = [(f"{letter}-1", name) for letter, name in zip("ABCDEFGH", SECTIONS, strict=True)]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with Workshop(tmp_path_factory.mktemp("endings"), SECTIONS, CHECKS) as workshop:
        yield workshop


@pytest.fixture(scope="module")
def audit(workshop: Workshop) -> Audit:
    return workshop.audit("--section-timeout", "5", "--memory-limit", "600MB")


def test_every_section_ends_by_its_own_name(audit: Audit) -> None:
    assert audit.code == 3, audit.err
    assert audit.states == {
        "complete": "complete",
        "endless": "timed out",
        "stubborn": "timed out",
        "greedy": "killed",
        "raising": "failed",
        "terminated": "killed",
        "ended": "failed",
        "last": "complete",
    }


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ("endless", "Code cell 5 of 6: It took longer than 5 s (--section-timeout)."),
        ("stubborn", "Code cell 4 of 5: It took longer than 5 s (--section-timeout)."),
        ("greedy", "of memory; the limit of this audit is 600 MB (--memory-limit)."),
        ("raising", "Code cell 5 of 6: ValueError: no <such> item"),
        ("terminated", "Code cell 4 of 5: The kernel was killed by SIGTERM."),
        ("ended", "Code cell 4 of 5: The kernel ended with exit status 3."),
    ],
)
def test_the_reason_says_what_happened(section: str, reason: str, audit: Audit) -> None:
    assert audit.status(section)["reason"].endswith(reason)


def test_what_was_found_and_said_before_is_kept(audit: Audit) -> None:
    assert audit.verdicts == {
        **dict.fromkeys(("A-1", "B-1", "E-1", "H-1"), "pass"),
        **dict.fromkeys(("C-1", "D-1", "F-1", "G-1"), "error"),
    }
    notebook = (audit.run / "sections" / "endless" / "notebook.ipynb").read_text()
    assert "I have begun" in notebook
    assert "KeyboardInterrupt" in notebook  # where it was when it was interrupted


def test_the_report_says_so_at_its_top(audit: Audit) -> None:
    html = (audit.run / "report.html").read_text(encoding="utf-8")
    top = html[html.index("<main") : html.index("<main") + 8000]
    for name, state in audit.states.items():
        assert state == "complete" or name in top


def test_limits_do_not_change_the_rest(audit: Audit) -> None:
    assert audit.whole["state"] == "incomplete"
    missing = "endless, stubborn, greedy, raising, terminated, ended"
    assert audit.whole["attempts"][0]["reason"] == f"Not complete: {missing}."


# Between two sections, and while the report is written


@pytest.mark.parametrize("after", ["s1 …", "write the report …"])
def test_a_stop_between_two_cells_of_work(after: str, tmp_path: Path) -> None:
    sections = {"s1": [FOUND.format(code="A-1"), CLOSE], "s2": [FOUND.format(code="B-1"), CLOSE]}
    with Workshop(tmp_path, sections, [("A-1", "s1"), ("B-1", "s2")]) as workshop:
        running = workshop.start()
        end = time.monotonic() + DEADLINE
        while not running.err.exists() or after not in running.err.read_text():
            assert time.monotonic() < end
            time.sleep(0.002)
        os.kill(running.pid, signal.SIGINT)
        os.kill(running.pid, signal.SIGTERM)
        stopped = workshop.end(running)
        assert stopped.code == 130, stopped.err
        assert stopped.answer["state"] == stopped.whole["state"] == "interrupted"
        assert Path(stopped.answer["report"]).is_file()
        resumed = workshop.audit(run=stopped.run)
        assert resumed.code == 0, resumed.err
        assert [one["state"] for one in resumed.whole["attempts"]] == ["interrupted", "complete"]


# A kernel never outlives its audit, also where orphans are not process 1's


SUBREAPER = """\
import ctypes, subprocess, sys, time
ctypes.CDLL(None).prctl(36, 1)
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True)
print(child.pid, child.stdout.readline(), flush=True)
time.sleep(600)
"""
HOLDER = """\
import time
from workbench.audit.running import warm
warm.PREPARE = ""
with warm.WarmKernel() as kernel:
    kernel.launch()
    print(kernel.pid, flush=True)
    {wait}
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
@pytest.mark.parametrize("wait", ["pass", "kernel.ready(); kernel.client.execute('while 1: pass')"])
def test_a_kernel_ends_with_its_audit_below_another_reaper(wait: str) -> None:
    command = [sys.executable, "-c", SUBREAPER, HOLDER.format(wait=wait)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reaper:
        assert reaper.stdout is not None
        parent, kernel = map(int, reaper.stdout.readline().split())
        watched = psutil.Process(kernel)
        if wait != "pass":
            time.sleep(2)
        os.kill(parent, signal.SIGKILL)
        end = time.monotonic() + 5
        while watched.is_running() and watched.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < end
            time.sleep(0.02)
        reaper.kill()


# Two audits into one folder at the same time


def test_two_audits_into_one_folder_do_not_harm_each_other(tmp_path: Path) -> None:
    sections = {"s1": [FOUND.format(code="A-1"), CLOSE]}
    out = tmp_path / "out"
    with (
        Workshop(tmp_path / "a", sections, [("A-1", "s1")]) as one,
        Workshop(tmp_path / "b", sections, [("A-1", "s1")]) as other,
    ):
        running = [workshop.start("--out", out) for workshop in (one, other) for _ in (1,)]
        first, second = (
            workshop.end(each) for workshop, each in zip((one, other), running, strict=True)
        )
    assert (first.code, second.code) == (0, 0), (first.err, second.err)
    assert first.run != second.run
    assert sorted(out.glob("*/*")) == sorted([first.run, second.run])
    assert first.answer["findings_digest"] == second.answer["findings_digest"]
