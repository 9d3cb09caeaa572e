"""Columns for a terminal: as wide as it is, and nothing hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.audit.comparing.terminal import columns

if TYPE_CHECKING:
    import pytest


def test_columns_line_up_and_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    text = columns(
        [("a", "many words that do not fit", "1"), ("bb", "few", "23")],
        ("x", "text", "n"),
        right=(2,),
        whole=(2,),
    )
    assert text.splitlines() == [
        "x   text                     n",
        "a   many words that do not   1",
        "    fit",
        "bb  few                     23",
    ]


def test_control_characters_are_made_visible() -> None:
    assert columns([("\x1b[31mred", "a\nb")]) == "⟨U+001B⟩[31mred  a↵b"


def test_a_long_cell_is_cut_and_says_so() -> None:
    assert "… (1,000,000 characters)" in columns([("A" * 1_000_000,)]).replace("\n", "")


def test_no_rows_are_no_text() -> None:
    assert columns([]) == ""
