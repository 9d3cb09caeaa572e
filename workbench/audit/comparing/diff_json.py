"""Two runs side by side, as JSON values."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from workbench.stats.estimate import LEVEL

if TYPE_CHECKING:
    from workbench.audit.comparing.diff import FindingChange, RunDiff
    from workbench.tables import Result

__all__ = ["diff_json"]


def diff_json(diff: RunDiff) -> dict[str, Any]:
    """The same as JSON values; what is undefined is null."""
    return {
        "schema": 1,
        "first": asdict(diff.first),
        "second": asdict(diff.second),
        "equal": diff.equal,
        "findings_differ": diff.findings_differ,
        "counts": dict(diff.counts),
        "findings": [_finding_json(one) for one in diff.findings],
        "facts": [asdict(one) for one in diff.facts],
        "paired": _rows(diff.comparison.table) if diff.comparison else [],
        "changed_items": _rows(diff.comparison.changed) if diff.comparison else [],
        "not_paired": list(diff.not_paired),
        "level": LEVEL,
    }


def _finding_json(one: FindingChange) -> dict[str, Any]:
    found = one.found.difference
    return {
        "code": one.code,
        "change": one.change,
        "definition": one.definition,
        "first": None if one.first is None else one.first.model_dump(mode="json"),
        "second": None if one.second is None else one.second.model_dump(mode="json"),
        "difference": None if one.difference is None else asdict(one.difference),
        "paired": bool(found is not None and found.paired),
        "same_items": one.found.same_items,
        "number": one.found.number,
        "note": one.found.note,
        "p": one.p,
        "p_holm": one.p_holm,
        "q": one.q,
    }


def _rows(table: Result) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(table.frame().to_json(orient="records"))
    return rows
