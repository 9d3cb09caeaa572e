from __future__ import annotations

from typing import Any

import pandas as pd

from workbench import views
from workbench.audit.records.checks import Finding
from workbench.provenance import host

HOSTILE = "<script>alert(1)</script>\u202e"


def finding(verdict: Any, **more: Any) -> Finding:
    values: dict[str, Any] = {"code": "A-1", "question": HOSTILE, "section": "s"}
    return Finding(**{**values, **more}, verdict=verdict, severity="low", reason=HOSTILE)


def test_findings_stand_worst_first_with_their_interval() -> None:
    good = finding("pass", estimate=0.2, low=0.1, high=0.3, threshold=0.5, n=20)
    view = views.findings([good, finding("fail", code="B-1")])
    bundle = view._repr_mimebundle_()
    html, text = bundle["text/html"], bundle["text/plain"]
    assert html.index("✗ fail") < html.index("✓ pass")
    assert "<caption>2 checks: 1 fail, 1 pass</caption>" in html
    assert html.count("<svg") == 1
    assert "0.200 [0.100, 0.300]" in text
    assert "<script>" not in html
    assert "\u202e" not in html + text


def test_no_findings_are_said() -> None:
    assert "No checks." in views.findings([]).html


def test_a_table_has_a_caption() -> None:
    view = views.table(pd.DataFrame({"a": range(9)}), "Numbers", max_rows=4)
    assert "<caption>Numbers 9 rows; the first 2 and the last 2 are shown.</caption>" in view.html
    assert repr(view).startswith("Numbers\na\n0\n")


def test_provenance_of_a_record_and_of_a_mapping() -> None:
    assert "processors" in views.provenance(host()).text
    nested = {"files": [{"name": HOSTILE, "bytes": 3}], "revision": None, "tags": ["a", "b"]}
    view = views.provenance(nested)
    assert '<th scope="row" style="text-align:left">files.0.bytes</th>' in view.html
    assert "not stated" in view.text
    assert "a, b" in view.text
    assert "<script>" not in view.html
