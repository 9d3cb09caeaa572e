"""How much memory there is, with and without a limit around the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

from workbench import memory

if TYPE_CHECKING:
    from pathlib import Path


def test_no_more_is_available_than_the_machine_has() -> None:
    assert 0 < memory.available_memory() <= psutil.virtual_memory().total


def group(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


def test_the_tightest_limit_above_the_process_counts(tmp_path: Path) -> None:
    root, membership = tmp_path / "cgroup", tmp_path / "self"
    membership.write_text("0::/pod/container\n")
    group(root / "pod/container", memory__max="max", memory__current=300)
    group(root / "pod", memory__max=1000, memory__current=700)
    (root / "pod/memory.stat").write_text("anon 500\ninactive_file 100\n")
    assert memory._left_in_cgroup(root, membership) == 400


def test_the_first_version_of_cgroups(tmp_path: Path) -> None:
    membership = tmp_path / "self"
    membership.write_text("5:cpu,memory:/x\n4:cpuset:/\n")
    limits = {"memory__limit_in_bytes": 1000, "memory__usage_in_bytes": 1200}
    group(tmp_path / "memory/x", **limits)
    assert memory._left_in_cgroup(tmp_path, membership) == 0


def test_no_limit_and_no_cgroups(tmp_path: Path) -> None:
    assert memory._left_in_cgroup(tmp_path, tmp_path / "none") is None
    (tmp_path / "self").write_text("0::/\n")
    assert memory._left_in_cgroup(tmp_path, tmp_path / "self") is None


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_500_000, "1.5 MB"),
        (240_000_000_000, "240 GB"),
        (10**12, "1 TB"),
        (10**16, "10,000 TB"),
    ],
)
def test_sizes_as_people_say_them(count: int, text: str) -> None:
    assert memory.human_bytes(count) == text


@pytest.mark.parametrize(
    ("line", "name"),
    [("0::/job", "job/memory.events"), ("4:memory:/job", "memory/job/memory.oom_control")],
)
def test_kills_for_want_of_memory_are_counted_by_the_group_or_the_machine(
    line: str, name: str, tmp_path: Path
) -> None:
    membership, machine = tmp_path / "cgroup", tmp_path / "vmstat"
    membership.write_text(line + "\n")
    assert memory._out_of_memory_kills(tmp_path, membership, machine) is None
    machine.write_text("pgfault 7\noom_kill 5\n")
    assert memory._out_of_memory_kills(tmp_path, membership, machine) == 5
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("under_oom 0\noom_kill 2\n")
    assert memory._out_of_memory_kills(tmp_path, membership, machine) == 2
