"""A disk that is full: said at the start where it can be, and nothing half-written later."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from auditing import CUSTOM, Audit, custom_command, files_below, invoke, workbench, write_suite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Folder = pytest.TempPathFactory

# Fills the file system of the run, outside of the run, to the last byte.
FILL = """\
ballast = pathlib.Path(run).parents[2] / "ballast"
with ballast.open("wb", buffering=0) as file:
    for piece in (1 << 16, 1):
        try:
            while True:
                file.write(bytes(piece))
        except OSError:
            pass
"""
SAVE = """\
from workbench import Result
section.save(Result.of("rows", [{"n": n, "text": str(n) * 9} for n in range(9999)]))
"""
# Nothing of ours writes here: papermill's own copy of the notebook is what fails.
PRINT = "print('x' * 200_000)"


def mounted(folder: Path, size: str) -> Path:
    """A small file system of its own; skips where none can be made."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no small disk can be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    return folder


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_too_small_a_disk_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = mounted(tmp_path / "disk", "8m")
    try:
        ended = invoke(monkeypatch, capsys, "audit", "organism:planted", "--out", disk / "out")
        assert ended.code == 2
        assert ended.out == ""
        (line,) = ended.err.splitlines()
        assert "only 8 MiB are free and a run needs 32 MiB" in line
        assert "--out" in line
        assert not os.listdir(disk)  # noqa: PTH208 - hidden files, too
    finally:
        unmount(disk)


WRITERS = {"a section": SAVE, "papermill": PRINT}


@pytest.fixture(scope="module")
def filled(
    gpt2_directory: Path, tmp_path_factory: Folder
) -> Iterator[dict[str, tuple[Future[Audit], Path]]]:
    """Audits of which a cell fills the disk before the next one writes."""
    folder = tmp_path_factory.mktemp("full")
    disks: list[Path] = []
    runs = {}
    try:
        with ThreadPoolExecutor(2) as pool:
            for place, (name, cell) in enumerate(WRITERS.items()):
                disks.append(mounted(folder / f"disk-{place}", "40m"))
                sections = {"first": [FILL, cell], "second": [""]}
                suite = write_suite(folder / f"suite-{place}", sections, [("A-1", "first")])
                arguments = ("audit", gpt2_directory, "--suite", CUSTOM, "--out", disks[-1] / "out")
                command = custom_command(suite)
                runs[name] = (pool.submit(workbench, *arguments, command=command), disks[-1])
            yield runs
            pool.shutdown(cancel_futures=True)
    finally:
        for disk in disks:
            unmount(disk)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_disk_that_fills_up_leaves_nothing_half_written(
    writer: str, filled: dict[str, tuple[Future[Audit], Path]]
) -> None:
    running, disk = filled[writer]
    ended = running.result()
    assert (disk / "ballast").stat().st_size > 32 << 20
    assert ended.code == 2, ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err
    line = ended.err.splitlines()[-1]
    assert line.startswith("workbench: ")
    assert "the disk is full. Free some space or choose another folder with --out." in line
    assert files_below(disk) == {"ballast"}
