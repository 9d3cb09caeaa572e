"""How much memory a model may take: the machine's, or the container's where that is less."""

from __future__ import annotations

from pathlib import Path

__all__ = ["available_memory", "human_bytes", "out_of_memory_kills"]

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_MACHINE = Path("/proc/vmstat")


def available_memory() -> int:
    """The bytes that this process can still take without swapping or being killed."""
    import psutil

    free: int = psutil.virtual_memory().available
    left = _left_in_cgroup()
    return free if left is None else min(free, left)


def out_of_memory_kills() -> int | None:
    """How often the system has killed here for want of memory; None where it does not say.

    Counted for this process's own control group and what it has started, or else for the machine.
    """
    return _out_of_memory_kills()


def human_bytes(count: int) -> str:
    """A size as people say it.

    >>> human_bytes(1_500_000)
    '1.5 MB'
    """
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:  # noqa: PLR2004 - the step of the decimal units
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB" if size < 1000 else f"{size:,.0f} TB"  # noqa: PLR2004 - the same


def _left_in_cgroup(root: Path = _CGROUPS, membership: Path = _MEMBERSHIP) -> int | None:
    """What the tightest limit around this process leaves; None where none is set.

    Limits nest: each folder from this process's group up to the root can hold one.
    """
    left = []
    for folder, names in _groups(root, membership):
        for group in (folder, *folder.parents):
            if not group.is_relative_to(root):
                break
            limit, used = (_number(group / name) for name in names)
            if limit is not None and used is not None:
                # Cached file pages count as used, and are given back on demand.
                left.append(max(0, limit - used + _reclaimable(group)))
    return min(left, default=None)


def _out_of_memory_kills(
    root: Path = _CGROUPS, membership: Path = _MEMBERSHIP, machine: Path = _MACHINE
) -> int | None:
    groups = [folder for folder, _ in _groups(root, membership)]
    counters = [
        group / name for group in groups for name in ("memory.events", "memory.oom_control")
    ]
    for path in (*counters, machine):
        try:
            entries = dict(line.split() for line in path.read_text().splitlines())
        except (OSError, ValueError):
            continue
        if "oom_kill" in entries:
            return int(entries["oom_kill"])
    return None


def _groups(root: Path, membership: Path) -> list[tuple[Path, tuple[str, str]]]:
    """The memory groups of this process (versions 1 and 2) and their files' names."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return []
    groups = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        inside = path.lstrip("/")
        if not controllers:
            groups.append((root / inside, ("memory.max", "memory.current")))
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
            groups.append((root / "memory" / inside, names))
    return groups


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None  # "max" is no limit


def _reclaimable(group: Path) -> int:
    try:
        lines = (group / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
