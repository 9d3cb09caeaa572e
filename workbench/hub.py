"""A model from the hub: only the files that loading needs, resumed, and checked by digest."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import (
    ModelError,
    OfflineError,
    StorageError,
    UnsafeWeightsError,
    WorkbenchError,
)
from workbench.folder import SIDE_FILES, TOKENIZER_FILES
from workbench.licences import LICENCE_FILES
from workbench.provenance import sha256, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["NotOnHubError", "download", "needed_files", "stated_digest"]

_SAFE_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_PICKLE_SHARD = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin|pytorch_model\.bin\.index\.json")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class NotOnHubError(ModelError):
    """A repository that the hub does not have, or does not show to this user."""


@dataclass(frozen=True)
class _Repository:
    """One repository of a hub at one commit, and where the cache keeps it."""

    name: str
    commit: str
    endpoint: str | None
    cache: Path

    @property
    def snapshot(self) -> Path:
        return self.cache / "snapshots" / self.commit


def download(
    repo: str, revision: str | None = None, *, allow_pickle: bool = False, offline: bool = False
) -> Path:
    """The folder of a model at a revision, in the Hugging Face cache; named after its commit.

    `HF_ENDPOINT` says which hub and `HF_HOME` where the cache is. A file enters the cache once
    its digest is the one that the hub states. A large one that was cut short continues where it
    stopped.

    Raises:
        NotOnHubError: for a repository or revision that is not there.
        UnsafeWeightsError: where the weights are only there as pickles, without `allow_pickle`.
        OfflineError: where nothing may be downloaded and the model is not in the cache.
        ModelError: for a hub that does not answer, and a file whose digest is wrong.
    """
    _without_telemetry()
    if offline or _is_offline():
        return _from_cache(repo, revision)
    with _plain_errors(repo, revision), _progress_on_terminals():
        return _download(repo, revision, allow_pickle=allow_pickle)


def needed_files(names: Iterable[str], *, allow_pickle: bool) -> list[str]:
    """The files of a repository that loading needs: safetensors, or pickles where allowed.

    Raises:
        UnsafeWeightsError: where there are only pickles and they are not allowed.
    """
    # A name with a separator lies in a subfolder, which loading does not read.
    top = sorted(name for name in names if "/" not in name and "\\" not in name)
    small = [
        name
        for name in top
        if name in {*SIDE_FILES, *TOKENIZER_FILES, "README.md"}
        or name.upper().startswith(LICENCE_FILES)
    ]
    if "model.safetensors" in top:
        return [*small, "model.safetensors"]
    shards = [name for name in top if _SAFE_SHARD.fullmatch(name)]
    if shards:
        return [*small, "model.safetensors.index.json", *shards]
    pickles = [name for name in top if name.endswith(_PICKLES)]
    if pickles and not allow_pickle:
        raise UnsafeWeightsError(
            f"The weights are only there as {', '.join(pickles)}, a format that can run code when "
            "it is read. Look for a safetensors version, or accept the risk with --allow-pickle "
            "(allow_pickle=True in Python)."
        )
    return small + [name for name in pickles + top if _PICKLE_SHARD.fullmatch(name)]


def stated_digest(path: Path) -> str | None:
    """The SHA-256 that the hub stated for a large file of the cache; None for any other file.

    The cache keeps such a file under its digest and links to it.
    """
    if not path.is_symlink():
        return None
    name = path.resolve().name
    return name if _SHA256.fullmatch(name) else None


def _without_telemetry() -> None:
    """Keep huggingface_hub from asking for a list of programs, to say which of them calls it."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_TELEMETRY = True


def _is_offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE) or os.environ.get("HF_HUB_OFFLINE", "").upper() in {
        "1",
        "ON",
        "YES",
        "TRUE",
    }


def _cache(repo: str) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model")


def _from_cache(repo: str, revision: str | None) -> Path:
    cache = _cache(repo)
    wanted = revision or "main"
    reference = cache / "refs" / wanted
    commit = reference.read_text().strip() if reference.is_file() else wanted
    snapshot = cache / "snapshots" / commit
    # Other programs leave a snapshot without weights when they only needed the config.
    whole = "/" not in commit and ".." not in wanted and _has_weights(snapshot)
    if not whole:
        raise OfflineError(
            f"{_at(repo, revision)} is not in the cache ({cache.parent}), and this process is "
            "offline. Run it once without --offline (and without HF_HUB_OFFLINE) to download it."
        )
    return snapshot


def _download(repo: str, revision: str | None, *, allow_pickle: bool) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    endpoint = os.environ.get("HF_ENDPOINT") or None
    info = HfApi(endpoint=endpoint).model_info(repo, revision=revision, files_metadata=True)
    assert info.sha is not None
    found = _Repository(repo, info.sha, endpoint, _cache(repo))
    siblings = {file.rfilename: file for file in info.siblings or ()}
    names = needed_files(siblings, allow_pickle=allow_pickle)
    for name in names:
        if name in siblings and (large := siblings[name].lfs):
            _fetch_large(found, name, large.sha256, large.size)
    snapshot_download(
        repo,
        revision=found.commit,
        endpoint=endpoint,
        allow_patterns=[escape(name) for name in names],
    )
    for name in names:
        if name in siblings and siblings[name].lfs is None:
            _verify_small(found, name, siblings[name].blob_id)
    if revision != found.commit:
        # So that the same name is found again without a connection.
        write_atomically(found.cache / "refs" / (revision or "main"), found.commit.encode())
    return found.snapshot


def _fetch_large(repository: _Repository, name: str, digest: str, size: int) -> None:
    """Put a file into the cache under its digest, continuing where an earlier try stopped.

    huggingface_hub 2 begins such a file anew in each process, so this part is done here.
    """
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented there
        WeakFileLock,
    )

    if not _SHA256.fullmatch(digest):
        raise ModelError(f"{repository.name}: the hub states {digest!r} as the SHA-256 of {name}.")
    whole = repository.cache / "blobs" / digest
    # The lock that huggingface_hub itself takes for this file.
    lock = repository.cache.parent / ".locks" / repository.cache.name / f"{digest}.lock"
    for path in (whole, lock):
        path.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if whole.is_file() and whole.stat().st_size == size:
            return
        part = whole.with_suffix(".part")
        _continue(repository, name, part, size)
        found = sha256(part)
        if found != digest:
            part.unlink()
            raise _wrong_digest(repository, name, "SHA-256", found, digest)
        part.replace(whole)


def _continue(repository: _Repository, name: str, part: Path, size: int) -> None:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented there
        build_hf_headers,
    )

    if part.is_file() and part.stat().st_size > size:
        part.unlink()
    with part.open("ab") as file:
        http_get(
            hf_hub_url(
                repository.name, name, revision=repository.commit, endpoint=repository.endpoint
            ),
            file,
            resume_size=file.tell(),
            headers={**build_hf_headers(), "Accept-Encoding": "identity"},
            expected_size=size,
            displayed_filename=name,
        )


def _verify_small(repository: _Repository, name: str, blob_id: str | None) -> None:
    """Compare a file with the git object that the hub states; take it out where they differ."""
    path = repository.snapshot / name
    content = path.read_bytes()
    header = b"blob %d\0" % len(content)
    found = hashlib.sha1(header + content, usedforsecurity=False).hexdigest()
    if blob_id is not None and found != blob_id:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise _wrong_digest(repository, name, "git object id", found, blob_id)


def _wrong_digest(
    repository: _Repository, name: str, what: str, found: str, stated: str
) -> ModelError:
    return ModelError(
        f"{repository.name}: {name} arrived with the {what} {found}, and the hub states {stated}. "
        "It was damaged or altered on its way, and is deleted. Try again; if it happens twice, "
        "do not trust this source."
    )


def _has_weights(snapshot: Path) -> bool:
    return any(path.suffix in {".safetensors", ".bin"} for path in snapshot.glob("*"))


def _at(repo: str, revision: str | None) -> str:
    return f"{repo} at revision {revision}" if revision else repo


@contextmanager
def _plain_errors(repo: str, revision: str | None) -> Iterator[None]:
    """What the hub's client raises, in words that say what to do."""
    from huggingface_hub import errors

    # The base of the HTTP library's own errors, whichever of them huggingface_hub is built on.
    broken: type[BaseException]
    broken = next(kind for kind in errors.HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")
    try:
        yield
    except errors.GatedRepoError as error:
        raise NotOnHubError(
            f"{repo} is gated on the hub: accept its terms on its page, then `hf auth login`."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise NotOnHubError(
            f"{repo} is not on the hub ({_endpoint()}), or is private. Check its name; for a "
            "private one, `hf auth login`."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise NotOnHubError(
            f"{repo} on the hub has no revision {revision!r}. Give a branch, a tag or a commit "
            "from its history."
        ) from error
    except errors.HFValidationError as error:
        raise NotOnHubError(f"{repo!r} is not a name that the hub can have: {error}") from error
    except (broken, errors.LocalEntryNotFoundError) as error:
        raise ModelError(
            f"{_at(repo, revision)}: the hub ({_endpoint()}) does not answer, or stopped in the "
            f"middle ({type(error).__name__}: {_first_line(error)}). Try again: it continues where "
            "it stopped. With a copy in the cache, --offline uses that."
        ) from error
    except StorageError:
        raise
    except OSError as error:
        raise _transfer_error(_at(repo, revision), error) from error


def _transfer_error(model: str, error: OSError) -> WorkbenchError:
    if error.errno is None:  # how huggingface_hub says that a file has the wrong size
        return ModelError(
            f"{model}: a file did not arrive whole ({_first_line(error)}). Try again."
        )
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageError(
            f"{model}: the disk of the Hugging Face cache is full. Free some space, or set HF_HOME "
            "to a folder on another disk."
        )
    return StorageError(
        f"{model}: the Hugging Face cache cannot be written ({error.strerror}: {error.filename}). "
        "Set HF_HOME to a folder that you may write to."
    )


def _endpoint() -> str:
    from huggingface_hub import constants

    return os.environ.get("HF_ENDPOINT") or constants.ENDPOINT


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "no reason given")[:200]


@contextmanager
def _progress_on_terminals() -> Iterator[None]:
    """Progress bars where somebody watches, and none in logs."""
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented there
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if sys.stderr.isatty() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
