"""The verdicts of the section that changes the model: does what was found inside cause it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.audit.sections.section import Section
    from workbench.stats import Estimate
    from workbench.tables import Result

__all__ = ["CHECKS", "judge_change", "show_change", "skip"]

CHECKS = {"occupation": "1", "sponsor": "2"}
"""Behaviour -> the number at the end of its checks: INT-EFFECT-1, INT-CONTROL-1, INT-SIDE-1."""


def skip(section: Section, name: str, reason: str) -> None:
    """State that a behaviour's checks are skipped, and why."""
    for kind in ("EFFECT", "CONTROL", "SIDE"):
        code = f"INT-{kind}-{CHECKS[name]}"
        if code in section.checks:
            section.state(code, "skipped", reason)


def judge_change(  # noqa: PLR0913, PLR0917 - what one change did
    section: Section,
    name: str,
    place: str,
    effect: Estimate,
    control: Estimate,
    harm: Estimate | None,
) -> None:
    """Judge whether the place causes the behaviour, whether any would, and what else it does.

    Args:
        section: the section `intervention`.
        name: of the behaviour, one of `CHECKS`.
        place: what was changed, in words.
        effect: the share of the difference that went.
        control: the share that went with random directions in its place.
        harm: how much less likely right answers became; None where no ability was asked.
    """
    number = CHECKS[name]
    section.judge(f"INT-EFFECT-{number}", effect, note=f"Taken away: {place}.")
    section.judge(
        f"INT-CONTROL-{number}",
        control,
        note="Taken away: random directions of the same length in its place.",
    )
    if harm is None:
        section.state(f"INT-SIDE-{number}", "skipped", "No task of an ability was chosen.")
    else:
        section.judge(f"INT-SIDE-{number}", harm, note=f"Taken away: {place}.")


def show_change(  # noqa: PLR0913, PLR0917 - the four tables of one change
    section: Section,
    name: str,
    findings: Sequence[str],
    groups: Result,
    doses: Result,
    items: Result,
    side_effects: Result | None = None,
) -> None:
    """Have findings show what changing the place that was found did.

    Args:
        section: the section `intervention`.
        name: of the behaviour, one of `CHECKS`.
        findings: codes of the findings that it is about.
        groups: each group before and after (`evaluate.removal_tables.by_group`).
        doses: what is left by dose (`evaluate.removal_tables.doses`).
        items: each item before and after (`evaluate.removal_tables.by_item`).
        side_effects: on abilities (`evaluate.removal_tables.harm`); None where none was asked.
    """
    number = CHECKS[name]
    own = [f"INT-{kind}-{number}" for kind in ("EFFECT", "CONTROL", "SIDE")]
    effect = [*findings, *own[:2]]
    measured = "On items that the direction was not found with."
    section.show(effect, "intervention", groups, "Before and after", note=measured)
    section.show(
        effect,
        "intervention",
        doses,
        "By dose",
        note=f"The difference that is left. {measured}",
    )
    section.show(
        [*findings, own[0]],
        "intervention",
        items,
        "The items that changed",
        note="Probabilities before and after, and after a random direction in its place.",
        worst="change",
        worst_is="furthest",
    )
    if side_effects is None:
        return
    section.show(
        [*findings, own[2]],
        "intervention",
        side_effects,
        "Side effects on abilities",
        note="The change of the right answer's probability, item by item.",
    )
