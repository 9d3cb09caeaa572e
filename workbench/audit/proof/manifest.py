"""The manifest of a run: the SHA-256 of every file in it, and whether they still are the same.

`manifest.json` is an in-toto statement (`statement`). All of it follows from the
folder alone, so that a check makes it anew and compares. On its own it shows an accident, not a
forger, who could write it anew as well; that takes a signature (`signing`).
"""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal, Self

from workbench.audit.proof.statement import MAX_BYTES, NotAStatementError, statement, subjects
from workbench.audit.records.files import Oddity, oddity, sorted_out
from workbench.audit.records.folder import AUDIT, MANIFEST
from workbench.errors import InputError
from workbench.provenance import Record, sha256, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "MANIFEST",
    "Difference",
    "ManifestError",
    "read_manifest",
    "require_run",
    "verify_run",
    "write_manifest",
]

What = Literal[
    "changed",
    "missing",
    "added",
    "link",
    "outside the run",
    "listed twice",
    "unreadable",
    "no file",
]


class Difference(Record):
    """A file that is not what the manifest says.

    Attributes:
        path: inside the run, as the folder or the manifest writes it. Untrusted.
        what: a link is never followed, and a path that leaves the run never opened.
        reason: more on it, where there is more to say.
    """

    path: str
    what: What
    reason: str = ""

    @classmethod
    def of(cls, odd: Oddity) -> Self:
        """What stands where a file should."""
        return cls(path=odd.path, what=odd.what, reason=odd.reason)


def write_manifest(run: Path) -> Path:
    """Write `manifest.json` over all files of the run but its signature; its path.

    Raises:
        InputError: where a file of the run cannot be read.
        StorageError: where the manifest cannot be written.
    """
    present, odd = sorted_out(run)
    closed = {found.path: found.reason for found in odd if found.what == "unreadable"}
    digests = {}
    for name, path in present.items():
        try:
            digests[name] = sha256(path)
        except OSError as error:
            closed[name] = str(error.strerror)
    for name, reason in closed.items():
        raise InputError(f"{run / name}: cannot be read ({reason}); a manifest needs every file.")
    write_atomically(run / MANIFEST, statement(run, digests))
    return run / MANIFEST


def verify_run(run: Path) -> list[Difference]:
    """What was changed, removed or added since the manifest was written, and what cannot be read.

    Raises:
        InputError: for what is not a run folder, or a manifest of a newer version.
    """
    require_run(run)
    present, found = sorted_out(run)
    odd = [Difference.of(one) for one in found]
    try:
        written = read_manifest(run)
        stated, repeated = subjects(written)
    except ManifestError as problem:
        return [*odd, problem.difference]
    except NotAStatementError as problem:
        return [*odd, Difference(path=MANIFEST, what="changed", reason=str(problem))]
    differences = [
        *_compare(stated, present, {difference.path for difference in odd}),
        *(Difference(path=name, what="listed twice") for name in repeated),
        *odd,
    ]
    if not differences and written != statement(run, stated):
        reason = "its files are as it lists them, but it was not written so"
        differences = [Difference(path=MANIFEST, what="changed", reason=reason)]
    return differences


def require_run(run: Path) -> None:
    """Refuse what is not a run folder.

    Raises:
        InputError: where it holds neither the record of an audit nor a manifest.
    """
    if not any(os.path.lexists(run / name) for name in (AUDIT, MANIFEST)):
        raise InputError(
            f"{run}: not a run folder: it holds neither {AUDIT} nor {MANIFEST}. "
            "Give the folder that `workbench audit` made."
        )


class ManifestError(Exception):
    """A manifest that cannot be read; says why."""

    def __init__(self, what: What, reason: str) -> None:
        super().__init__(reason)
        self.difference = Difference(path=MANIFEST, what=what, reason=reason)


def read_manifest(run: Path) -> bytes:
    """The manifest's bytes; a link in its place is not followed.

    Raises:
        ManifestError: where there is none, or it cannot be read.
    """
    path = run / MANIFEST
    if os.path.lexists(path) and oddity(MANIFEST, path) is not None:
        raise ManifestError("missing", "there is something else in its place")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ManifestError("changed", f"it is larger than {MAX_BYTES >> 20} MB: not read")
        return path.read_bytes()
    except FileNotFoundError:
        reason = "the run is not finished, or the file was removed"
        raise ManifestError("missing", reason) from None
    except OSError as error:
        raise ManifestError("unreadable", str(error.strerror)) from error


def _compare(
    stated: dict[str, str], present: dict[str, Path], odd: set[str]
) -> Iterator[Difference]:
    for name, digest in sorted(stated.items()):
        if _leaves(name):
            yield Difference(path=name, what="outside the run")
        elif odd.isdisjoint([name, *map(str, PurePosixPath(name).parents)]):
            # What is odd, or lies below it, is named as that.
            found = _state(present.get(name), digest)
            if found is not None:
                yield Difference(path=name, what=found)
    for name in sorted(set(present) - set(stated)):
        yield Difference(path=name, what="added")


def _state(path: Path | None, digest: str) -> What | None:
    if path is None:
        return "missing"
    try:
        return None if sha256(path) == digest else "changed"
    except OSError:
        return "unreadable"


def _leaves(name: str) -> bool:
    """Whether a path leads out of the run, on any system that it may be read on."""
    parts = name.replace("\\", "/").split("/")
    odd = not set(parts).isdisjoint({"..", ".", ""}) or "\\" in name or "\0" in name
    return odd or parts[0].endswith(":")
