"""How verdicts and estimates are marked: symbols, words and a small drawing of the interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from workbench.markup import MISSING, number, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.audit.records.checks import Finding

__all__ = [
    "SEVERITIES",
    "SYMBOLS",
    "WORDS",
    "Scale",
    "interval_text",
    "ranked",
    "scales",
    "threshold_text",
    "whisker",
]

# Each verdict, what needs attention first, with a sign for those who do not see its colour.
SYMBOLS = {"fail": "✗", "error": "!", "inconclusive": "?", "skipped": "○", "pass": "✓"}
WORDS = {
    "fail": "Failed",
    "error": "Error",
    "inconclusive": "Inconclusive",
    "skipped": "Skipped",
    "pass": "Passed",
}
SEVERITIES = ("high", "medium", "low", "info")

WIDTH = 168
HEIGHT = 22
MARGIN = 6
DIGITS = 3


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """The findings by verdict (fails first), then severity, then code."""
    verdicts = list(SYMBOLS)
    return sorted(
        findings,
        key=lambda finding: (
            verdicts.index(finding.verdict),
            SEVERITIES.index(finding.severity),
            finding.code,
        ),
    )


def interval_text(finding: Finding) -> str:
    """The estimate with its interval and unit, as `0.230 [0.201, 0.262] share`."""
    value = _finite(finding.estimate)
    if value is None:
        return MISSING
    text = _digits(value)
    low, high = _finite(finding.low), _finite(finding.high)
    if low is not None and high is not None:
        text += f" [{_digits(low)}, {_digits(high)}]"
    return f"{text} {visible(finding.unit, 40)}".strip()


def _digits(value: float) -> str:
    """Three decimals for a proportion, so that a column of them lines up."""
    if abs(value) <= 1 and round(value, DIGITS):
        return f"{value:.{DIGITS}f}".replace("-", "\N{MINUS SIGN}")
    return number(value, DIGITS)


def threshold_text(finding: Finding) -> str:
    """The side of the threshold on which the check fails."""
    if finding.threshold is None:
        return "yes or no"
    return f"fails {finding.direction} {number(finding.threshold)}"


@dataclass(frozen=True)
class Scale:
    """The numbers at the two ends of a drawing, so that several can share one."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Iterable[float | None]) -> Scale:
        """A scale that holds all values: the whole unit range where they may be proportions."""
        known = [value for value in map(_finite, values) if value is not None]
        low, high = min(known, default=0.0), max(known, default=1.0)
        if high <= 1 and low >= -1:
            return cls(0.0 if low >= 0 else -1.0, 1.0)
        margin = 0.08 * (high - low) or 1.0
        return cls(low - margin, high + margin)

    def place(self, value: float) -> float:
        """The horizontal place of a number in the drawing."""
        share = (value - self.low) / (self.high - self.low)
        return round(MARGIN + min(max(share, 0.0), 1.0) * (WIDTH - 2 * MARGIN), 1)


def scales(findings: Iterable[Finding]) -> dict[str, Scale]:
    """One scale for each unit, so that equal places mean equal numbers."""
    values: dict[str, list[float | None]] = {}
    for finding in findings:
        known = values.setdefault(finding.unit, [])
        known += [finding.estimate, finding.low, finding.high, finding.threshold]
    return {unit: Scale.over(known) for unit, known in values.items()}


def whisker(finding: Finding, scale: Scale) -> str:
    """An inline SVG: dot, interval, threshold, and the side of it that fails, shaded.

    All of it is `currentColor`, so that it reads on any paper.
    """
    middle = HEIGHT // 2
    ends = f'x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{middle}" y2="{middle}"'
    parts = [f'<line {ends} stroke="currentColor" stroke-opacity="0.35"/>']
    threshold, low, high, value = map(
        _finite, (finding.threshold, finding.low, finding.high, finding.estimate)
    )
    if threshold is not None:
        at = scale.place(threshold)
        start, end = (at, WIDTH - MARGIN) if finding.direction == "above" else (MARGIN, at)
        parts.append(
            f'<rect x="{start:g}" y="3" width="{end - start:.4g}" height="{HEIGHT - 6}" '
            'fill="currentColor" fill-opacity="0.13"/>'
            f'<line x1="{at:g}" x2="{at:g}" y1="1" y2="{HEIGHT - 1}" '
            'stroke="currentColor" stroke-width="1.5" stroke-dasharray="3 2"/>'
        )
    if low is not None and high is not None:
        left, right = scale.place(low), scale.place(high)
        caps = "".join(f"M{end:g} 7V{HEIGHT - 7}" for end in (left, right))
        parts.append(
            f'<path d="M{left:g} {middle}H{right:g}{caps}" '
            'fill="none" stroke="currentColor" stroke-width="2"/>'
        )
    if value is not None:
        place = scale.place(value)
        parts.append(f'<circle cx="{place:g}" cy="{middle}" r="4" fill="currentColor"/>')
    text = escape(f"{interval_text(finding)}, {threshold_text(finding)}")
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-label="{text}">{"".join(parts)}</svg>'
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
