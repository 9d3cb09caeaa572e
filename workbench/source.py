"""Where a model lies: a folder of this machine, the hub, or a model organism."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from workbench import hub
from workbench.errors import InputError, ModelError, OfflineError, did_you_mean
from workbench.resources import organism_weights

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["Checkpoint", "Kind", "resolve"]

Kind = Literal["local", "hub", "organism"]

_ORGANISM = "organism:"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[^@\s]+)?")


@dataclass(frozen=True)
class Checkpoint:
    """A model's folder on this machine, and how it was asked for.

    Attributes:
        source: what was asked for, as it was typed.
        kind: `local`, `hub` or `organism`.
        directory: absolute.
        revision: the commit on the hub; None elsewhere.
    """

    source: str
    kind: Kind
    directory: Path
    revision: str | None

    @property
    def name(self) -> str:
        """A short name that is safe for a folder: `pythia-70m`, `org--name`, `planted`."""
        if self.kind == "hub":
            name = self.source.partition("@")[0].replace("/", "--")
        else:
            name = self.directory.name
        return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip(".-")[:100] or "model"


def resolve(
    spec: str | PathLike[str],
    *,
    offline: bool = False,
    allow_pickle: bool = False,
    revision: str | None = None,
) -> Checkpoint:
    """The folder that a local path, `org/name[@revision]` or `organism:NAME` means.

    A folder of this machine wins over a hub id of the same name. A hub id is downloaded.

    Raises:
        ModelError: where there is no such model.
        OfflineError: for a hub id that is not in the cache, with `offline`.
    """
    source = str(spec)
    if source.startswith(_ORGANISM):
        return _organism(source)
    path = _local(source)
    if path is not None:
        if revision is not None:
            raise InputError(
                f"{source} is a folder on this machine, which has no revision {revision!r}. "
                "Leave the revision out, or give org/name for the hub."
            )
        return Checkpoint(source, "local", path, None)
    if not _HUB_ID.fullmatch(source):
        raise ModelError(
            f"{source!r}: no such directory. Expected a local directory, org/name on the hub or "
            "organism:NAME."
        )
    return _from_hub(source, revision, offline=offline, allow_pickle=allow_pickle)


def _organism(source: str) -> Checkpoint:
    name = source.removeprefix(_ORGANISM)
    folder = organism_weights()
    known = sorted(path.name for path in folder.glob("*") if path.is_dir())
    if name not in known:
        raise ModelError(
            f"{source}: there is no model organism {name!r}. "
            + (did_you_mean(name, known) if known else f"None are installed in {folder}.")
        )
    return Checkpoint(source, "organism", (folder / name).resolve(), None)


def _local(source: str) -> Path | None:
    """The directory of this machine that a name means; None where there is none."""
    try:
        path = Path(source).expanduser()
        found = bool(source.strip()) and path.exists()
        if not found:
            return None
        if not path.is_dir():
            raise ModelError(
                f"{source}: a file; expected the directory that it lies in, with config.json, "
                f"the tokenizer and the weights: {path.parent}"
            )
        return path.resolve()
    except (OSError, RuntimeError) as error:  # a name too long, no such user, no permission
        raise ModelError(
            f"{source!r}: cannot be looked up ({error}). Expected a local directory, org/name on "
            "the hub or organism:NAME."
        ) from error


def _from_hub(
    source: str, revision: str | None, *, offline: bool, allow_pickle: bool
) -> Checkpoint:
    repo, _, named = source.partition("@")
    if named and revision and named != revision:
        raise InputError(
            f"{source} names revision {named!r}, and revision={revision!r} was given. Give one."
        )
    wanted = named or revision
    try:
        directory = hub.download(repo, wanted, allow_pickle=allow_pickle, offline=offline)
    except OfflineError as error:
        raise OfflineError(f"{source}: no such directory here, and {error}") from error
    except hub.NotOnHubError as error:
        raise ModelError(f"{source}: no such directory here, and {error}") from error
    return Checkpoint(source, "hub", directory, directory.name)
