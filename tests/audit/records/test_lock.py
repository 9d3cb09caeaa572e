"""A run is held by the process that writes it, and by no other, until it ends in whatever way."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from workbench.audit.records.lock import held, hold
from workbench.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """\
import sys, time
from pathlib import Path
from workbench.audit.records.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_run_is_held_while_inside(tmp_path: Path) -> None:
    assert not held(tmp_path)
    with hold(tmp_path):
        assert held(tmp_path)
    assert not held(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_lock_moves_with_the_folder(tmp_path: Path) -> None:
    (tmp_path / "draft").mkdir()
    with hold(tmp_path / "draft"):
        run = (tmp_path / "draft").rename(tmp_path / "run")
        assert held(run)


def test_another_process_cannot_hold_it_and_its_death_lets_it_go(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert held(tmp_path)
        with pytest.raises(InputError, match="an audit is writing this run"), hold(tmp_path):
            pass
        process.kill()
        process.wait()
        assert not held(tmp_path)
