"""Where a run's numbers come from: weights, code, packages, machine, parameters, thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.markup import cell

if TYPE_CHECKING:
    from workbench.audit.records.evidence import Evidence

__all__ = ["Origins", "origins"]

_COUNTS = {"context_length", "memory_bytes", "parameters", "vocabulary"}
_KNOWN = {"schema", "model", "host", "packages"}

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Origins:
    """The tables of provenance that the report shows, as names with values.

    Attributes:
        files: name, bytes and SHA-256 of each file of the model.
        passed: parameters that somebody gave; `defaulted` are the others.
    """

    model: Pairs
    files: list[tuple[Any, Any, Any]]
    host: Pairs
    packages: Pairs
    other: Pairs
    passed: Pairs
    defaulted: Pairs
    thresholds: Pairs


def origins(evidence: Evidence) -> Origins:
    """What the run recorded of its own origin."""
    record = evidence.provenance
    model = evidence.recorded_model
    listed = model.get("files")
    files = listed if isinstance(listed, list) else []
    return Origins(
        model=_pairs({k: v for k, v in model.items() if k not in {"files", "packages"}}),
        files=[
            (entry.get("name"), entry.get("bytes"), entry.get("sha256"))
            for entry in files
            if isinstance(entry, dict)
        ],
        host=_pairs(record.get("host")),
        packages=_pairs(record.get("packages") or model.get("packages")),
        other=_pairs({key: value for key, value in record.items() if key not in _KNOWN}),
        passed=[(name, cell(value)) for name, value in evidence.passed.items()],
        defaulted=[(name, cell(value)) for name, value in evidence.defaulted.items()],
        thresholds=[
            (check.code, "yes or no" if check.threshold is None else cell(check.threshold))
            for check in evidence.checks
        ],
    )


def _pairs(values: Any, prefix: str = "") -> Pairs:
    pairs: Pairs = []
    for key, value in values.items() if isinstance(values, dict) else ():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, dict):
            pairs += _pairs(value, f"{name}: ")
        elif isinstance(value, list):
            pairs.append((name, ", ".join(map(str, value)) or "none"))
        else:
            grouped = isinstance(value, int) and key in _COUNTS
            text = f"{value:,}" if grouped else str(value)
            pairs.append((name, "not stated" if value is None else text))
    return pairs
