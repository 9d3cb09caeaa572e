from __future__ import annotations

import pytest

from workbench.audit.definitions.limits import NO_LIMITS, Limits, given_limits, in_bytes, in_seconds
from workbench.errors import InputError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90 s", 90), ("0.5s", 0.5), ("30 min", 1800), ("1.5 h", 5400), (" 2  h ", 7200)],
)
def test_a_time_is_read(text: str, seconds: float) -> None:
    assert in_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("1 B", 1),
        ("1.5 kB", 1500),
        ("800 MB", 800_000_000),
        ("8GB", 8 * 10**9),
        ("8 GiB", 8 << 30),
        ("2 TiB", 2 << 40),
    ],
)
def test_a_size_is_read(text: str, size: int) -> None:
    assert in_bytes(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "-5",
        "0",
        "0 min",
        "1e9",
        "1 d",
        "1.",
        "1,5 h",
        "nan",
        "inf",
        "9" * 30,
        "1 h\x00",
    ],
)
def test_no_time_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected"):
        in_seconds(text)


@pytest.mark.parametrize("text", ["", "much", "-1 GB", "0 GB", "0.1 B", "8 gb", "8 GBs", "9" * 19])
def test_no_size_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected"):
        in_bytes(text)


def test_a_year_is_the_longest() -> None:
    assert in_seconds("8784 h") == 366 * 86_400
    with pytest.raises(InputError, match="at most a year"):
        in_seconds("8785 h")


def test_limits_as_a_command_line_gives_them() -> None:
    assert given_limits() == NO_LIMITS
    assert given_limits(3, "1 min", "1 kB") == Limits(
        items=3, section_seconds=60, memory_bytes=1000
    )


@pytest.mark.parametrize("items", [0, -1, 1 << 70])
def test_no_number_of_items_is_refused(items: int) -> None:
    with pytest.raises(InputError, match=f"got --limit {items}; expected at least 1"):
        given_limits(items)
