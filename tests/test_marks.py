from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from workbench.audit.records.checks import Finding
from workbench.marks import MARGIN, WIDTH, Scale, interval_text, ranked, scales, whisker


def finding(**more: Any) -> Finding:
    values: dict[str, Any] = {
        "code": "A-1",
        "question": "q",
        "section": "s",
        "verdict": "fail",
        "severity": "low",
        "estimate": 0.5,
        "low": 0.4,
        "high": 0.6,
        "threshold": 0.3,
    }
    return Finding(**{**values, **more})


def test_worst_first() -> None:
    verdicts = ["pass", "skipped", "inconclusive", "error", "fail"]
    findings = [finding(verdict=verdict) for verdict in verdicts]
    assert [f.verdict for f in ranked(findings)] == verdicts[::-1]
    by_severity = ranked([finding(severity="low"), finding(severity="high")])
    assert by_severity[0].severity == "high"


def test_interval_in_words() -> None:
    assert interval_text(finding(unit="share")) == "0.500 [0.400, 0.600] share"
    assert interval_text(finding(estimate=None)) == "\N{EN DASH}"
    assert interval_text(finding(low=None)) == "0.500"


def test_the_drawing_is_to_scale() -> None:
    svg = ET.fromstring(whisker(finding(), Scale(0.0, 1.0)))
    inner = WIDTH - 2 * MARGIN
    dot, shade = svg.find("circle"), svg.find("rect")
    assert dot is not None
    assert shade is not None
    assert float(dot.get("cx", "")) == MARGIN + inner / 2
    assert float(shade.get("x", "")) == pytest.approx(MARGIN + 0.3 * inner, abs=0.05)
    assert svg.get("aria-label") == "0.500 [0.400, 0.600], fails above 0.3"


def test_undefined_numbers_are_not_drawn() -> None:
    nan = float("nan")
    svg = ET.fromstring(whisker(finding(estimate=nan, low=nan, high=None), Scale(0.0, 1.0)))
    assert svg.find("circle") is None
    assert svg.find("path") is None


@pytest.mark.parametrize(
    ("values", "ends"),
    [([0.2, 0.3], (0, 1)), ([-0.2, 0.3], (-1, 1)), ([], (0, 1)), ([None, 0.1], (0, 1))],
)
def test_scales_of_proportions_are_whole(
    values: list[float | None], ends: tuple[float, float]
) -> None:
    assert Scale.over(values) == Scale(*map(float, ends))


def test_each_unit_has_its_scale() -> None:
    by_unit = scales([finding(unit="share"), finding(unit="nats", estimate=40.0, high=90.0)])
    assert by_unit["share"] == Scale(0.0, 1.0)
    assert by_unit["nats"].low < 0.3
    assert by_unit["nats"].high > 90
