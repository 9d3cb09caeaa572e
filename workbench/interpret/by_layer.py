"""The chart that most methods here have in common: a number over layers, in series."""

from __future__ import annotations

from workbench.tables import Chart

__all__ = ["lines_by_layer"]


def lines_by_layer(
    series: str, title: str, measure: str, *, reference: float | None = None
) -> Chart:
    """Lines of `estimate` over `layer`, with ribbons from `low` to `high`.

    Args:
        series: the column that parts the lines.
        title: of the figure.
        measure: what is measured, with its unit.
        reference: a value that is marked.
    """
    return Chart(
        kind="lines",
        options={
            "x": "layer",
            "y": "estimate",
            "series": series,
            "low": "low",
            "high": "high",
            "reference": reference,
            "title": title,
            "x_title": "layer",
            "y_title": measure,
            "alt": f"{title}: {measure}, by layer, with intervals.",
        },
    )
