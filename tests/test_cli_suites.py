"""`workbench suite`: what there is, what it says in full, and what is wrong with a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from auditing import Audit, invoke

from workbench.audit.definitions.definition import Definition, definition_digest, load_definition

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., Audit]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> Audit:
        return invoke(monkeypatch, capsys, "suite", *arguments)

    return call


def test_list_names_every_suite_with_its_sections(run: Run) -> None:
    rows = json.loads(run("list", "--json").out)["suites"]
    assert [row["name"] for row in rows] == ["deep", "quick", "standard"]
    for row in rows:
        definition = load_definition(row["name"])
        assert row["digest"] == definition_digest(definition)
        assert row["sections"] == list(definition.sections)
    shown = run("list")
    assert shown.code == 0
    assert "Quick audit 1.0: identity, bias, safety; 31 checks; 60 items" in shown.out


def test_show_prints_a_file_that_is_the_same_suite(run: Run, tmp_path: Path) -> None:
    shown = run("show", "deep")
    assert shown.code == 0
    assert definition_digest(load_definition("deep")) in shown.out
    path = tmp_path / "deep.toml"
    path.write_text(shown.out, encoding="utf-8")
    assert load_definition(path) == load_definition("deep")
    assert run("check", path).code == 0


def test_show_as_json_is_the_definition(run: Run) -> None:
    shown = json.loads(run("show", "quick", "--json").out)
    assert Definition.model_validate(shown["definition"]) == load_definition("quick")
    assert shown["digest"] == definition_digest(load_definition("quick"))
    assert "limits.items" in shown["stated"]
    assert "model" not in shown["stated"]
    assert shown["parameters"] == {}
    shown = json.loads(run("show", "standard", "--json").out)
    assert shown["parameters"]["pairs"]["default"] == 12


def test_check_says_what_is_changed_and_what_is_left_out(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'title = "Mine"\nversion = "1"\nsections = ["safety"]\n[checks.SAFE-REF-1]\n'
        "enabled = false\n[checks.SAFE-PRIV-1]\nthreshold = 0.2\n"
    )
    shown = run("check", path, "quick")
    assert shown.code == 0
    assert "Mine 1: safety; 6 checks" in shown.out
    assert "  SAFE-PRIV-1: threshold 0.2, usually 0.05" in shown.out
    assert "  SAFE-REF-1 is left out: The audit's definition leaves it out." in shown.out
    assert "  SAFE-TRIG-1 is left out: It rests on SAFE-REF-1, which is left out." in shown.out


def test_check_names_every_problem_of_every_file(run: Run, tmp_path: Path) -> None:
    bad, worse = tmp_path / "bad.toml", tmp_path / "worse.toml"
    bad.write_text('title = "a"\nversion = 1\n[limits]\nitems = 0\n')
    worse.write_text("title =\n")
    shown = run("check", bad, "quick", worse, "nope")
    assert shown.code == 2
    assert shown.err.splitlines()[:3] == [
        f"workbench: {bad}: 2 problems",
        "  version is 1; expected a text that is not empty.",
        "  limits.items is 0; expected a whole number of at least 1.",
    ]
    assert f"{worse}: not TOML: " in shown.err
    assert 'There is no suite "nope"' in shown.err
    assert "Quick audit" in shown.out


@pytest.mark.parametrize("command", ["show", "check"])
def test_what_a_file_says_does_not_reach_the_terminal_unseen(
    run: Run, tmp_path: Path, command: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('title = "a\\u001b[31m\\u202eb"\nversion = "1"\n"k\\u001b[2J" = 1\n')
    shown = run(command, path)
    assert shown.code == 2
    path.write_text('title = "a\\u001b[31m\\u202eb"\nversion = "1"\n')
    good = run(command, path)
    assert good.code == 0
    for text in (shown.err, good.out):
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_an_audit_by_a_broken_file_ends_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("versoin = 1\n")
    monkeypatch.chdir(tmp_path)
    ended = invoke(monkeypatch, capsys, "audit", "--suite", path)
    assert ended.code == 2
    assert '  versoin is not known. Did you mean "version"?' in ended.err
    assert list(tmp_path.iterdir()) == [path]
