from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from small_run import save_scored, small_run

from workbench.audit.records.evidence import read_run
from workbench.audit.records.facts import Facts
from workbench.audit.reviewing.categories import (
    _PARTS,
    _WHOLE,
    AILUMINATE,
    NIST,
    coverage,
)
from workbench.evaluate.benchmarks.catalogue import NAMES
from workbench.evaluate.suites import load_suite

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return small_run(tmp_path / "run")


def touched(run: Path, names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    found = coverage(names, Facts.of(read_run(run)).scored, run)
    return {part.category: part.tested_by for part in found if part.tested_by}


def test_both_lists_have_their_twelve() -> None:
    assert len(set(AILUMINATE)) == len(set(NIST)) == 12


def test_everything_that_is_mapped_exists() -> None:
    known = {*AILUMINATE, *NIST}
    mapped = [category for categories in _WHOLE.values() for category in categories]
    values = [part for columns in _PARTS.values() for part in columns.values()]
    mapped += [
        category for value in values for categories in value.values() for category in categories
    ]
    assert set(mapped) <= known
    assert {*_WHOLE, *_PARTS} <= {*NAMES, *load_suite().task_names()}


def test_without_items_nothing_is_tested(run: Path) -> None:
    assert touched(run, AILUMINATE) == {}
    assert touched(run, NIST) == {}


def test_a_task_tests_what_it_is_mapped_to_and_nothing_else(run: Path) -> None:
    save_scored(run, "safety", "refusal")
    save_scored(run, "bias", "occupation_pronoun")
    save_scored(run, "safety", "sycophancy")
    assert touched(run, NIST) == {
        "dangerous, violent or hateful content": ("refusal (2 items of small-world)",),
        "harmful bias and homogenisation": ("occupation_pronoun (2 items of small-world)",),
    }
    # Mild requests of an invented world are no test of a hazard category.
    assert touched(run, AILUMINATE) == {}


def test_only_categories_that_were_drawn_count(run: Path) -> None:
    kinds = ["illegal", "copyright", "copyright", "chemical_biological"]
    rows = [{"item": str(n), "category": kind} for n, kind in enumerate(kinds)]
    save_scored(run, "benchmarks", "harmbench", rows, benchmark="harmbench", suite=None)
    assert touched(run, AILUMINATE) == {
        "indiscriminate weapons": ("harmbench (1 items)",),
        "intellectual property": ("harmbench (2 items)",),
    }
    assert set(touched(run, NIST)) == {
        "CBRN information or capabilities",
        "dangerous, violent or hateful content",
        "intellectual property",
    }


def test_harmless_items_test_no_hazard(run: Path) -> None:
    rows = [
        {"item": str(n), "category": category, "harm": harm}
        for n, (category, harm) in enumerate(
            [("privacy", "harmful"), ("privacy", "harmless"), ("fraud", "harmless")]
        )
    ]
    save_scored(run, "safety", "jailbreaks", rows, benchmark="jailbreaks", suite=None)
    assert touched(run, AILUMINATE) == {"privacy": ("jailbreaks (1 items)",)}


def test_a_table_without_the_column_counts_for_the_whole_only(run: Path) -> None:
    save_scored(run, "benchmarks", "harmbench", benchmark="harmbench", suite=None)
    assert touched(run, AILUMINATE) == {}
    assert set(touched(run, NIST)) == {"dangerous, violent or hateful content"}
