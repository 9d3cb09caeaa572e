"""Captures that are killed, interrupted or out of disk: what is finished stays, and goes on."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import capturing_process
import pytest
import torch

from workbench.activations import Activations
from workbench.errors import InputError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

DRIVER = str(Path(capturing_process.__file__))
DEADLINE = 120


def finished(folder: Path) -> dict[str, str]:
    """The finished shards and their digests, as the index has them."""
    path = folder / "index.json"
    if not path.exists():
        return {}
    return {shard["file"]: shard["sha256"] for shard in json.loads(path.read_text())["shards"]}


def hidden(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(".")]  # noqa: PTH208 - hidden ones


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Activations:
    """The same capture, undisturbed."""
    return capturing_process.run(str(tmp_path_factory.mktemp("whole") / "out"))


def wait_for_shards(process: subprocess.Popen[str], folder: Path) -> None:
    """Until some are finished, and not all."""
    end = time.monotonic() + DEADLINE
    while len(finished(folder)) < 3:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)


@contextmanager
def under_way(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A capture in another process that has finished some of its shards."""
    command = [sys.executable, DRIVER, str(folder)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        wait_for_shards(process, folder)
        yield process


def require_gone_on(folder: Path, whole: Activations) -> None:
    """What is finished stays as it is, and the same call does the rest."""
    shards = finished(folder)
    assert 3 <= len(shards) < len(whole.index.shards)
    # Whatever can be seen is whole. One may have been finished just before its index.
    seen = {path.name for path in folder.glob("activations-*")}
    assert set(shards) <= seen <= {*shards, f"activations-{len(shards):05}.safetensors"}
    for name, digest in shards.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    with pytest.raises(InputError, match="not complete"):
        Activations.open(folder)
    times = {name: (folder / name).stat().st_mtime_ns for name in shards}

    again = capturing_process.run(str(folder))
    assert hidden(folder) == []
    assert {name: (folder / name).stat().st_mtime_ns for name in shards} == times
    assert again.index == whole.index
    for site in whole.sites:
        assert torch.equal(again.tensor(site), whole.tensor(site))
    Activations.open(folder).verify()


def test_a_killed_capture_goes_on(tmp_path: Path, whole: Activations) -> None:
    with under_way(tmp_path) as process:
        process.kill()
    assert process.returncode == -signal.SIGKILL
    require_gone_on(tmp_path, whole)


def test_one_at_a_time_and_an_interrupted_one_goes_on(tmp_path: Path, whole: Activations) -> None:
    with under_way(tmp_path) as process:
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(InputError, match="another process is writing activations here"):
            capturing_process.run(str(tmp_path))
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=DEADLINE)
    assert process.returncode != 0
    assert said.splitlines()[-1] == "KeyboardInterrupt"
    assert hidden(tmp_path) == []
    require_gone_on(tmp_path, whole)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 8 MiB; skips where none can be made."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no small disk can be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_too_small_a_disk_is_said_before_anything_is_written(disk: Path) -> None:
    (disk / "ballast").write_bytes(bytes(6 << 20))
    with pytest.raises(StorageError, match=r"takes .* MB of disk, and .* MB are free"):
        capturing_process.run(str(disk / "out"))
    assert not (disk / "out").exists()


def test_a_disk_that_fills_leaves_what_is_finished(disk: Path, whole: Activations) -> None:
    ballast, out = disk / "ballast", disk / "out"
    with under_way(out) as process:
        with ballast.open("wb", buffering=0) as file:  # to the last byte
            for piece in (1 << 16, 1 << 12, 1):
                try:
                    while file.write(bytes(piece)):
                        pass
                except OSError:
                    continue
        _, said = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert said.splitlines()[-1].startswith("workbench.errors.StorageError: ")
    assert "the disk is full" in said
    assert hidden(out) == []
    ballast.unlink()
    require_gone_on(out, whole)
