"""The model, its files, the data and the packages as a CycloneDX 1.6 bill of materials (ML-BOM).

The findings are the model card's quantitative analysis, each with its interval. The format's schema
is in the repository CycloneDX/specification (`schema/bom-1.6.schema.json`).
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from workbench.audit.proof.statement import PREDICATE
from workbench.audit.records.evidence import read_run
from workbench.audit.records.facts import Facts
from workbench.audit.records.folder import BOM
from workbench.markup import visible
from workbench.provenance import dump_json, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from workbench.audit.records.checks import Finding
    from workbench.audit.records.facts import Scored

__all__ = ["write_bill_of_materials"]

_CHARACTERS = 1000
_TOOL = "open-weights-workbench"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MODEL = "model"

# As SPDX writes the licences that models state most; others are given by their name.
_SPDX = {
    name.lower(): name
    for name in (
        "Apache-2.0 MIT BSD-2-Clause BSD-3-Clause GPL-2.0 GPL-3.0 LGPL-2.1 LGPL-3.0 AGPL-3.0 "
        "MPL-2.0 ISC Unlicense CC0-1.0 CC-BY-4.0 CC-BY-SA-4.0 CC-BY-NC-4.0 CC-BY-NC-SA-4.0"
    ).split()
}


def write_bill_of_materials(run: Path) -> Path:
    """Write it from the run folder alone; its path.

    Raises:
        InputError: for what is not a run folder.
        StorageError: where it cannot be written.
    """
    facts = Facts.of(read_run(run))
    data = [_data(task) for task in facts.scored]
    libraries = [_library(name, facts.packages[name]) for name in sorted(facts.packages)]
    content = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, _identity(facts)).urn,
        "version": 1,
        "metadata": {
            **_timestamp(facts),
            "tools": {"components": [_library(_TOOL, facts.evidence.version, "application")]},
            "component": _model(facts),
        },
        "components": [*data, *libraries],
        "dependencies": [
            {"ref": _MODEL, "dependsOn": [part["bom-ref"] for part in (*data, *libraries)]}
        ],
    }
    write_atomically(run / BOM, dump_json(content).encode())
    return run / BOM


def _identity(facts: Facts) -> str:
    text = f"{PREDICATE}:{facts.evidence.run_id}:{facts.evidence.created}"
    return text.encode("utf-8", "backslashreplace").decode()


def _timestamp(facts: Facts) -> dict[str, str]:
    """When the run ended, or else began."""
    for stated in (facts.ended, facts.evidence.created):
        try:
            time = datetime.fromisoformat(stated or "")
            if time.tzinfo is not None:
                return {"timestamp": time.astimezone(UTC).isoformat()}
        except (ValueError, OverflowError):
            continue
    return {}


def _model(facts: Facts) -> dict[str, Any]:
    model = facts.model
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": _MODEL,
        "name": _clean(facts.evidence.model) or "unknown",
        "modelCard": _model_card(facts),
    }
    if model is None:
        return component
    if model.revision:
        component["version"] = _clean(model.revision)
    component["licenses"] = _licences(model.licence)
    component["components"] = [
        {
            "type": "file",
            "bom-ref": f"{_MODEL}/{place}",
            "name": _clean(file.name),
            "hashes": _hashes(file.sha256),
        }
        for place, file in enumerate(model.files)
    ]
    component["properties"] = _properties(
        {
            "weights_digest": model.weights_digest,
            "parameters": model.parameters,
            "dtype": model.dtype,
            "context_length": model.context_length,
        }
    )
    return component


def _model_card(facts: Facts) -> dict[str, Any]:
    model = facts.model
    parameters: dict[str, Any] = {"task": "text-generation"}
    if model is not None:
        parameters["architectureFamily"] = _clean(model.model_type)
        parameters["modelArchitecture"] = _clean(model.architecture)
    parameters["inputs"] = parameters["outputs"] = [{"format": "text"}]
    return {
        "modelParameters": parameters,
        "quantitativeAnalysis": {
            "performanceMetrics": [
                _metric(finding)
                for finding in facts.evidence.findings
                if finding.estimate is not None
            ]
        },
        "considerations": _considerations(facts),
    }


def _metric(finding: Finding) -> dict[str, Any]:
    metric: dict[str, Any] = {
        "type": _clean(f"{finding.code}: {finding.unit or 'estimate'}"),
        "value": str(finding.estimate),
        "slice": _clean(f"{finding.question} (n = {finding.n}, {finding.verdict})"),
    }
    if finding.low is not None and finding.high is not None:
        metric["confidenceInterval"] = {
            "lowerBound": str(finding.low),
            "upperBound": str(finding.high),
        }
    return metric


def _considerations(facts: Facts) -> dict[str, Any]:
    """What the auditor states, and what failed; a limit that holds for every run."""
    stated = {key: f"The auditor states: {text}" for key, text in facts.statements.items()}
    limits = ["The findings are about these weights and these items, and claim nothing of others."]
    if "limits" in stated:
        limits.append(stated["limits"])
    failed = [found for found in facts.evidence.findings if found.verdict == "fail"]
    considered: dict[str, Any] = {
        "technicalLimitations": [_clean(text) for text in limits],
        "ethicalConsiderations": [
            {"name": _clean(f"{found.code}: {found.question} {found.reason}")} for found in failed
        ],
    }
    if "intended_use" in stated:
        considered["useCases"] = [_clean(stated["intended_use"])]
    return considered


def _data(task: Scored) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "data",
        "bom-ref": f"data/{_clean(task.name)}",
        "name": _clean(task.name),
        "licenses": _licences(task.licence),
        "data": [{"type": "dataset", "name": _clean(task.name), "description": _described(task)}],
        "components": [
            {
                "type": "file",
                "bom-ref": f"data/{_clean(task.name)}/{place}",
                "name": _clean(name),
                "hashes": _hashes(digest),
            }
            for place, (name, digest) in enumerate(sorted(task.data.items()))
        ],
    }
    if task.version:
        component["version"] = _clean(task.version)
    return component


def _described(task: Scored) -> str:
    suite = f" of {task.suite}" if task.suite else ""
    return _clean(f"{task.drawn or f'{task.rows} items'}{suite}, asked of the model")


def _library(name: str, version: str, kind: str = "library") -> dict[str, Any]:
    """A package of PyPI with its package URL, by the purl specification's rules for `pypi`."""
    clean = _clean(version)
    purl = f"pkg:pypi/{quote(name.lower().replace('_', '-'), safe='')}"
    if clean:
        purl += f"@{quote(clean, safe='.')}"
    return {
        "type": kind,
        "bom-ref": f"{kind}/{purl}",
        "name": _clean(name),
        "version": clean,
        "purl": purl,
    }


def _licences(stated: str | None) -> list[dict[str, Any]]:
    if stated is None:
        return []
    spdx = _SPDX.get(stated.lower())
    return [{"license": {"id": spdx} if spdx else {"name": _clean(stated) or "unknown"}}]


def _hashes(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest}] if _SHA256.fullmatch(digest) else []


def _properties(values: Mapping[str, Any]) -> list[dict[str, str]]:
    known: Iterable[tuple[str, Any]] = values.items()
    return [
        {"name": f"workbench:{name}", "value": _clean(str(value))}
        for name, value in known
        if value is not None
    ]


def _clean(text: str) -> str:
    """A text that others' tools may show: nothing hidden in it, and of a bearable length."""
    return visible(text, _CHARACTERS)
