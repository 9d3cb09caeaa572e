"""A plotly figure of a notebook as data that a report can hold: cleaned, described, tabulated."""

from __future__ import annotations

import base64
import html
import json
import re
from dataclasses import dataclass
from typing import Any

from workbench.markup import html_table, visible

__all__ = ["Figure", "boxed", "figure"]

TABLE_ROWS = 200
MAX_TRACES = 400
MAX_CHARACTERS = 400_000
LABEL_CHARACTERS = 600

# What the plotly bundle of the report can draw.
_TRACES = {"scatter", "bar", "heatmap", "box", "violin", "histogram", "contour", "pie"}
# Parts of a layout that load things, hold buttons, or bloat; none says anything about the data.
_DROPPED = {"images", "updatemenus", "sliders", "template", "mapbox", "map", "geo", "autosize"}
_TAG = re.compile(r"<(?!/?(?:br|b|i|em|strong|sub|sup|extra)\s*/?>)", re.IGNORECASE)
_BREAK = re.compile(r"<[^>]*>")
_DTYPES = {"i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"}


@dataclass(frozen=True)
class Figure:
    """A chart for the report.

    Attributes:
        data: JSON in which no `<` is left, for a script element.
        alt: one sentence that describes it.
        table: its numbers as an HTML table.
        height: in pixels, so that the page does not jump when it is drawn.
    """

    data: str
    alt: str
    table: str
    height: int


def figure(value: Any, table: str = "", *, tabulated: bool = True) -> Figure | None:
    """The chart in a notebook's plotly output, or None where it cannot be drawn.

    Args:
        value: the JSON of the output.
        table: HTML of its data where the notebook has it, already cleaned.
        tabulated: whether its data is made a table where there is none.
    """
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        return None
    traces = [_clean(trace) for trace in value["data"] if isinstance(trace, dict)]
    given = value.get("layout")
    parts = given.items() if isinstance(given, dict) else ()
    layout = {str(key): _clean(item) for key, item in parts if key not in _DROPPED}
    known = all(trace.get("type", "scatter") in _TRACES for trace in traces)
    if not traces or not known or len(traces) > MAX_TRACES:
        return None
    # The sentence is no label of plotly's, so it is taken as it came.
    meta = given.get("meta") if isinstance(given, dict) else None
    alt = meta.get("alt") if isinstance(meta, dict) else None
    height = layout.get("height")
    text = json.dumps({"data": traces, "layout": layout}, sort_keys=True, separators=(",", ":"))
    if len(text) > MAX_CHARACTERS:
        return None
    return Figure(
        data=text.replace("<", "\\u003c"),
        alt=visible(str(alt), 600) if alt else f"{_title(layout) or 'Chart'}: see its data below.",
        table=table or (_table(traces, layout) if tabulated else ""),
        height=min(max(height, 100), 2000) if isinstance(height, int) else 400,
    )


def _clean(value: Any) -> Any:
    """The value with only harmless tags in its text: plotly makes links of `<a href>`."""
    if isinstance(value, str):
        return _TAG.sub("&lt;", visible(value, LABEL_CHARACTERS, lines=True))
    if isinstance(value, dict):
        if "bdata" in value:
            return value
        return {str(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value


def _title(layout: dict[str, Any], name: str = "title") -> str:
    title = layout.get(name)
    text = title.get("text") if isinstance(title, dict) else title
    return _plain(text) if isinstance(text, str) else ""


def _plain(text: str) -> str:
    return visible(html.unescape(_BREAK.sub(" ", text)))


def _table(traces: list[dict[str, Any]], layout: dict[str, Any]) -> str:
    """The marks of all traces as one table."""
    import pandas as pd

    axes = {axis: _Axis.of(layout.get(f"{axis}axis"), axis) for axis in "xy"}
    rows: list[dict[str, Any]] = []
    for trace in traces:
        if trace.get("hoverinfo") != "skip":  # a ribbon repeats its line
            rows += _heatmap(trace, axes) if "z" in trace else _marks(trace, axes)
    frame = pd.DataFrame(rows).dropna(axis="columns", how="all")
    if not len(frame.columns):
        return ""
    return boxed(html_table(frame, "The data of this chart.", TABLE_ROWS))


def boxed(html: str) -> str:
    """Each table in a box of its own, which scrolls where the table is wider than the page."""
    opened = html.replace("<table>", '<div class="scroll" tabindex="0"><table>')
    return opened.replace("</table>", "</table></div>")


@dataclass(frozen=True)
class _Axis:
    name: str
    ticks: dict[Any, str]

    @classmethod
    def of(cls, value: Any, fallback: str) -> _Axis:
        axis = value if isinstance(value, dict) else {}
        places, texts = _array(axis.get("tickvals")), _array(axis.get("ticktext"))
        labels = {place: _plain(str(text)) for place, text in zip(places, texts, strict=False)}
        return cls(_title(axis) or fallback, labels)

    def label(self, value: Any) -> Any:
        return self.ticks.get(value, _plain(value) if isinstance(value, str) else value)


def _marks(trace: dict[str, Any], axes: dict[str, _Axis]) -> list[dict[str, Any]]:
    """One row for each point or bar, with its error bars as low and high."""
    across, up = _array(trace.get("x")), _array(trace.get("y"))
    name = trace.get("name")
    rows = []
    for place, (x, y) in enumerate(zip(across, up, strict=False)):
        row = {
            "series": _plain(name) if isinstance(name, str) and name else None,
            axes["y"].name: axes["y"].label(y),
            axes["x"].name: axes["x"].label(x),
        }
        for key, value in (("error_x", x), ("error_y", y)):
            error = trace.get(key)
            if isinstance(error, dict):
                row["low"] = _sum(value, error.get("arrayminus"), place, -1)
                row["high"] = _sum(value, error.get("array"), place, 1)
        rows.append(row)
    return rows


def _heatmap(trace: dict[str, Any], axes: dict[str, _Axis]) -> list[dict[str, Any]]:
    cells = [_array(row) for row in _array(trace.get("z"))]
    across, up = _array(trace.get("x")), _array(trace.get("y"))
    return [
        {
            axes["y"].name: axes["y"].label(up[i] if i < len(up) else i),
            axes["x"].name: axes["x"].label(across[j] if j < len(across) else j),
            "value": value,
        }
        for i, row in enumerate(cells)
        for j, value in enumerate(row)
    ]


def _sum(value: Any, distances: Any, place: int, sign: int) -> float | None:
    known = _array(distances)
    distance = known[place] if place < len(known) else None
    if isinstance(value, (int, float)) and isinstance(distance, (int, float)):
        return value + sign * distance
    return None


def _array(value: Any) -> list[Any]:
    """A list of the figure, also where plotly packed it into base64."""
    if isinstance(value, list):
        return value
    if not isinstance(value, dict) or value.get("dtype") not in _DTYPES:
        return []
    import numpy as np

    try:
        numbers = np.frombuffer(base64.b64decode(str(value.get("bdata"))), np.dtype(value["dtype"]))
        shape = [int(size) for size in str(value.get("shape", numbers.size)).split(",")]
        unpacked: list[Any] = numbers.reshape(shape).tolist()
    except ValueError:
        return []
    return unpacked
