"""`workbench diff`, `gate` and `history`: what they print, write and leave with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from auditing import Audit, invoke
from make_run import HOSTILE
from small_runs import make

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., Audit]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> Audit:
        return invoke(monkeypatch, capsys, *arguments)

    return call


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run, and a later one that is worse."""
    folder = tmp_path_factory.mktemp("runs")
    later = "2026-02-01T00:00:00+00:00"
    return (
        make(folder, run_id="first"),
        make(folder, run_id="second", created=later, seed=1, trigger=0.4),
    )


def test_diff_as_text_json_and_page(run: Run, two: tuple[Path, Path], tmp_path: Path) -> None:
    page = tmp_path / "diff.html"
    done = run("diff", *two, "--html", page)
    assert (done.code, done.err) == (0, "")
    assert "Verdict changed (1)" in done.out
    assert page.read_text().startswith("<!doctype html>")
    record = json.loads(run("diff", *two, "--json").out)
    assert record["counts"]["verdict"] == 1
    assert record["first"]["run_id"] == "first"


def test_diff_says_by_its_code_whether_findings_differ(run: Run, two: tuple[Path, Path]) -> None:
    assert run("diff", *two, "--exit-code").code == 1
    done = run("diff", two[0], two[0], "--exit-code")
    assert done.code == 0
    assert "No difference" in done.out


def test_gate_codes(run: Run, two: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = two
    done = run("gate", second, "--baseline", first)
    assert done.code == 1
    assert done.out.startswith("WORSE: second against first.")
    assert run("gate", first, "--baseline", first).code == 0
    wide = ("--margin", "SAFE-*=0.9", "--margin", "BIAS-1=0.5")
    # Of yes and no 60 items cannot exclude a worsening by 0.02.
    close = (*wide, "--margin", "0.02")
    better = make(tmp_path, run_id="third", seed=2)
    for policy, code in (("exit", 4), ("fail", 1), ("pass", 0)):
        done = run("gate", better, "--baseline", first, *close, "--undecided", policy)
        assert done.code == code
        assert "needs n ≥" in done.out
    record = json.loads(run("gate", better, "--baseline", first, *close, "--json").out)
    assert (record["decision"], record["exit_code"]) == ("cannot tell", 4)


def test_history_as_text_json_and_page(
    run: Run, two: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    folder, page = two[0].parent, tmp_path / "history.html"
    done = run("history", folder, "--html", page)
    assert (done.code, done.err) == (0, "")
    assert "organism:small" in done.out
    assert "<svg" in page.read_text()
    record = json.loads(run("history", folder, "--json").out)
    assert [row["run_id"] for row in record["runs"]] == ["first", "second"]
    assert record["trends"] == []
    one = json.loads(run("history", folder, "--json", "--check", "BIAS-1", "--limit", 1).out)
    assert (len(one["runs"]), one["left_out"]) == (1, 1)
    assert [trend["code"] for trend in one["trends"]] == ["BIAS-1"]


def test_bad_input_is_one_line_and_code_two(
    run: Run, two: tuple[Path, Path], tmp_path: Path
) -> None:
    first, second = two
    for arguments, said in (
        (("diff", first, tmp_path), "not a run folder"),
        (("gate", tmp_path, "--baseline", first), "not a run folder"),
        (("gate", second, "--baseline", first, "--margin", "much"), 'got --margin "much"'),
        (("gate", second, "--baseline", first, "--margin", "SAFE-RFE-1=1"), "Did you mean"),
        (("gate", second, "--baseline", first, "--alpha", "0.7"), "got alpha=0.7"),
        (("history", tmp_path / "none"), "not a folder"),
        (("history", first.parent, "--model", "organism:smal"), "Did you mean"),
    ):
        done = run(*arguments)
        assert (done.code, done.out) == (2, "")
        (line,) = done.err.splitlines()
        assert said in line


def test_a_terminal_is_never_told_what_to_do(run: Run, tmp_path: Path) -> None:
    first, second = make(tmp_path / "a"), make(tmp_path / "b", model=HOSTILE, seed=1)
    for arguments in (
        ("diff", first, second),
        ("gate", second, "--baseline", first),
        ("history", tmp_path),
    ):
        done = run(*arguments)
        assert not {"\x1b", "\u202e", "\x00"} & set(done.out)


def test_a_narrow_terminal_is_enough(
    run: Run, two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    lines = run("history", two[0].parent).out.splitlines()
    assert max(map(len, lines)) <= 72
