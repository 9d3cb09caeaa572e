"""The files of a run folder: those that can be read, and what stands there instead of one."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workbench.audit.records.folder import MANIFEST, SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Oddity", "json_object", "oddity", "plain_files", "sorted_out"]


@dataclass(frozen=True)
class Oddity:
    """An entry of a run folder that is neither a folder nor a file that can be read.

    Attributes:
        path: inside the run. Untrusted.
        what: a link is never followed.
    """

    path: str
    what: Literal["link", "unreadable", "no file"]
    reason: str


def plain_files(run: Path) -> dict[str, Path]:
    """Path inside the run -> file, without manifest and signature. Links are not followed."""
    return sorted_out(run)[0]


def sorted_out(run: Path) -> tuple[dict[str, Path], list[Oddity]]:
    """The plain files, without manifest and signature, and everything else that is not a folder."""
    present: dict[str, Path] = {}
    odd: list[Oddity] = []
    for name, path in _entries(run):
        problem = oddity(name, path)
        if problem is not None:
            odd.append(problem)
        elif name not in {MANIFEST, SIGNATURE}:
            present[name] = path
    return present, odd


def oddity(name: str, path: Path) -> Oddity | None:
    """What speaks against reading an entry; None for a plain file."""
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        return Oddity(name, "unreadable", str(error.strerror))
    if stat.S_ISLNK(mode):
        return Oddity(name, "link", "it was not followed")
    if stat.S_ISDIR(mode):
        return Oddity(name, "unreadable", "the folder cannot be entered")
    if not stat.S_ISREG(mode):
        return Oddity(name, "no file", "a pipe, a socket or a device")
    return None


def json_object(path: Path, most_bytes: int) -> dict[str, Any]:
    """The JSON object in a file; empty where it is a link, no file, larger, or no object."""
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > most_bytes:
            return {}
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _entries(run: Path) -> Iterator[tuple[str, Path]]:
    """Files, links, and folders that cannot be entered."""
    closed: list[OSError] = []
    for parent, folders, files in os.walk(run, onerror=closed.append):
        folders.sort()
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in sorted([*files, *links]):
            path = Path(parent) / name
            yield path.relative_to(run).as_posix(), path
    for error in closed:
        path = Path(error.filename)
        yield path.relative_to(run).as_posix(), path
