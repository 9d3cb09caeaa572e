"""Small drawings as inline SVG: what two runs differ by, and how a check went on run after run.

All of it is `currentColor`, so that it reads on any paper, and every drawing has its text.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from workbench.marks import HEIGHT, MARGIN, SYMBOLS, WIDTH
from workbench.markup import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from workbench.audit.comparing.history import Point
    from workbench.marks import Scale
    from workbench.stats.estimate import Estimate

__all__ = ["difference_drawing", "trend_drawing"]

STEP = 10
_SLOTS = 8
"""Runs that a drawing has room for at least."""
_TALL = 100
_LEFT = 54
_RIGHT = 14
_TOP = 10
_FOOT = 34


def difference_drawing(estimate: Estimate, scale: Scale, direction: str, text: str) -> str:
    """A dot and its interval beside the line of no difference; the side that is worse is shaded.

    Args:
        estimate: the difference.
        scale: of all differences that are drawn alike.
        direction: on which side the check fails, `above` or `below`.
        text: what it says, for those who do not see it.
    """
    middle, zero = HEIGHT // 2, scale.place(0.0)
    start, end = (zero, WIDTH - MARGIN) if direction == "above" else (MARGIN, zero)
    axis = f'x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{middle}" y2="{middle}"'
    side = f'x="{start:g}" y="3" width="{end - start:.4g}" height="{HEIGHT - 6}"'
    none = f'x1="{zero:g}" x2="{zero:g}" y1="1" y2="{HEIGHT - 1}"'
    parts = [
        f'<line {axis} stroke="currentColor" stroke-opacity="0.35"/>',
        f'<rect {side} fill="currentColor" fill-opacity="0.1"/>',
        f'<line {none} stroke="currentColor" stroke-width="1.5"/>',
    ]
    if estimate.low is not None and estimate.high is not None:
        left, right = scale.place(estimate.low), scale.place(estimate.high)
        caps = "".join(f"M{end:g} 7V{HEIGHT - 7}" for end in (left, right))
        parts.append(
            f'<path d="M{left:g} {middle}H{right:g}{caps}" fill="none" stroke="currentColor" '
            'stroke-width="2"/>'
        )
    if estimate.value is not None:
        place = scale.place(estimate.value)
        parts.append(f'<circle cx="{place:g}" cy="{middle}" r="4" fill="currentColor"/>')
    return _svg(WIDTH, HEIGHT, parts, text)


def trend_drawing(points: Sequence[Point], text: str) -> str:
    """A check run after run, as far apart as any two: dot, interval, threshold, and the verdict.

    A faint line stands where the weights are others than in the run before.

    Args:
        points: of at least one run, in order.
        text: what it says, for those who do not see it.
    """
    width = _LEFT + STEP * max(_SLOTS, len(points)) + _RIGHT
    low, high = _range(points)
    # Answers of yes and no have no scale.
    tall = _TALL if any(_finite(point.estimate) is not None for point in points) else 0
    height = _TOP + tall + _FOOT

    def up(value: float) -> float:
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return round(_TOP + tall * (1 - share), 1)

    parts = list(_frame(low, high, width)) if tall else []
    before = points[0].weights
    for place, point in enumerate(points):
        x = _LEFT + STEP * (place + 0.5)
        if point.weights != before:
            ends = f'x1="{x - STEP / 2:g}" x2="{x - STEP / 2:g}" y1="{_TOP}" y2="{_TOP + tall + 4}"'
            parts.append(f'<line {ends} stroke="currentColor" stroke-opacity="0.3"/>')
        before = point.weights
        parts += _marks(point, x, up) if tall else []
        parts.append(_text(SYMBOLS.get(point.verdict, "·"), x, _TOP + tall + 16, "middle"))
    parts.append(_text(points[0].created[:10], _LEFT, height - 3, "start"))
    if len(points) > 2 * _SLOTS:
        parts.append(_text(points[-1].created[:10], width - _RIGHT, height - 3, "end"))
    return _svg(width, height, parts, text)


def _text(text: str, x: float, y: float, anchor: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def _marks(point: Point, x: float, up: Callable[[float], float]) -> Iterator[str]:
    threshold, low, high, value = map(
        _finite, (point.threshold, point.low, point.high, point.estimate)
    )
    if threshold is not None:
        y = up(threshold)
        yield (
            f'<line x1="{x - STEP / 2:g}" x2="{x + STEP / 2:g}" y1="{y:g}" y2="{y:g}" '
            'stroke="currentColor" stroke-dasharray="4 2"/>'
        )
    if low is not None and high is not None:
        yield (
            f'<line x1="{x:g}" x2="{x:g}" y1="{up(low):g}" y2="{up(high):g}" '
            'stroke="currentColor" stroke-width="2"/>'
        )
    if value is not None:
        yield f'<circle cx="{x:g}" cy="{up(value):g}" r="3.5" fill="currentColor"/>'


def _frame(low: float, high: float, width: int) -> Iterator[str]:
    """The two ends of the scale, with their numbers."""
    for value, y in ((high, _TOP), (low, _TOP + _TALL)):
        yield (
            f'<line x1="{_LEFT}" x2="{width - _RIGHT}" y1="{y}" y2="{y}" stroke="currentColor" '
            'stroke-opacity="0.25"/>'
        )
        yield _text(number(value, 3), _LEFT - 6, y + 4, "end")


def _range(points: Iterable[Point]) -> tuple[float, float]:
    """The numbers at the bottom and the top: room for all, and for 0 where it is near."""
    known = [
        value
        for point in points
        for value in map(_finite, (point.estimate, point.low, point.high, point.threshold))
        if value is not None
    ]
    low, high = min(known, default=0.0), max(known, default=1.0)
    margin = 0.06 * (high - low) or 0.5 * abs(high) or 0.5
    if 0 <= low <= 0.5 * high:
        return 0.0, high + margin
    return low - margin, high + margin


def _svg(width: float, height: float, parts: Iterable[str], text: str) -> str:
    return (
        f'<svg width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(text)}" font-size="10.5" fill="currentColor">{"".join(parts)}</svg>'
    )


def _finite(value: float | None) -> float | None:
    # Beyond it a difference of two has no finite number.
    return value if value is not None and math.isfinite(value) and abs(value) < 1e150 else None  # noqa: PLR2004
