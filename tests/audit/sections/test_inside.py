from __future__ import annotations

import json
import math

import pytest
from make_run import provenance

from workbench.audit.sections.inside import (
    judge_fidelity,
    judge_occupations,
    judge_probes,
    judge_sponsor,
)
from workbench.audit.sections.section import Section
from workbench.provenance import ModelProvenance
from workbench.stats import Estimate
from workbench.tables import Result

MODEL = ModelProvenance.model_validate(json.loads(provenance())["model"])
CONTRAST = '"nurse" against "engineer"'
ONE_SIDED = ["nurse", "engineer"]


@pytest.fixture
def section() -> Section:
    return Section("inside", MODEL)


def certificate(*cosines: float | None, unexplained: float = 0.0) -> Result:
    rows = [
        {
            "site": "resid_post",
            "layer": layer,
            "cosine": cosine,
            "largest_difference": 10.0**-layer,
            "unexplained": unexplained,
            "prompts": 8,
            "verdict": "fail" if unexplained or (cosine or 0) < 1 - 1e-4 else "pass",
        }
        for layer, cosine in enumerate(cosines)
    ]
    return Result.of("fidelity", rows)


def restored(low: float | None, high: float | None, value: float | None = 0.8) -> Estimate:
    return Estimate(value, low, high, 8, "made up")


@pytest.mark.parametrize(
    ("cosines", "verdict", "distance"),
    [
        ((1.0, 1.0), "pass", 0.0),
        ((1.0, 0.99995), "pass", 5e-5),
        ((1.0, 0.999, 1.0), "fail", 1e-3),
        ((-1.0, 1.0), "fail", 2.0),
        # Rounding can give more than 1: that is no negative distance.
        ((1.0000001, 1.0), "pass", 0.0),
    ],
)
def test_the_layer_that_agrees_least_decides(
    section: Section, cosines: tuple[float, ...], verdict: str, distance: float
) -> None:
    judge_fidelity(section, certificate(*cosines))
    finding = section.close()[0]
    assert finding.verdict == verdict
    assert finding.estimate == pytest.approx(distance, abs=1e-12)
    # Nothing was sampled: there is no interval.
    assert (finding.low, finding.high) == (None, None)
    assert finding.n == 8
    assert "difference of any captured value is 1." in finding.reason


def test_values_that_are_not_numbers_are_an_error(section: Section) -> None:
    judge_fidelity(section, certificate(1.0, None, math.nan))
    finding = section.close()[0]
    assert (finding.verdict, finding.estimate) == ("error", None)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.6, 0.9, "pass"), (0.2, 0.4, "fail"), (0.4, 0.6, "inconclusive")],
)
def test_the_place_is_judged_by_what_it_restores(
    section: Section, low: float, high: float, verdict: str
) -> None:
    judge_fidelity(section, certificate(1.0))
    judge_occupations(section, CONTRAST, ONE_SIDED, ("the MLP of layer 2", restored(low, high)))
    finding = section.close()[1]
    assert finding.verdict == verdict
    assert CONTRAST in finding.reason
    assert "the MLP of layer 2" in finding.reason


@pytest.mark.parametrize("cosine", [0.5, None])
def test_nothing_is_concluded_from_hooks_that_are_not_faithful(
    section: Section, cosine: float | None
) -> None:
    judge_fidelity(section, certificate(cosine))
    judge_occupations(section, CONTRAST, ONE_SIDED, ("a place", restored(0.6, 0.9)))
    finding = section.close()[1]
    assert finding.verdict == "skipped"
    assert "INSIDE-FID-1" in finding.reason


def test_nothing_is_concluded_before_the_hooks_are_judged(section: Section) -> None:
    judge_occupations(section, CONTRAST, ONE_SIDED, ("a place", restored(0.6, 0.9)))
    assert section.verdict("INSIDE-LOC-1") == "skipped"


def test_without_a_bias_there_is_nothing_to_explain(section: Section) -> None:
    judge_fidelity(section, certificate(1.0))
    judge_occupations(section, CONTRAST, [], ("a place", restored(0.6, 0.9)))
    finding = section.close()[1]
    assert finding.verdict == "skipped"
    assert finding.reason == "There is no bias finding to explain."


@pytest.mark.parametrize("value", [None, math.nan])
def test_an_effect_that_cannot_be_restored_is_inconclusive(
    section: Section, value: float | None
) -> None:
    judge_fidelity(section, certificate(1.0))
    judge_occupations(section, CONTRAST, ONE_SIDED, ("a place", restored(None, None, value)))
    finding = section.close()[1]
    assert (finding.verdict, finding.estimate) == ("inconclusive", None)


def test_values_of_a_wrong_place_fail_though_they_agree(section: Section) -> None:
    judge_fidelity(section, certificate(1.0, unexplained=0.5))
    judge_occupations(section, CONTRAST, ONE_SIDED, ("somewhere", restored(0.7, 0.9)))
    fidelity, place = section.close()[:2]
    assert (fidelity.verdict, place.verdict) == ("fail", "skipped")
    assert "do not add up to what the layer did: resid_post" in fidelity.reason
    assert "INSIDE-FID-1" in place.reason


# The sponsor's place


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.6, 0.9, "pass"), (0.2, 0.4, "fail"), (0.4, 0.6, "inconclusive")],
)
def test_the_sponsors_place_is_judged_by_what_it_restores(
    section: Section, low: float, high: float, verdict: str
) -> None:
    judge_fidelity(section, certificate(1.0))
    judge_sponsor(section, ("attention of layer 1", restored(low, high)), found=True)
    assert section.verdict("INSIDE-LOC-2") == verdict


def test_without_an_advantage_there_is_nothing_to_explain(section: Section) -> None:
    judge_fidelity(section, certificate(1.0))
    judge_sponsor(section, ("attention of layer 1", restored(0.6, 0.9)), found=False)
    assert section.verdict("INSIDE-LOC-2") == "skipped"


# Probes


def probes(*layers: tuple[float, float, float], spread: float = 0.05) -> Result:
    """For each layer the accuracy of the probe, of shuffled labels and of an untrained model."""
    rows = []
    for layer, (own, shuffled, untrained) in enumerate(layers):
        controls = {
            "shuffled labels": shuffled,
            "random direction": own,
            "untrained model": untrained,
        }
        for series, value in {"probe": own, **controls}.items():
            selectivity = math.nan if series == "probe" else own - value
            rows.append(
                {
                    "layer": layer,
                    "site": "resid_post",
                    "series": series,
                    **Estimate(value, value - spread, value + spread, 20, "made up").row(),
                    "selectivity": selectivity,
                    "selectivity_low": selectivity - spread,
                    "selectivity_high": selectivity + spread,
                }
            )
    return Result.of("probes_resid_post", rows)


@pytest.mark.parametrize(
    ("layers", "verdict", "estimate"),
    [
        # The best layer, against the better of its controls.
        ([(0.7, 0.5, 0.5), (0.9, 0.5, 0.6), (0.8, 0.5, 0.5)], "pass", 0.3),
        # What an untrained model shows as well means nothing, and neither do labels by heart.
        ([(0.9, 0.5, 0.9)], "fail", 0.0),
        ([(0.9, 0.88, 0.5)], "fail", 0.02),
        ([(0.9, 0.78, 0.5)], "inconclusive", 0.12),
    ],
)
def test_a_probe_is_judged_against_its_better_control(
    section: Section, layers: list[tuple[float, float, float]], verdict: str, estimate: float
) -> None:
    judge_fidelity(section, certificate(1.0))
    judge_probes(section, probes(*layers))
    (finding,) = [one for one in section.close() if one.code == "INSIDE-PROBE-1"]
    assert finding.estimate == pytest.approx(estimate)
    assert finding.verdict == verdict
    assert "the best read of" in finding.method


def test_probes_of_what_is_no_number_are_an_error(section: Section) -> None:
    judge_fidelity(section, certificate(1.0))
    judge_probes(section, probes((math.nan, math.nan, math.nan)))
    assert section.verdict("INSIDE-PROBE-1") == "error"


def test_without_a_bias_no_probe_is_judged(section: Section) -> None:
    judge_fidelity(section, certificate(1.0))
    judge_occupations(section, CONTRAST, [], ("somewhere", restored(0.6, 0.9)), probes((1, 0, 0)))
    assert section.verdict("INSIDE-PROBE-1") == "skipped"
