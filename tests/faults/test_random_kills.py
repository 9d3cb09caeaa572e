"""A hundred kills at random moments, of kernels and of audits; then each audit goes on to its end.

After each: no section is called complete that did not come to its end, which the sections
themselves bear witness to outside of the run; no kernel is left. In the end: the findings, byte for
byte, of an audit that nobody disturbed. `WORKBENCH_KILLS` is the number; nine tenths hit made-up
sections that need no model, the others the quick audit of an organism.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from auditing import COMMAND, Audit, workbench
from cheap import DEADLINE, Workshop

from workbench.audit.proof.manifest import verify_run
from workbench.audit.records.folder import AUDIT, AuditRecord
from workbench.audit.records.lock import held
from workbench.audit.running.attempt import read_statuses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KILLS = int(os.environ.get("WORKBENCH_KILLS", "100"))
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
LONGEST_LIFE = 4.0
"""Seconds that a kernel may outlive its audit."""

NAMES = [f"s{number:02d}" for number in range(8)]
# Without pandas, which a kernel would take half a second to import.
TABLE = """\
import random, pyarrow
from workbench.tables import Result
def compute():
    time.sleep(0.1)
    draw = random.Random({seed})
    return Result("rows", pyarrow.table({{"right": [draw.random() < 0.7 for _ in range(200)]}}))
rows = section.kept("rows", compute).table["right"].to_pylist()
"""
JUDGE = """\
time.sleep(0.05)
section.state("{code}-1", "pass" if sum(rows) > 140 else "fail", f"{{sum(rows)}} of 200 are right.")
"""
EARLIER = """\
before = section.earlier({before!r}, "rows")
right = None if before is None else sum(before.table["right"].to_pylist())
time.sleep(0.05)
section.state("{code}-2", "pass", f"The section before has {{right}}.")
"""
WITNESS = """\
section.close()
witness = pathlib.Path(run).parents[2] / "witness" / pathlib.Path(run).name / section.name
witness.parent.mkdir(parents=True, exist_ok=True)
witness.touch()
"""


def sections() -> dict[str, list[str]]:
    """Sections that keep a table, judge by it, and look at the one before."""
    return {
        name: [
            TABLE.format(seed=place),
            JUDGE.format(code=name.upper()),
            EARLIER.format(code=name.upper(), before=NAMES[place - 1] if place else "none"),
            WITNESS,
        ]
        for place, name in enumerate(NAMES)
    }


def checks() -> list[tuple[str, str]]:
    return [(f"{name.upper()}-{number}", name) for name in NAMES for number in (1, 2)]


@dataclass
class Tally:
    """What was killed, and how."""

    kills: dict[str, int] = field(default_factory=dict)

    def add(self, what: str, number: int) -> None:
        name = f"{what} {signal.Signals(number).name}"
        self.kills[name] = self.kills.get(name, 0) + 1

    @property
    def total(self) -> int:
        return sum(self.kills.values())


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    folder = tmp_path_factory.mktemp("kills")
    with Workshop(folder, sections(), checks()) as workshop:
        yield workshop


def disturb(
    parent: psutil.Process,
    kernels: Callable[[], list[Any]],
    draw: random.Random,
    most: int,
    *,
    longest: float = 2.0,
) -> list[tuple[str, int]]:
    """Kill kernels and then perhaps the audit itself, until it has ended; who was hit by what."""
    done: list[tuple[str, int]] = []
    while len(done) < most:
        end = time.monotonic() + draw.uniform(0.0, longest)
        while time.monotonic() < end and parent.is_running() and parent.status() != "zombie":
            time.sleep(0.01)
        number = draw.choice(SIGNALS)
        with suppress(psutil.NoSuchProcess):
            if draw.random() < 0.6:
                for kernel in kernels():
                    kernel.send_signal(number)
                    done.append(("kernel", number))
            else:
                parent.send_signal(number)
                done.append(("audit", number))
                break
        if not parent.is_running() or parent.status() == "zombie":
            break
    return done


def run_of(folder: Path) -> Path | None:
    """The one run that was begun below a folder; None where the kill came before it."""
    runs = [path for path in folder.glob("*/*") if not path.name.startswith(".")]
    assert len(runs) <= 1
    return runs[0] if runs else None


def assert_truthful(run: Path, code: int, witnesses: set[str]) -> None:
    """What the run's folder says is what happened."""
    definition = AuditRecord.read(run / AUDIT).definition  # there from the first moment
    statuses = read_statuses(run, definition)
    complete = {name for name, status in statuses.items() if status.state == "complete"}
    assert complete <= witnesses
    assert not held(run)
    if code == -signal.SIGKILL:
        return
    assert not {"running"} & {status.state for status in statuses.values()}
    for status in statuses.values():
        assert status.state == "not started" or (status.reason is None) == (
            status.state == "complete"
        )
        assert (status.cells_run == status.cells_total > 0) == (status.state == "complete")
    assert (run / "report.html").is_file()
    assert verify_run(run) == []
    assert not list(run.rglob(".*.part"))
    assert (run / ".work").exists() <= (len(complete) < len(statuses))


def kill_until_complete(workshop: Workshop, draw: random.Random, tally: Tally) -> Path:
    """One audit, killed and gone on with until nobody disturbs it any more; its run."""
    out = workshop.folder / f"out-{draw.random()}"
    attempts = 0
    while True:
        attempts += 1
        run = run_of(out)
        running = workshop.start("--out", out) if run is None else workshop.start(run=run)
        parent = psutil.Process(running.pid)
        hit = disturb(parent, running.kernels, draw, most=4 if attempts < 7 else 0)
        kernels = running.kernels()
        ended = workshop.end(running)
        for each in hit:
            tally.add(*each)
        _, alive = psutil.wait_procs(kernels, timeout=LONGEST_LIFE)
        assert not alive
        assert ended.code in {0, 3, 130, -signal.SIGKILL, 2}, ended.err
        assert "Traceback" not in ended.err, ended.err
        run = run_of(out)
        if ended.code == 2:  # the kernel was killed while it came up
            assert "The kernel ended while the model was being loaded" in ended.err
        if run is None:
            continue
        witness = workshop.folder / "witness" / run.name
        witnesses = {path.name for path in witness.iterdir()} if witness.exists() else set()
        assert_truthful(run, ended.code if ended.code != 2 else -signal.SIGKILL, witnesses)
        if ended.code == 0:
            assert ended.answer["state"] == "complete"
            return run


def test_kills_at_random_moments(workshop: Workshop) -> None:
    undisturbed = workshop.audit()
    assert undisturbed.code == 0, undisturbed.err
    assert set(undisturbed.verdicts.values()) == {"pass", "fail"}
    expected = (undisturbed.run / "findings.json").read_bytes()
    draw, tally = random.Random(0), Tally()
    while tally.total < 0.9 * KILLS:
        run = kill_until_complete(workshop, draw, tally)
        assert (run / "findings.json").read_bytes() == expected
    assert len(tally.kills) == 2 * len(SIGNALS)


def test_kills_of_the_audit_of_an_organism(tmp_path: Path) -> None:
    """The same with a real model, real scores and their cache."""
    quick = ("organism:planted", "--suite", "quick", "--limit", 12)
    undisturbed = workbench("audit", *quick, "--out", tmp_path / "undisturbed", "--json")
    assert undisturbed.code == 0, undisturbed.err
    expected = (undisturbed.run / "findings.json").read_bytes()
    draw, tally = random.Random(1), Tally()
    while tally.total < 0.08 * KILLS:
        out = tmp_path / f"{tally.total}"
        ended = Audit(1, "", "")
        while ended.code != 0:
            run = run_of(out)
            what = (*quick, "--out", out) if run is None else ("--resume", run)
            with subprocess.Popen(
                [COMMAND, "audit", *map(str, (*what, "--json"))],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ) as process:
                parent = psutil.Process(process.pid)
                time.sleep(draw.uniform(0, 3))
                most = 2 if tally.total < 0.08 * KILLS else 0
                for each in disturb(parent, parent.children, draw, most, longest=6):
                    tally.add(*each)
                printed, said = process.communicate(timeout=2 * DEADLINE)
            ended = Audit(process.returncode, printed, said)
            assert "Traceback" not in ended.err, ended.err
            assert ended.code in {0, 2, 3, 130, -signal.SIGKILL, -signal.SIGTERM}, ended.err
        assert (ended.run / "findings.json").read_bytes() == expected
        assert verify_run(ended.run) == []
