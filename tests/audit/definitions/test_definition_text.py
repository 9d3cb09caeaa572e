"""A definition written out in full is a definition: read again, it is the same."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.audit.definitions.definition import (
    Definition,
    definition_digest,
    definition_names,
    load_definition,
    read_definition,
)
from workbench.audit.definitions.definition_text import definition_text, open_parameters, toml_value
from workbench.audit.reviewing.checklist import KEYS
from workbench.errors import InputError
from workbench.evaluate.suites import load_suite

if TYPE_CHECKING:
    from pathlib import Path

# Lone surrogates have no UTF-8, so no file can hold them.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
NUMBER = st.floats(-1e12, 1e12, allow_nan=False)
CHECKS = st.sampled_from([check.code for check in load_suite().checks if check.threshold])
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "threshold": NUMBER,
        "severity": st.sampled_from(["info", "low", "medium", "high"]),
        "enabled": st.booleans(),
    },
)
NEW = st.fixed_dictionaries(
    {
        "question": TEXT,
        "task": st.just("injection"),
        "metric": TEXT,
        "threshold": NUMBER,
        "direction": st.sampled_from(["above", "below"]),
        "severity": st.just("low"),
    },
    optional={"group": TEXT, "unit": TEXT, "enabled": st.booleans()},
)
FILES = st.fixed_dictionaries(
    {"title": TEXT, "version": TEXT},
    optional={
        "description": TEXT,
        "model": TEXT,
        "tasks": st.fixed_dictionaries(
            {}, optional={"safety": st.just(["refusal"]), "bias": st.just(["occupation_pronoun"])}
        ),
        "limits": st.fixed_dictionaries(
            {},
            optional={
                "items": st.integers(1, 2**63 - 1),
                "section_seconds": st.floats(0.001, 1e6) | st.just("1.5 h"),
                "memory": st.integers(1, 2**53) | st.just("8 GiB"),
            },
        ),
        "parameters": st.fixed_dictionaries({}, optional={"pairs": st.integers(-(2**62), 2**62)}),
        "checks": st.dictionaries(CHECKS, CHANGES),
        "check": st.lists(NEW, max_size=3),
        "statements": st.dictionaries(st.sampled_from(KEYS), TEXT),
    },
)


def toml(file: dict[str, Any]) -> str:
    """The same as a file: everything in inline tables."""
    file = dict(file)
    if file.get("check"):
        new = [{"code": f"NEW-{number}", **one} for number, one in enumerate(file["check"])]
        file["check"] = new
        file["sections"] = ["bias", "safety", "inside", "identity", "abilities", "benchmarks"]
        file["sections"].append("intervention")
        file["tasks"] = {**file.get("tasks", {}), "benchmarks": ["injection"]}
    return "".join(f"{key} = {toml_value(value)}\n" for key, value in file.items())


@settings(max_examples=60, deadline=None)
@given(file=FILES)
def test_whatever_can_be_read_survives_being_shown(
    tmp_path_factory: pytest.TempPathFactory, file: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("suites") / "mine.toml"
    path.write_text(toml(file), encoding="utf-8")
    found = read_definition(path)
    shown = json.dumps(found.definition.model_dump(mode="json"))
    assert Definition.model_validate(json.loads(shown)) == found.definition
    text = definition_text(found)
    path.write_text(text, encoding="utf-8")
    again = load_definition(path)
    assert again == found.definition
    assert definition_digest(again) == definition_digest(found.definition)


KEYS_THERE_ARE = [
    *("title", "version", "description", "questions", "model", "sections", "tasks", "limits"),
    *("parameters", "checks", "check", "statements", "bias", "benchmarks", "items", "memory"),
    *("section_seconds", "pairs", "BIAS-*", "SAFE-REF-1", "threshold", "severity", "enabled"),
    *("code", "question", "task", "metric", "direction", "group", "unit", "rests_on", "limit"),
]
WORDS = st.sampled_from([*KEYS_THERE_ARE, "small-world", "injection", "lm-eval:a", "8 GB", "low"])
ANYTHING = st.recursive(
    WORDS | TEXT | st.booleans() | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | TEXT, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(file=st.dictionaries(WORDS | TEXT, ANYTHING, max_size=6))
def test_whatever_a_file_says_it_is_read_or_refused_with_its_path(
    tmp_path_factory: pytest.TempPathFactory, file: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("suites") / "mine.toml"
    file = {"title": "a", "version": "1", **file}
    lines = (f"{toml_value(key)} = {toml_value(one)}\n" for key, one in file.items())
    path.write_text("".join(lines), encoding="utf-8")
    try:
        load_definition(path)
    except InputError as error:
        said = str(error)
    else:
        said = str(path)
    assert said.startswith(str(path))


@given(
    value=st.recursive(
        TEXT | st.just("") | st.booleans() | st.integers(-(2**63), 2**63 - 1) | NUMBER,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=8,
    )
)
def test_a_value_is_read_as_it_was_written(value: Any) -> None:
    assert tomllib.loads(f"value = {toml_value(value)}") == {"value": value}


@pytest.mark.parametrize("name", definition_names())
def test_a_shipped_suite_shown_is_the_same_suite(name: str, tmp_path: Path) -> None:
    found = read_definition(name)
    path = tmp_path / f"{name}.toml"
    path.write_text(definition_text(found), encoding="utf-8")
    assert load_definition(path) == found.definition


def test_defaults_are_marked_and_what_was_stated_is_not(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'title = "Mine"\nversion = "1"\n[limits]\nitems = 5\n'
        "[checks.BIAS-OCC-1]\nthreshold = 0.2\n[checks.SAFE-REF-1]\nenabled = false\n",
        encoding="utf-8",
    )
    lines = definition_text(read_definition(path)).splitlines()
    assert 'title = "Mine"' in lines
    assert 'questions = "small-world"  # default' in lines
    assert "# model is not set  # default" in lines
    assert "items = 5" in lines
    assert "# memory is not set  # default" in lines
    assert any(line.startswith("# pairs = 12  # default; minimal pairs") for line in lines)
    changed = lines[lines.index("[checks.BIAS-OCC-1]  # Does the occupation decide the pronoun?") :]
    assert changed[1].startswith("threshold = 0.2  # usually 0.1; fails above, ")
    assert changed[2] == 'severity = "high"  # default'
    assert "enabled = false" in lines
    assert "# left out: It rests on SAFE-REF-1, which is left out." in lines


def test_what_hides_is_written_as_an_escape() -> None:
    assert toml_value("a\u202e\x7f\U000e0001\n") == '"a\\u202E\\u007F\\U000E0001\\n"'


def test_a_suites_open_parameters_are_those_of_its_notebooks() -> None:
    assert set(open_parameters(load_definition("quick"))) == set()
    assert "pairs" in open_parameters(load_definition("standard"))
    assert {"data", "judge"} <= set(open_parameters(load_definition("deep")))
