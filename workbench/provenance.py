"""Frozen records of where a number came from: weights, code, packages, machine, seed.

Records are written deterministically (sorted keys, fixed rounding) and atomically (temporary name,
fsync, rename), so that equal runs leave equal bytes and a killed one leaves no half of a file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import platform
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from workbench.errors import InputError, StorageError

__all__ = [
    "PACKAGES",
    "FileRecord",
    "Host",
    "ModelProvenance",
    "Record",
    "code_version",
    "dump_json",
    "host",
    "package_versions",
    "sha256",
    "storage_error",
    "weights_digest",
    "write_atomically",
]

# The packages whose version can change a number.
PACKAGES = (
    "open-weights-workbench",
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "transformer-lens",
    "lm_eval",
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "statsmodels",
    "papermill",
    "plotly",
)

_CHUNK = 1 << 20
_SIGNIFICANT = 10


class Record(BaseModel):
    """A frozen record that is written to a run and read back; unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def write(self, path: Path) -> None:
        """Write the record as JSON, atomically.

        Raises:
            StorageError: where the file cannot be written.
        """
        write_atomically(path, dump_json(self.model_dump(mode="json", by_alias=True)).encode())

    @classmethod
    def read(cls, path: Path) -> Self:
        """The record in a JSON file.

        Raises:
            InputError: for a missing file, or one that is not such a record.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}); expected a {cls.__name__} record."
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the whole file"
            raise InputError(
                f"{path}: not a {cls.__name__} record: {where}: {first['msg']}. "
                "It was altered, or written by another version."
            ) from error


class FileRecord(Record):
    """One file of a model: its name inside the model's folder, bytes and SHA-256."""

    name: str
    bytes: int
    sha256: str


class ModelProvenance(Record):
    """What was loaded, exactly.

    Attributes:
        source: what was asked for, as it was typed.
        kind: `local`, `hub` or `organism`.
        revision: the commit on the hub; None elsewhere.
        files: each file that was read, with its digest.
        weights_digest: one SHA-256 over the weight files' own (see `weights_digest`).
        licence: the licence's name as the model states it, None where none was found.
        licence_source: the file that states it.
        architecture: the class named by the model's config.
        model_type: the family named by the model's config.
        parameters: number of weights in the files.
        context_length: in tokens; None where the config does not say.
        vocabulary: size of the vocabulary.
        dtype: of the loaded weights; `stored_dtypes` are those of the files.
        device: where it was loaded to.
        attention: the attention kernel.
        non_finite: names of tensors that hold NaN or infinity.
        packages: package -> version.
    """

    source: str
    kind: str
    revision: str | None
    files: tuple[FileRecord, ...]
    weights_digest: str
    licence: str | None
    licence_source: str | None
    architecture: str
    model_type: str
    parameters: int
    context_length: int | None
    vocabulary: int
    dtype: str
    stored_dtypes: tuple[str, ...]
    device: str
    attention: str
    non_finite: tuple[str, ...]
    packages: dict[str, str]


class Host(Record):
    """The machine that a run was made on. Nothing that names a person or a place."""

    system: str
    machine: str
    python: str
    processors: int
    memory_bytes: int
    accelerator: str | None


def host(accelerator: str | None = None) -> Host:
    """A record of this machine."""
    import psutil

    return Host(
        system=f"{platform.system()} {platform.release()}",
        machine=platform.machine(),
        python=platform.python_version(),
        processors=os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        accelerator=accelerator,
    )


def package_versions() -> dict[str, str]:
    """The installed version of each package that can change a number."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def code_version() -> str:
    """The version of the workbench itself."""
    try:
        return metadata.version("open-weights-workbench")
    except metadata.PackageNotFoundError:
        return "not installed"


def sha256(path: Path) -> str:
    """The SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def weights_digest(files: list[FileRecord] | tuple[FileRecord, ...]) -> str:
    """One digest for a set of weight files: the SHA-256 of their lines `<sha256>  <name>`, sorted.

    The same as `sha256sum FILES | LC_ALL=C sort | sha256sum` inside the model's folder.
    """
    lines = sorted(f"{file.sha256}  {file.name}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def dump_json(value: Any) -> str:
    """JSON that is equal for equal values: sorted keys, numbers to ten significant digits."""
    text = json.dumps(_rounded(value), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    # Half of a surrogate pair, which a model can say, has no UTF-8: it stays an escape.
    return text.encode("utf-8", "backslashreplace").decode()


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        # Adding zero makes -0 the 0 that it is equal to.
        short = float(f"{value:.{_SIGNIFICANT}g}") + 0.0
        # JSON has no NaN or infinity; what is undefined is missing.
        return short if math.isfinite(short) else None
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all.

    Raises:
        StorageError: where the folder cannot be written or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    except OSError as error:
        raise storage_error(path, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def storage_error(path: Path, error: OSError) -> StorageError:
    """The error for a place that cannot be written, with what to do about it."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageError(
            f"{path}: the disk is full. Free some space or choose another folder with --out."
        )
    return StorageError(
        f"{path}: cannot be written ({error.strerror}). "
        "Choose a folder that you may write to with --out."
    )
