"""The run as an RO-Crate 1.1: what each file is, and what made it.

Its profile is Process Run Crate 0.5 of the Workflow Run RO-Crate group (w3id.org/ro/wfrun/process):
one action, its instrument, what went in, what came out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from workbench.audit.records.evidence import read_run
from workbench.audit.records.facts import Facts
from workbench.audit.records.files import plain_files
from workbench.audit.records.folder import AUDIT, CRATE, MANIFEST, PROVENANCE, STATUS
from workbench.markup import visible
from workbench.provenance import dump_json, sha256, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["write_crate"]

_SPECIFICATION = "https://w3id.org/ro/crate/1.1"
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_TERMS = "https://w3id.org/ro/terms/workflow-run/context"
_SCHEMA = "http://schema.org/"

_ROOT, _TOOL, _MODEL, _ACTION, _LICENCE = "./", "#workbench", "#model", "#audit", "#licence"

_FORMATS = {
    ".json": "application/json",
    ".ipynb": "application/x-ipynb+json",
    ".parquet": "application/vnd.apache.parquet",
    ".html": "text/html",
    ".md": "text/markdown",
    ".sqlite": "application/vnd.sqlite3",
}

# Files that say what was asked and of what, and those written about the run: not its results.
_ASKED = {AUDIT}
_ABOUT = {PROVENANCE, STATUS, MANIFEST}


def write_crate(run: Path) -> Path:
    """Write it from the run folder alone; its path.

    Every file of the run is in it; of the manifest, which is written later, only that it is there.

    Raises:
        InputError: for what is not a run folder.
        StorageError: where it cannot be written.
    """
    facts = Facts.of(read_run(run))
    files = {name: path for name, path in plain_files(run).items() if name != CRATE}
    parts = [_file(name, files[name]) for name in sorted(files)]
    manifest = {
        "@id": MANIFEST,
        "@type": "File",
        "name": MANIFEST,
        "description": "in-toto statement with the SHA-256 of every file of the run",
        "encodingFormat": _FORMATS[".json"],
    }
    graph = [
        {
            "@id": CRATE,
            "@type": "CreativeWork",
            "conformsTo": {"@id": _SPECIFICATION},
            "about": {"@id": _ROOT},
        },
        _root(facts, [*parts, manifest]),
        *_context(facts),
        _action(facts, parts),
        *parts,
        manifest,
    ]
    content = {"@context": [f"{_SPECIFICATION}/context", _TERMS], "@graph": graph}
    write_atomically(run / CRATE, dump_json(content).encode())
    return run / CRATE


def _root(facts: Facts, parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    evidence = facts.evidence
    return {
        "@id": _ROOT,
        "@type": "Dataset",
        "name": f"Audit {_clean(evidence.run_id)} of {_clean(evidence.model)}",
        "description": _clean(
            f"{len(evidence.findings)} findings of the suite {evidence.suite} on open weights, "
            "with their tables, executed notebooks and report."
        ),
        "datePublished": _clean(facts.ended or evidence.created),
        "license": {"@id": _LICENCE},
        "conformsTo": {"@id": _PROFILE},
        "hasPart": _references(parts),
        "mentions": {"@id": _ACTION},
    }


def _context(facts: Facts) -> list[dict[str, Any]]:
    """What the run's entities point to."""
    model: dict[str, Any] = {
        "@id": _MODEL,
        "@type": "CreativeWork",
        "name": _clean(facts.evidence.model),
        "description": "The language model that was audited. Its weights are not in this crate.",
    }
    if facts.model is not None:
        model["identifier"] = _clean(facts.model.weights_digest)
        model["creativeWorkStatus"] = _clean(facts.model.revision or "no revision")
    return [
        {
            "@id": _PROFILE,
            "@type": "CreativeWork",
            "name": "Process Run Crate",
            "version": "0.5",
        },
        {
            "@id": _LICENCE,
            "@type": "CreativeWork",
            "name": "not stated",
            "description": "The auditor states no licence of this run's files.",
        },
        {
            "@id": _TOOL,
            "@type": "SoftwareApplication",
            "name": "open-weights-workbench",
            "softwareVersion": _clean(facts.evidence.version),
        },
        model,
    ]


def _action(facts: Facts, parts: list[dict[str, Any]]) -> dict[str, Any]:
    evidence = facts.evidence
    asked = [part for part in parts if part["name"] in _ASKED]
    made = [part for part in parts if part["name"] not in _ASKED | _ABOUT]
    action: dict[str, Any] = {
        "@id": _ACTION,
        "@type": "CreateAction",
        "name": f"Audit of {_clean(evidence.model)}",
        "description": _clean(" ".join(evidence.command)),
        "startTime": _clean(evidence.created),
        "instrument": {"@id": _TOOL},
        "agent": {"@id": _TOOL},
        "object": [{"@id": _MODEL}, *_references(asked)],
        "result": _references(made),
    }
    if facts.ended is not None:
        action["endTime"] = _clean(facts.ended)
    if evidence.incomplete:
        action["actionStatus"] = f"{_SCHEMA}FailedActionStatus"
        action["error"] = _clean(
            "; ".join(f"{section.name}: {section.state}" for section in evidence.incomplete)
        )
    else:
        action["actionStatus"] = f"{_SCHEMA}CompletedActionStatus"
    return action


def _file(name: str, path: Path) -> dict[str, Any]:
    entity = {
        "@id": quote(name, errors="surrogateescape"),
        "@type": "File",
        "name": _clean(name),
        "contentSize": str(path.stat().st_size),
        "sha256": sha256(path),
    }
    if path.suffix in _FORMATS:
        entity["encodingFormat"] = _FORMATS[path.suffix]
    return entity


def _references(entities: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    return [{"@id": entity["@id"]} for entity in entities]


def _clean(text: str) -> str:
    return visible(text, 1000)
