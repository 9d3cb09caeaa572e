from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from workbench.audit.reporting import figures
from workbench.audit.reporting.figures import figure


def packed(*values: float) -> dict[str, str]:
    data = base64.b64encode(struct.pack(f"<{len(values)}d", *values)).decode()
    return {"dtype": "f8", "bdata": data}


def drawn(trace: dict[str, Any], **layout: Any) -> figures.Figure:
    made = figure({"data": [trace], "layout": layout})
    assert made is not None
    return made


def test_marks_become_a_table_with_their_intervals() -> None:
    trace = {
        "type": "scatter",
        "name": "a &amp; b",
        "x": [0.5, None],
        "y": [0, 1],
        "error_x": {"array": [0.25, None], "arrayminus": [0.5, None]},
    }
    ticks = {"tickvals": [0, 1], "ticktext": ["the", "&lt;b&gt;"]}
    table = drawn(trace, yaxis=ticks, xaxis={"title": {"text": "share"}}).table
    assert '<th scope="col" style="text-align:right">share</th>' in table
    assert ">a &amp; b</td>" in table
    assert ">&lt;b&gt;</td>" in table
    assert ">0.75</td>" in table


def test_packed_arrays_are_read() -> None:
    table = drawn({"type": "bar", "x": packed(1, 2), "y": packed(7.5, 8.5)}).table
    assert ">7.5</td>" in table
    cells = {**packed(1, 2, 3, 4.25), "shape": "2, 2"}
    assert ">4.25</td>" in drawn({"type": "heatmap", "z": cells}).table


@pytest.mark.parametrize(
    "value",
    [
        {"dtype": "O", "bdata": "gASVBQ=="},
        {"dtype": "f8", "bdata": "not base64"},
        {**packed(1, 2), "shape": "7"},
        {**packed(1, 2), "shape": "x"},
    ],
)
def test_what_is_packed_wrongly_is_left_out_of_the_table(value: dict[str, str]) -> None:
    assert drawn({"type": "scatter", "x": value, "y": [1]}).table == ""


@pytest.mark.parametrize(
    "value",
    [None, [], {}, {"data": 3}, {"data": []}, {"data": [{"type": "scatter3d"}]}, {"data": ["x"]}],
)
def test_what_cannot_be_drawn_is_none(value: Any) -> None:
    assert figure(value) is None


def test_too_large_a_chart_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "MAX_CHARACTERS", 50)
    assert figure({"data": [{"type": "bar", "y": list(range(100))}]}) is None


def test_labels_keep_only_harmless_tags() -> None:
    text = '<a href="https://e.com">x</a><br><b>y</b><script>'
    made = drawn({"type": "bar", "y": [1], "name": text}, images=[{"source": "https://e.com"}])
    content = json.loads(made.data)
    assert content["data"][0]["name"] == (
        '&lt;a href="https://e.com">x&lt;/a><br><b>y</b>&lt;script>'
    )
    assert content["layout"] == {}


def test_the_sentence_and_the_height_are_bounded() -> None:
    made = drawn({"type": "bar", "y": [1]}, meta={"alt": "x" * 10_000}, height=10**9)
    assert len(made.alt) < 700
    assert made.height == 2000
    assert drawn({"type": "bar", "y": [1]}, title="T").alt == "T: see its data below."
