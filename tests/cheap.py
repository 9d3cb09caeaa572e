"""Audits that need no model: made-up sections, a real kernel, real papermill, a real run folder."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil
from auditing import CUSTOM, Audit, write_suite

if TYPE_CHECKING:
    from types import TracebackType

FORKS = Path(__file__).parent / "faults" / "cheap_audits.py"
DEADLINE = 60

# What a section of a made-up suite begins with, where no model is wanted.
LOAD = """\
import json, os, pathlib, sys, time
from workbench.audit.sections.section import Section
from workbench.provenance import FileRecord, ModelProvenance, package_versions
provenance = ModelProvenance(
    source="made up", kind="local", revision=None,
    files=(FileRecord(name="weights", bytes=1, sha256="f1"),), weights_digest="d1",
    licence=None, licence_source=None, architecture="None", model_type="none", parameters=1,
    context_length=None, vocabulary=1, dtype="float32", stored_dtypes=("float32",), device="cpu",
    attention="eager", non_finite=(), packages=package_versions(),
)
section = Section({name!r}, provenance, suite=suite, run=run)
"""


@dataclass
class Running:
    """An audit under way, and how it ended.

    Attributes:
        pid: its process.
        code: its exit status; negative for a signal; None while it runs.
    """

    pid: int
    out: Path
    err: Path
    code: int | None = None

    def kernels(self) -> list[psutil.Process]:
        """The kernels that it has now."""
        try:
            return psutil.Process(self.pid).children()
        except psutil.NoSuchProcess:
            return []

    def said(self) -> Audit:
        assert self.code is not None
        return Audit(self.code, self.out.read_text(), self.err.read_text())


class Workshop:
    """Made-up sections in a folder, and audits of them, one at a time.

    Args:
        folder: to write in.
        sections: name -> the cells of its notebook, after parameters and `LOAD`.
        checks: (code, section) of each.
    """

    def __init__(self, folder: Path, sections: dict[str, list[str]], checks: list[Any]) -> None:
        self.folder = write_suite(folder, sections, checks, load=LOAD)
        self.out = folder / "out"
        self._count = 0

    def __enter__(self) -> Self:
        self._forks = subprocess.Popen(
            [sys.executable, FORKS, self.folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        self._forks.stdin.close()
        self._forks.wait(DEADLINE)
        self._forks.stdout.close()

    def start(self, *options: object, run: Path | None = None) -> Running:
        """Start an audit of all sections, or go on with a run."""
        what = ("organism:planted", "--suite", CUSTOM, "--out", self.out)
        arguments = [*(what if run is None else ("--resume", run)), *options, "--json"]
        self._count += 1
        out, err = (self.folder / f"{self._count}.{name}" for name in ("out", "err"))
        order = {"arguments": ["audit", *map(str, arguments)], "out": str(out), "err": str(err)}
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        self._forks.stdin.write(json.dumps(order) + "\n")
        self._forks.stdin.flush()
        return Running(int(self._forks.stdout.readline()), out, err)

    def end(self, running: Running) -> Audit:
        """Wait for its end; what it left behind."""
        assert self._forks.stdout is not None
        watchdog = threading.Timer(DEADLINE, lambda: psutil.Process(running.pid).kill())
        watchdog.start()
        running.code = int(self._forks.stdout.readline())
        watchdog.cancel()
        return running.said()

    def audit(self, *options: object, run: Path | None = None) -> Audit:
        """An audit from its start to its end."""
        return self.end(self.start(*options, run=run))

    def runs(self) -> list[Path]:
        """The runs that are there."""
        return sorted(self.out.glob("*/[!.]*"))
