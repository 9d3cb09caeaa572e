"""Drawings of differences and trends: where things lie, and what they say."""

from __future__ import annotations

import math
import re
from typing import Any
from xml.etree import ElementTree as ET

from workbench.audit.comparing.history import Point
from workbench.audit.comparing.run_charts import difference_drawing, trend_drawing
from workbench.marks import Scale
from workbench.stats import Estimate


def point(estimate: float | None, **values: Any) -> Point:
    return Point(
        **{
            "folder": "run",
            "created": "2026-01-01T00:00:00+00:00",
            "weights": "a",
            "verdict": "pass",
            "estimate": estimate,
            "low": None if estimate is None else estimate - 0.1,
            "high": None if estimate is None else estimate + 0.1,
            "n": 10,
            "threshold": 0.5,
            "direction": "above",
            **values,
        }
    )


def heights(svg: str) -> list[float]:
    return [float(y) for y in re.findall(r'<circle cx="[0-9.]+" cy="([0-9.]+)"', svg)]


def test_higher_numbers_lie_higher() -> None:
    svg = trend_drawing([point(0.2), point(0.4), point(0.3)], "a trend")
    first, second, third = heights(svg)
    assert second < third < first
    assert ET.fromstring(svg).get("aria-label") == "a trend"
    assert svg.count("✓") == 3


def test_other_weights_are_marked_and_what_is_missing_is_not_drawn() -> None:
    same = trend_drawing([point(0.2), point(0.2)], "")
    other = trend_drawing([point(0.2), point(0.2, weights="b")], "")
    assert other.count("<line") == same.count("<line") + 1
    bare = trend_drawing([point(None, threshold=None), point(math.inf, low=math.nan)], "")
    assert heights(bare) == []
    ET.fromstring(bare)


def test_what_a_file_says_is_escaped() -> None:
    hostile = '"><script>alert(1)</script>'
    svg = trend_drawing([point(0.1, verdict=hostile, created=hostile)], hostile)
    assert "<script>" not in svg
    assert ET.fromstring(svg).get("aria-label") == hostile


def test_a_difference_lies_beside_the_line_of_none() -> None:
    scale = Scale(-1.0, 1.0)
    above = difference_drawing(Estimate(0.5, 0.2, 0.8, 9, ""), scale, "above", "more is worse")
    (place,) = re.findall(r'<circle cx="([0-9.]+)"', above)
    assert float(place) == scale.place(0.5) > scale.place(0.0)
    # The shaded side is the one that fails.
    starts = [
        float(re.findall(r'<rect x="([0-9.]+)"', svg)[0])
        for svg in (above, difference_drawing(Estimate(0.5, None, None, 9, ""), scale, "below", ""))
    ]
    assert starts[0] == scale.place(0.0) > starts[1]
