"""A safetensors file that is written tensor by tensor, and is there when it is whole."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.provenance import storage_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["PART", "Entry", "NewFile"]

PART = ".part"
"""How the name of a file ends that is not finished."""

_HASHED_AT_ONCE = 8 << 20
_SYNCED_AFTER = 16 << 20


class Entry(NamedTuple):
    """A tensor of a file: its name, safetensors' code of its dtype, its shape and bytes."""

    name: str
    code: str
    shape: tuple[int, ...]
    bytes: int


class NewFile:
    """A safetensors file that is written tensor by tensor, and is there when it is whole.

    The format's own writer wants every tensor at once, tells a full disk as text, and leaves the
    digest to a second reading. The format is `https://github.com/huggingface/safetensors#format`:
    the header's length in 8 bytes, the header, and the tensors without a gap.

    Args:
        path: where it will be.
        entries: its tensors, in the order in which they will be given.

    Raises:
        StorageError: here and in each method, where the folder cannot be written or is full.
    """

    def __init__(self, path: Path, entries: Sequence[Entry]) -> None:
        self.path = path
        self.bytes = 0
        self._unsynced = 0
        self._left = sum(entry.bytes for entry in entries)
        self._digest = hashlib.sha256()
        try:
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=PART)
        except OSError as error:
            raise storage_error(path, error) from error
        self._temporary = Path(name)
        # Closed by `finish` or `abandon`: it is filled over many calls.
        self._file = os.fdopen(descriptor, "wb")
        header = _header(entries)
        self._left += len(header)
        self.add(memoryview(header))

    def add(self, data: memoryview) -> None:
        """Write the bytes of the next tensor."""
        try:
            for start in range(0, len(data), _HASHED_AT_ONCE):
                piece = data[start : start + _HASHED_AT_ONCE]
                self._digest.update(piece)
                self._file.write(piece)
                self._unsynced += len(piece)
                if self._unsynced >= _SYNCED_AFTER:
                    self._sync()
        except OSError as error:
            self.abandon()
            raise storage_error(self.path, error) from error
        self.bytes += len(data)
        self._left -= len(data)

    def finish(self) -> str:
        """Give the file its name, once it is safely on the disk; its SHA-256."""
        assert self._left == 0, f"{self._left} bytes of {self.path} were not written"
        try:
            self._sync()
            self._file.close()
            self._temporary.chmod(0o644)
            self._temporary.replace(self.path)
        except OSError as error:
            raise storage_error(self.path, error) from error
        finally:
            self.abandon()
        return self._digest.hexdigest()

    def _sync(self) -> None:
        # Little by little, so that finishing has little left to wait for.
        self._file.flush()
        os.fsync(self._file.fileno())
        self._unsynced = 0

    def abandon(self) -> None:
        """Leave nothing of a file that was not finished."""
        with suppress(OSError):  # closing writes what is buffered, which may not fit any more
            self._file.close()
        self._temporary.unlink(missing_ok=True)


def _header(entries: Iterable[Entry]) -> bytes:
    table: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for entry in entries:
        start, end = end, end + entry.bytes
        table[entry.name] = {
            "dtype": entry.code,
            "shape": list(entry.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin aligned
    return len(text).to_bytes(8, "little") + text
