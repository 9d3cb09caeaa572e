"""The verdicts on behaviour: every finding opens to its own items, and to no others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from auditing import write_audit_json
from make_run import provenance

from workbench.audit.records.exhibits import Exhibit, Exhibits
from workbench.audit.sections.behaviours import (
    judge_abilities,
    judge_bias,
    judge_calibration,
    judge_safety,
)
from workbench.audit.sections.section import Section
from workbench.evaluate import abilities, safety
from workbench.evaluate.bias import by_occupation
from workbench.evaluate.suites import load_suite
from workbench.provenance import ModelProvenance
from workbench.tables import Result

if TYPE_CHECKING:
    from pathlib import Path

MODEL = ModelProvenance.model_validate(json.loads(provenance())["model"])
SUITE = load_suite()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_audit_json(tmp_path / "run", list(SUITE.checks), tasks=SUITE.tasks)


def exhibits(section: Section, code: str) -> list[Exhibit]:
    assert section.folder is not None
    found = Exhibits.read(section.folder / "exhibits.json").exhibits
    return [exhibit for exhibit in found if exhibit.shows(code)]


def rows(run: Path, exhibit: Exhibit) -> list[dict[object, object]]:
    """The rows that a reader is shown."""
    frame = Result.load(run / exhibit.path).frame()
    for column, value in exhibit.where.items():
        frame = frame[frame[column] == value]
    for column in (*exhibit.columns, *filter(None, [exhibit.worst])):
        assert column in frame
    return frame.to_dict("records")


@pytest.fixture
def biased(run: Path, planted_scores: dict[str, Result]) -> Section:
    section = Section("bias", MODEL, run=run)
    items = planted_scores["occupation_pronoun"]
    occupations = by_occupation(items)
    section.save(items, occupations)
    judge_bias(section, items, occupations)
    return section


def test_an_occupation_shows_its_own_sentences(biased: Section, run: Path) -> None:
    items, groups = exhibits(biased, "BIAS-OCC-NURSE")
    assert (items.kind, groups.kind) == ("items", "groups")
    shown = rows(run, items)
    assert len(shown) == 24
    assert all("nurse" in str(row["prompt"]) for row in shown)
    assert (items.worst, items.worst_is, items.centre) == ("probability", "furthest", 0.5)
    assert len(rows(run, groups)) == 16


def test_all_occupations_show_all_sentences(biased: Section, run: Path) -> None:
    for code in ("BIAS-OCC-1", "BIAS-PRO-1"):
        items, groups = exhibits(biased, code)
        assert len(rows(run, items)) == 384
        assert groups.path.endswith("occupations.parquet")


def test_every_check_of_bias_is_judged(biased: Section) -> None:
    verdicts = [finding.verdict for finding in biased.close()]
    assert sorted(set(verdicts)) == ["fail", "pass"]
    assert verdicts.count("fail") == 13


def test_an_occupation_without_a_check_is_no_error(
    tmp_path: Path, planted_scores: dict[str, Result]
) -> None:
    checks = [check for check in SUITE.checks if check.code == "BIAS-OCC-1"]
    section = Section("bias", MODEL, run=write_audit_json(tmp_path / "few", checks))
    items = planted_scores["occupation_pronoun"]
    judge_bias(section, items, by_occupation(items))
    assert [finding.code for finding in section.close()] == ["BIAS-OCC-1"]


@pytest.fixture
def safe(run: Path, planted_scores: dict[str, Result]) -> Section:
    section = Section("safety", MODEL, run=run)
    scores = {task: planted_scores[task] for task in safety.TASKS}
    behaviours = safety.by_arm(scores)
    section.save(*scores.values(), behaviours)
    judge_safety(section, scores, behaviours)
    return section


@pytest.mark.parametrize(
    ("code", "arms", "task"),
    [
        ("SAFE-REF-1", ["harmful"], "refusal"),
        ("SAFE-OVER-1", ["harmless"], "refusal"),
        ("SAFE-TRIG-1", ["trigger", "control"], "trigger"),
        ("SAFE-SPON-1", ["sponsor", "control"], "sponsor"),
        ("SAFE-SYCO-1", ["belief", "neutral"], "sycophancy"),
        ("SAFE-PRIV-1", ["owner", "other"], "private_string"),
        ("SAFE-REC-1", [""], "better_product"),
        ("SAFE-NOTE-1", ["neutral"], "sycophancy"),
    ],
)
def test_a_safety_finding_shows_its_arm_and_the_twins(
    safe: Section, run: Path, code: str, arms: list[str], task: str
) -> None:
    *items, groups = exhibits(safe, code)
    assert [{row["arm"] for row in rows(run, exhibit)} for exhibit in items] == [
        {arm} for arm in arms
    ]
    assert all(exhibit.path.endswith(f"{task}.parquet") for exhibit in items)
    assert {row["task"] for row in rows(run, groups)} == {task}


def test_tasks_that_were_not_chosen_skip_their_checks(
    tmp_path: Path, planted_scores: dict[str, Result]
) -> None:
    run = write_audit_json(tmp_path / "few", list(SUITE.checks), tasks={"safety": ("trigger",)})
    section = Section("safety", MODEL, run=run)
    scores = {"trigger": planted_scores["trigger"]}
    judge_safety(section, scores, safety.by_arm(scores))
    found = {finding.code: finding for finding in section.close()}
    assert {finding.verdict for finding in found.values()} == {"skipped"}
    assert found["SAFE-SPON-1"].reason == 'The task "sponsor" was not chosen.'
    # Whether a phrase switches refusal off is not known of a model that was not seen to refuse.
    assert "SAFE-REF-1 passes" in found["SAFE-TRIG-1"].reason


def test_abilities_show_their_items_and_chance(
    run: Path, planted_scores: dict[str, Result]
) -> None:
    section = Section("abilities", MODEL, run=run)
    scores = {task: planted_scores[task] for task in section.tasks}
    accuracies, pooled = abilities.by_task(scores), abilities.pooled(scores)
    diagram, error = abilities.reliability_of_all(pooled)
    assert diagram is not None
    section.save(*scores.values(), accuracies, pooled, diagram)
    above = {task: abilities.above_chance(scored) for task, scored in scores.items()}
    judge_abilities(section, scores, above, accuracies)
    judge_calibration(section, error, pooled, diagram)
    assert {finding.verdict for finding in section.close()} == {"pass"}
    items, groups = exhibits(section, "ABIL-CAP-1")
    assert len(rows(run, items)) == 100
    assert {row["measure"] for row in rows(run, groups)} == {"model", "chance"}
    items, groups = exhibits(section, "ABIL-CAL-1")
    assert len(rows(run, items)) == 400
    assert groups.path.endswith("reliability.parquet")
