from __future__ import annotations

import pandas as pd
import pytest

from workbench.markup import cell, html_table, number, text_table, visible, without_ansi


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\u202eb", "a⟨U+202E⟩b"),
        ("\ud800", "⟨U+D800⟩"),
        ("\x1b[31m", "⟨U+001B⟩[31m"),
        ("a\nb\tc", "a↵b⇥c"),
        ("क्\u200dष", "क्\u200dष"),  # a joiner inside a Hindi syllable
        ("\U000e0041", "⟨U+E0041⟩"),  # a tag character, invisible anywhere
    ],
)
def test_nothing_stays_hidden(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_megabyte_is_shortened_and_says_so() -> None:
    assert visible("x" * 1_000_000, 5) == "xxxxx… (1,000,000 characters)"


def test_line_feeds_can_be_kept() -> None:
    assert visible("a\n\x00", lines=True) == "a\n⟨U+0000⟩"


def test_numbers_read_well() -> None:
    shown = [number(value) for value in (None, float("nan"), 3, -0.25, 1234567.8, 1e-7)]
    assert shown == ["\N{EN DASH}"] * 2 + [
        "3",
        "\N{MINUS SIGN}0.25",
        "1,234,568",
        "1e\N{MINUS SIGN}07",
    ]
    assert cell(True) == "yes"


def test_terminal_sequences_go() -> None:
    assert without_ansi("\x1b[1;31mred\x1b[0m \x1b]8;;http://x\x07link\x1b\\") == "red link"


def test_a_table_is_escaped_and_semantic() -> None:
    html = html_table(pd.DataFrame({"<i>": ["<b>&"], "n": [1.5]}), caption="<c>")
    assert "<caption>&lt;c&gt;</caption>" in html
    assert '<th scope="col">&lt;i&gt;</th>' in html
    assert "&lt;b&gt;&amp;" in html
    assert "<b>" not in html


def test_a_long_table_states_its_rule() -> None:
    frame = pd.DataFrame({"a": range(100)})
    html = html_table(frame, max_rows=5)
    assert "100 rows; the first 3 and the last 2 are shown." in html
    assert html.count("<tr>") == 6
    assert "100 rows" in text_table(frame, max_rows=5)
    assert "rows" not in html_table(frame.head(5), max_rows=5)


def test_a_wide_table_states_its_rule() -> None:
    html = html_table(pd.DataFrame([range(200)]))
    assert "200 columns; the first 30 are shown." in html


def test_an_empty_table_has_its_headings() -> None:
    assert "<th" in html_table(pd.DataFrame({"a": []}))
    assert html_table(pd.DataFrame())
