"""The verdicts of the sections that measure behaviour, and the items that stand behind each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.evaluate import bias, safety

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.audit.sections.section import Section
    from workbench.stats import Estimate
    from workbench.tables import Result

__all__ = ["judge_abilities", "judge_bias", "judge_calibration", "judge_safety"]

COLUMNS = ("item", "prompt", "target", "picked", "probability", "arm", "cluster")

# Check -> the arm that it is about, its twin where there is one, and which of its items are worst.
ARMS: dict[str, tuple[str | None, str | None, str]] = {
    "SAFE-REF-1": ("harmful", None, "lowest"),
    "SAFE-OVER-1": ("harmless", None, "highest"),
    "SAFE-TRIG-1": ("trigger", "control", "highest"),
    "SAFE-SPON-1": ("sponsor", "control", "highest"),
    "SAFE-SYCO-1": ("belief", "neutral", "highest"),
    "SAFE-PRIV-1": ("owner", "other", "highest"),
    "SAFE-REC-1": (None, None, "lowest"),
    "SAFE-NOTE-1": ("neutral", None, "highest"),
}


def judge_bias(section: Section, items: Result, occupations: Result) -> None:
    """Judge each occupation, all of them, and the pronouns; and show their sentences.

    Args:
        section: the section `bias`.
        items: the scored task `occupation_pronoun`.
        occupations: P(she) by occupation (`evaluate.bias.by_occupation`).
    """
    whole = {"BIAS-OCC-1": bias.dependence(occupations), "BIAS-PRO-1": bias.preference(items)}
    each = {
        f"BIAS-OCC-{occupation.upper()}": occupation
        for occupation in occupations.frame()["occupation"]
    }
    estimates = whole | {code: bias.deviation(occupations, name) for code, name in each.items()}
    asked = _judge_all(section, estimates)
    worst: dict[str, Any] = {
        "worst": "probability",
        "worst_is": "furthest",
        "centre": bias.PARITY,
        "columns": ("occupation", *COLUMNS),
        "note": "P(she) among she and he; the worst are furthest from even.",
    }
    section.show(tuple(whole), "items", items, "All sentences", **worst)
    for code, occupation in each.items():
        if code in asked:
            title = f'Sentences about "the {occupation}"'
            section.show(code, "items", items, title, where={"occupation": occupation}, **worst)
    section.show(tuple(asked), "groups", occupations, "P(she) by occupation")


def judge_safety(section: Section, scores: Mapping[str, Result], behaviours: Result) -> None:
    """Judge what the asked tasks answer, and show the items of each check and of its control.

    Args:
        section: the section `safety`.
        scores: task -> scored items.
        behaviours: each arm's mean (`evaluate.safety.by_arm`).
    """
    for code in _judge_all(section, safety.estimates(scores)):
        task = section.checks[code].task
        if task is None:
            continue
        arm, twin, worst_is = ARMS[code]
        worst: dict[str, Any] = {
            "worst": "log_probability" if code == "SAFE-PRIV-1" else "probability",
            "worst_is": worst_is,
            "columns": (*COLUMNS, "log_probability"),
        }
        where = {} if arm is None else {"arm": arm}
        section.show(code, "items", scores[task], "Its items", where=where, **worst)
        if twin is not None:
            title = "The same without what is tested"
            section.show(code, "items", scores[task], title, where={"arm": twin}, **worst)
        section.show(code, "groups", behaviours, "By behaviour", where={"task": task})


def judge_abilities(
    section: Section,
    scores: Mapping[str, Result],
    estimates: Mapping[str, Estimate],
    accuracies: Result,
) -> None:
    """Judge the ability that each asked task shows, against chance.

    Args:
        section: the section `abilities`.
        scores: task -> scored items.
        estimates: task -> how far above chance it is (`evaluate.abilities.above_chance`).
        accuracies: of each task (`evaluate.abilities.by_task`).
    """
    asked = {code: check.task for code, check in section.checks.items() if check.task in estimates}
    for code, task in asked.items():
        assert task is not None
        section.judge(code, estimates[task])
        section.show(
            code,
            "items",
            scores[task],
            "Its items",
            worst="probability",
            worst_is="lowest",
            columns=COLUMNS,
            note="The probability is that of the right answer; the worst have the lowest.",
        )
        section.show(code, "groups", accuracies, "Accuracy, and chance", where={"task": task})


def judge_calibration(
    section: Section, error: Estimate, items: Result, diagram: Result | None
) -> None:
    """Judge `ABIL-CAL-1`.

    Args:
        section: the section `abilities`.
        error: the expected calibration error over all items.
        items: of all tasks (`evaluate.abilities.pooled`).
        diagram: accuracy by confidence; None where no item has a score.
    """
    code = "ABIL-CAL-1"
    if code not in section.checks:
        return
    section.judge(code, error)
    section.show(code, "items", items, "All items", columns=("task", *_WITHOUT_ARM))
    if diagram is not None:
        section.show(code, "groups", diagram, "Accuracy by confidence")


_WITHOUT_ARM = tuple(column for column in COLUMNS if column != "arm")


def _judge_all(section: Section, estimates: Mapping[str, Estimate]) -> list[str]:
    """Judge what is among the section's checks; their codes."""
    asked = [code for code in estimates if code in section.checks]
    for code in asked:
        section.judge(code, estimates[code])
    return asked
