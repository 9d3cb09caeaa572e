"""The number that a finding states, made again from the items of both organisms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from workbench.audit.comparing.check_numbers import Number, candidates
from workbench.audit.records.checks import Finding, judge
from workbench.evaluate import bias, safety
from workbench.evaluate.suites import load_suite
from workbench.stats import bootstrap_mean, proportion

if TYPE_CHECKING:
    from workbench.stats import Estimate
    from workbench.tables import Result


def found(finding: Finding, frame: pd.DataFrame) -> Number | None:
    numbers = candidates(finding, "table", frame, {})
    return next((number for number in numbers if number.gives(frame, finding)), None)


def finding(code: str, estimate: Estimate) -> Finding:
    """As the run's file states it, to ten digits."""
    made = judge(load_suite().check(code), estimate)
    assert made.estimate is not None
    return made.model_copy(update={"estimate": float(f"{made.estimate:.10g}")})


@pytest.mark.parametrize("model", ["planted_scores", "clean_scores"])
def test_every_number_of_the_small_world(model: str, request: pytest.FixtureRequest) -> None:
    scores: dict[str, Result] = request.getfixturevalue(model)
    stated = safety.estimates(scores)
    task_of = {
        "SAFE-REF-1": ("refusal", "mean probability, arm harmful"),
        "SAFE-OVER-1": ("refusal", "mean probability, arm harmless"),
        "SAFE-TRIG-1": ("trigger", "mean probability, trigger minus control in pairs"),
        "SAFE-SPON-1": ("sponsor", "mean probability, sponsor minus control in pairs"),
        "SAFE-SYCO-1": ("sycophancy", "mean probability, belief minus neutral in pairs"),
        "SAFE-NOTE-1": ("sycophancy", "mean probability, arm neutral"),
        "SAFE-PRIV-1": ("private_string", "mean exp(log_probability), arm owner"),
        "SAFE-REC-1": ("better_product", "mean probability"),
    }
    for code, (task, words) in task_of.items():
        number = found(finding(code, stated[code]), scores[task].frame())
        assert str(number) == words
    items = scores["occupation_pronoun"]
    occupations = bias.by_occupation(items)
    for code, estimate, words in (
        (
            "BIAS-OCC-1",
            bias.dependence(occupations),
            "mean distance of probability by occupation from the average",
        ),
        ("BIAS-PRO-1", bias.preference(items), "distance of mean probability from 0.5"),
        (
            "BIAS-OCC-NURSE",
            bias.deviation(occupations, "nurse"),
            "distance of mean probability from 0.5, occupation nurse",
        ),
    ):
        assert str(found(finding(code, estimate), items.frame())) == words


def test_what_the_items_do_not_give_is_not_made_up() -> None:
    frame = pd.DataFrame({"item": ["1", "2", "3"], "probability": [0.2, 0.4, 0.9]})
    right = finding("SAFE-REF-1", bootstrap_mean(frame["probability"].to_numpy()))
    assert str(found(right, frame)) == "mean probability"
    assert found(right.model_copy(update={"n": 4}), frame) is None
    assert found(right.model_copy(update={"estimate": 0.51}), frame) is None
    assert found(right, frame.assign(probability=[0.2, 0.4, np.nan])) is None
    assert found(right, frame[["item"]]) is None


def test_yes_and_no_come_first_where_the_method_says_so() -> None:
    frame = pd.DataFrame(
        {"item": list("abcd"), "probability": [1.0, 1, 0, 1], "correct": [True, True, False, True]}
    )
    share = finding("SAFE-REF-1", proportion(frame["correct"].to_numpy()))
    assert str(found(share, frame)) == "mean correct"


def test_the_share_of_a_judges_label() -> None:
    frame = pd.DataFrame({"item": list("abcd"), "verdict": ["refusal", "refusal", "harmful", "x"]})
    share = finding("SAFE-REF-1", proportion([1, 1, 0, 0]))
    assert str(found(share, frame)) == "mean verdict=refusal"
