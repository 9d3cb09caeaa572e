from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from make_run import ATTACKS, HOSTILE, make_run

from workbench.audit.records.exhibits import Exhibit
from workbench.audit.reporting.excerpts import excerpt, ordered, read_table, rule, thinned
from workbench.errors import InputError
from workbench.tables import Result

if TYPE_CHECKING:
    from pathlib import Path


def shown(**how: Any) -> Exhibit:
    return Exhibit(codes=("A-1",), kind="items", path="sections/a/t.parquet", title="T", **how)


TABLE = pa.table({"p": [0.1, None, 0.9, 0.5, float("nan")], "arm": ["a", "b", "a", "b", "a"]})


@pytest.mark.parametrize(
    ("how", "order"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"worst": "p"}, [2, 3, 0, 1, 4]),
        ({"worst": "p", "worst_is": "lowest"}, [0, 3, 2, 1, 4]),
        ({"worst": "p", "worst_is": "furthest", "centre": 0.6}, [0, 2, 3, 1, 4]),
        ({"where": {"arm": "a"}, "worst": "p"}, [2, 0, 4]),
        ({"where": {"arm": "a", "p": 0.1}}, [0]),
        ({"where": {"arm": "c"}}, []),
        ({"worst": "arm"}, [0, 1, 2, 3, 4]),
    ],
)
def test_the_worst_come_first_and_what_is_missing_last(
    how: dict[str, Any], order: list[int]
) -> None:
    assert ordered(TABLE, shown(**how)) == order


@pytest.mark.parametrize("how", [{"worst": "q"}, {"where": {"q": 1}}])
def test_a_column_that_is_not_there_is_an_error(how: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="it has no column 'q'"):
        ordered(TABLE, shown(**how))


def test_yes_is_not_one() -> None:
    table = pa.table({"correct": [True, False], "n": [1, 0]})
    assert ordered(table, shown(where={"correct": 1})) == []
    assert ordered(table, shown(where={"correct": True})) == [0]
    assert ordered(table, shown(where={"n": 1.0})) == [0]


def test_long_tables_are_thinned_by_the_rule_that_is_stated() -> None:
    rows = list(range(100))
    assert thinned(rows, 100, worst=True) == rows
    assert thinned(rows, 10, worst=True) == [0, 1, 2, 3, 4, 5, 24, 43, 62, 81]
    assert thinned(rows, 10, worst=False) == list(range(0, 100, 10))
    assert rule(100, 10, shown(worst="p")) == (
        "10 of 100 rows: the 5 worst (highest p), and 5 of the others, evenly spaced in that order."
    )
    assert rule(100, 10, shown()) == "10 of 100 rows, evenly spaced."
    assert rule(100, 100, shown()) == "All 100 rows."


def test_values_are_numbers_or_visible_text() -> None:
    table = pa.table(
        {
            "float": [0.123456789, float("nan"), float("inf")],
            "whole": [1, 2**60, None],
            "yes": [True, False, None],
            "list": [["he"], ["she"], None],
            "text": ["a\x00", "x" * 5000, "<b>"],
        }
    )
    held = excerpt(table, range(3))
    assert held.rows[0] == (0.123457, 1, "yes", "he", "a⟨U+0000⟩")
    assert held.rows[1][:3] == (None, str(2**60), "no")
    assert held.rows[2] == ("inf", None, None, None, "<b>")
    assert str(held.rows[1][4]).endswith("… (5,000 characters)")
    assert [column.numeric for column in held.columns] == [True, True, False, False, False]
    assert "<" not in held.data
    assert json.loads(held.data)["rows"][2][4] == "<b>"


def test_only_some_columns_and_rows_are_held() -> None:
    table = pa.table({f"c{place}": [1, 2, 3] for place in range(40)})
    whole = excerpt(table, [2, 0])
    assert (len(whole.columns), whole.left_out, whole.places) == (30, 10, {0: 0, 2: 1})
    some = excerpt(table, [0], ["c7", "c3", "absent"])
    assert [column.name for column in some.columns] == ["c7", "c3"]
    assert some.shown(["c3"]) == (1,)
    assert some.shown(["absent"]) == (0, 1)


@pytest.mark.parametrize("attack", ATTACKS[:-1])
def test_no_attack_leaves_its_script(attack: str) -> None:
    text = attack.encode("utf-8", "backslashreplace").decode()
    table = pa.table({text: [text], "list": [[text]], "map": [{"<script>": text}]})
    held = excerpt(table, [0])
    assert "<" not in held.data
    json.loads(held.data)
    assert not set(held.data) & {"\u2028", "\u202e", "\x00", "\x1b", "\ufeff"}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("sections/capability/missing.parquet", "it is missing"),
        ("sections/capability/broken.parquet", "cannot be read as a table of the workbench"),
        ("sections/capability/foreign.parquet", "cannot be read as a table of the workbench"),
        ("sections/capability", "it is missing"),
        ("../outside.parquet", "it lies outside the run folder"),
        ("/etc/passwd", "it lies outside the run folder"),
        ("a\0b", "it lies outside the run folder"),
        ("sections/capability/link.parquet", "it lies outside the run folder"),
        ("sections/capability/loop.parquet", "it lies outside the run folder|it is missing"),
    ],
)
def test_what_is_no_table_of_the_run_is_refused(tmp_path: Path, path: str, reason: str) -> None:
    run = make_run(tmp_path / "run")
    Result.of("outside", [{"a": HOSTILE}]).save(tmp_path)
    (run / "sections/capability/link.parquet").symlink_to(tmp_path / "outside.parquet")
    loop = run / "sections/capability/loop.parquet"
    loop.symlink_to(loop)
    with pytest.raises(InputError, match=reason):
        read_table(run, path)


def test_a_table_out_of_proportion_is_refused(tmp_path: Path) -> None:
    rows = pa.table({"a": pa.array([0], pa.int8()).take(pa.array([0] * 21_000_000, pa.int8()))})
    Result("large", rows).save(tmp_path)
    assert (tmp_path / "large.parquet").stat().st_size < 1_000_000
    with pytest.raises(InputError, match="too large to be shown: 21,000,000 rows"):
        read_table(tmp_path, "large.parquet")
