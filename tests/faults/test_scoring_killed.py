"""Scoring that is killed, and scoring by several at once: what is finished is never done again."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import scoring_process

from workbench.model import load

if TYPE_CHECKING:
    from workbench.scoring.engine import Scores

DRIVER = str(Path(scoring_process.__file__))
DEADLINE = 300


def started(cache: Path, model: str = "organism:planted") -> subprocess.Popen[str]:
    command = [sys.executable, DRIVER, str(cache), model]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def kept(cache: Path) -> dict[bytes, bytes]:
    """Every finished entry, as another process sees it."""
    if not cache.exists():
        return {}
    with closing(sqlite3.connect(cache, timeout=60)) as connection:
        try:
            return dict(connection.execute("SELECT key, value FROM entries"))
        except sqlite3.OperationalError:  # the tables are not there yet
            return {}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Scores:
    """The same scores, undisturbed."""
    return scoring_process.run(str(tmp_path_factory.mktemp("whole") / "scores.sqlite"))


def test_a_killed_run_scores_nothing_twice(tmp_path: Path, whole: Scores) -> None:
    cache = tmp_path / "scores.sqlite"
    total = len(set(scoring_process.PAIRS))
    end = time.monotonic() + DEADLINE
    with started(cache) as process:
        while len(kept(cache)) < 10:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.005)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    before = kept(cache)
    assert 10 <= len(before) < total

    again = scoring_process.run(str(cache))
    assert again.report.from_cache == len(before)
    after = kept(cache)
    assert {key: after[key] for key in before} == before
    assert len(after) == total
    # To the last bit: what was missing ran in the batches that it would have run in.
    assert again.scores == whole.scores

    third = scoring_process.run(str(cache))
    assert third.report.from_cache == total
    assert third.report.computed_tokens == 0
    assert third.scores == again.scores


def test_two_models_write_one_file_at_once(tmp_path: Path, whole: Scores) -> None:
    cache = tmp_path / "scores.sqlite"
    names = ("organism:planted", "organism:clean", "organism:planted")
    processes = [started(cache, name) for name in names]
    for process in processes:
        _, said = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0, said
    total = len(set(scoring_process.PAIRS))
    assert len(kept(cache)) == 2 * total
    planted, clean = (scoring_process.run(str(cache), name) for name in names[:2])
    assert planted.report.from_cache == clean.report.from_cache == total
    assert planted.scores == whole.scores
    assert clean.scores != planted.scores
    with closing(sqlite3.connect(cache)) as connection:
        stated = [row for (row,) in connection.execute("SELECT identity FROM models")]
    assert len(stated) == 2
    for name in names[:2]:
        digest = load(name).provenance.weights_digest
        assert sum(digest in row for row in stated) == 1
