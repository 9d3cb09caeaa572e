"""The manifest of a run: the SHA-256 of every file in it, and whether they still are the same."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from workbench.errors import InputError
from workbench.provenance import FileRecord, Record, sha256

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MANIFEST", "Difference", "Manifest", "verify_run", "write_manifest"]

MANIFEST = "manifest.json"


class Manifest(Record):
    """Every file of a run folder, the manifest itself excepted, by its path inside the folder."""

    schema_version: Literal[1] = Field(1, alias="schema")
    files: tuple[FileRecord, ...]


class Difference(Record):
    """A file that is not what the manifest says."""

    path: str
    what: Literal["changed", "missing", "added", "outside the run"]


def write_manifest(run: Path) -> Path:
    """Write `manifest.json` over all files of the run; its path."""
    files = tuple(
        FileRecord(name=name, bytes=path.stat().st_size, sha256=sha256(path))
        for name, path in sorted(_files(run).items())
    )
    Manifest(files=files).write(run / MANIFEST)
    return run / MANIFEST


def verify_run(run: Path) -> list[Difference]:
    """The files that were changed, removed or added since the manifest was written.

    Raises:
        InputError: where there is no manifest, or it is not one.
    """
    if not (run / MANIFEST).is_file():
        raise InputError(f"{run} has no {MANIFEST}; expected the folder of a finished run.")
    stated = {file.name: file for file in Manifest.read(run / MANIFEST).files}
    present = _files(run)
    differences = []
    for name, file in sorted(stated.items()):
        if _leaves(name):
            differences.append(Difference(path=name, what="outside the run"))
        elif name not in present:
            differences.append(Difference(path=name, what="missing"))
        elif sha256(present[name]) != file.sha256:
            differences.append(Difference(path=name, what="changed"))
    added = sorted(set(present) - set(stated))
    return differences + [Difference(path=name, what="added") for name in added]


def _files(run: Path) -> dict[str, Path]:
    """Path inside the run -> file. A link is never followed: it is no file of the run."""
    return {
        path.relative_to(run).as_posix(): path
        for path in run.rglob("*")
        if path.is_file() and not path.is_symlink() and path != run / MANIFEST
    }


def _leaves(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts
