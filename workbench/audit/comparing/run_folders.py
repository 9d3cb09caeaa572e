"""The run folders below a folder, and how each stands, as far as that can be told at a glance."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.audit.records.files import json_object
from workbench.audit.records.folder import AUDIT, STATUS, SUMMARY
from workbench.audit.records.lock import held
from workbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RunFolder", "run_folders"]

KILLED = "killed"
NO_STATUS = "not recorded"

_MARKS = {AUDIT, SUMMARY, "sections"}
_STATES = ("complete", "incomplete", "interrupted")
_DEPTH = 6
_MOST_BYTES = 16 << 20
_CHARACTERS = 200


@dataclass(frozen=True)
class RunFolder:
    """A folder that holds a run.

    Attributes:
        path: of the folder.
        name: the same, from where the runs were looked for.
        state: `complete`, `incomplete`, `interrupted`; `running` while an audit holds it; `killed`
            where it says so and none does; `not recorded`.
        summary: whether it has a `findings.parquet`.
        problems: what of it was not read, and why.
    """

    path: Path
    name: str
    state: str
    summary: bool
    problems: tuple[str, ...]

    def asked(self) -> dict[str, str]:
        """Run, model, suite and time, as its `audit.json` says; empty where it does not."""
        said = json_object(self.path / AUDIT, _MOST_BYTES)
        definition = said.get("definition")
        definition = definition if isinstance(definition, dict) else {}
        return {
            "run_id": _text(said.get("run_id")) or self.path.name,
            "created": _text(said.get("created")),
            "model": _text(said.get("model")),
            "suite": _text(definition.get("name")),
            "suite_version": _text(definition.get("version")),
            "workbench_version": _text(said.get("workbench_version")),
        }


def run_folders(folder: Path) -> Iterator[RunFolder]:
    """The run folders below a folder, or itself; six levels down, in the order of their names.

    Links are not followed, and a run is not looked into for others.

    Raises:
        InputError: where there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: not a folder; expected one with runs below it.")
    yield from _below(folder, folder, _DEPTH)


def _below(folder: Path, top: Path, depth: int) -> Iterator[RunFolder]:
    try:
        with os.scandir(folder) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError as error:
        name = folder.relative_to(top).as_posix()
        yield RunFolder(folder, name, NO_STATUS, summary=False, problems=(_why(name, error),))
        return
    if _MARKS & {entry.name for entry in entries}:
        yield _run(folder, top, entries)
        return
    for entry in entries:
        if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False) and depth:
            yield from _below(Path(entry.path), top, depth - 1)


def _run(folder: Path, top: Path, entries: list[os.DirEntry[str]]) -> RunFolder:
    name = folder.name if folder == top else folder.relative_to(top).as_posix()
    problems = []
    summary = next((entry for entry in entries if entry.name == SUMMARY), None)
    if summary is None:
        problems.append(f"{name}: has no {SUMMARY}, so its findings are not counted.")
    elif not summary.is_file(follow_symlinks=False):
        problems.append(f"{name}/{SUMMARY}: a link or no file; not read.")
        summary = None
    return RunFolder(folder, name, _state(folder), summary is not None, tuple(problems))


def _state(folder: Path) -> str:
    said = json_object(folder / STATUS, _MOST_BYTES).get("state")
    if said == "running":
        try:
            return "running" if held(folder) else KILLED
        except OSError:
            return KILLED
    return said if said in _STATES else NO_STATUS


def _text(value: Any) -> str:
    return value[:_CHARACTERS] if isinstance(value, str) else ""


def _why(name: str, error: OSError) -> str:
    return f"{name}: cannot be read ({error.strerror})."
