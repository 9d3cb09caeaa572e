"""TOML files as people write them: every mistake is found, with its key, before any is reported."""

from __future__ import annotations

import math
import tomllib
from typing import TYPE_CHECKING, Any

from workbench.errors import InputError, did_you_mean
from workbench.markup import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["TomlTable", "read_toml"]

_MAX_BYTES = 1 << 20
_LARGEST = 2**63


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file says.

    Raises:
        InputError: for a file that is missing, no file, empty, larger than a megabyte, not UTF-8 or
            not TOML (with line and column).
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; expected a TOML file.")
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is no ordinary file; expected a TOML file.")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path}: is larger than a megabyte; expected some lines of TOML.")
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; expected a TOML file.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    if not content.strip():
        raise InputError(f"{path}: is empty; expected at least title and version.")
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}: line {line} is not UTF-8 ({error.reason}); save the file as UTF-8."
        ) from error
    except RecursionError as error:
        raise InputError(f"{path}: not TOML: nested too deeply.") from error
    except ValueError as error:
        raise InputError(f"{path}: not TOML: {visible(str(error))}.") from error


class TomlTable:
    """A table of a TOML file, read key by key.

    What is wrong goes to the file's list of problems; the caller gets None, and goes on. Keys that
    nobody has asked for when it is closed are unknown.

    Args:
        values: of the table.
        problems: of the file.
        place: the table's own key, "" for the whole file.
    """

    def __init__(self, values: Mapping[str, Any], problems: list[str], place: str = "") -> None:
        self.values = values
        self.problems = problems
        self.place = place
        self._known: list[str] = []

    def key(self, key: str) -> str:
        """The key with those above it: `limits.items`."""
        bare = key.replace("-", "").replace("_", "")
        own = key if bare.isascii() and bare.isalnum() else f'"{visible(key, 80)}"'
        return f"{self.place}.{own}" if self.place else own

    def problem(self, key: str, what: str) -> None:
        """Something is wrong with the key."""
        self.problems.append(f"{self.key(key)} {what}")

    def text(self, key: str) -> str | None:
        """A text that is not empty."""
        value: str | None = self._read(key, _is_text, "a text that is not empty")
        return value

    def needed_text(self, key: str) -> str:
        """A text that must be there."""
        if key not in self.values:
            self.problem(key, "is missing; expected a text.")
        return self.text(key) or ""

    def texts(self, key: str) -> tuple[str, ...] | None:
        """A list of texts, each once, and at least one."""
        value = self._read(key, _is_texts, 'a list of names, such as ["bias", "safety"]')
        if value is None:
            return None
        twice = [name for number, name in enumerate(value) if name in value[:number]]
        if twice:
            self.problem(key, f'names "{visible(twice[0], 80)}" twice; name it once.')
        return tuple(dict.fromkeys(value))

    def number(self, key: str) -> float | None:
        """A finite number."""
        value = self._read(key, _is_number, "a finite number")
        return None if value is None else float(value)

    def integer(self, key: str) -> int | None:
        """A whole number of at least one."""
        value: int | None = self._read(
            key,
            lambda value: _is_number(value) and isinstance(value, int) and value > 0,
            "a whole number of at least 1",
        )
        return value

    def truth(self, key: str) -> bool | None:
        """True or false."""
        value: bool | None = self._read(key, lambda value: isinstance(value, bool), "true or false")
        return value

    def one_of(self, key: str, known: tuple[str, ...]) -> Any:
        """One of some words."""
        expected = " or ".join(f'"{word}"' for word in known)
        return self._read(key, lambda value: value in known, expected)

    def table(self, key: str) -> TomlTable:
        """A table; an empty one where it is missing."""
        expected = f"a table: [{self.key(key)}]"
        values = self._read(key, lambda value: isinstance(value, dict), expected)
        return TomlTable(values or {}, self.problems, self.key(key))

    def tables(self, key: str) -> list[TomlTable]:
        """The tables of an array, which a file writes as `[[key]]`."""
        values = self._read(key, _is_tables, f"tables that begin with [[{key}]]")
        return [
            TomlTable(entry, self.problems, f"{self.key(key)}[{number}]")
            for number, entry in enumerate(values or [], 1)
        ]

    def close(self) -> None:
        """Name the keys that nobody has asked for."""
        for key in self.values:
            if key not in self._known:
                self.problem(key, f"is not known. {did_you_mean(key, self._known)}")

    def known(self, *keys: str) -> None:
        """These keys are read elsewhere."""
        self._known += keys

    def _read(self, key: str, fits: Callable[[Any], bool], expected: str) -> Any:
        self._known.append(key)
        value = self.values.get(key)
        if value is None or fits(value):
            return value
        self.problem(key, f"is {_said(value)}; expected {expected}.")
        return None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value))


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


def _is_number(value: Any) -> bool:
    """Of no more than 64 bits, which other readers of JSON can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) < _LARGEST if isinstance(value, int) else math.isfinite(value)


def _said(value: Any) -> str:
    """A value as the file has it, cut short."""
    if isinstance(value, str):
        return f'the text "{visible(value, 60)}"'
    if isinstance(value, (dict, list)):
        return "a table" if isinstance(value, dict) else f"a list of {len(value)}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= _LARGEST:
        return "a number of more than 64 bits"
    return str(value)
