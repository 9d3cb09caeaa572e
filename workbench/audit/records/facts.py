"""What a run says of its model, machine and tables, read tolerantly: None where it does not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from workbench.audit.records.files import plain_files
from workbench.provenance import Host, ModelProvenance

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.audit.records.evidence import Evidence

__all__ = ["Facts", "Scored", "Table", "model_of", "statements_of"]

_PARTS = 3
"""Of the path of a result table: `sections`, the section's name, the file's."""


@dataclass(frozen=True)
class Table:
    """A result table of a run, without its rows.

    Attributes:
        path: inside the run.
        provenance: where its numbers came from, as the section said it.
    """

    path: str
    rows: int
    columns: tuple[str, ...]
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Scored:
    """A task or benchmark whose items a run has scored.

    Attributes:
        suite: of tasks; empty for a benchmark.
        version: of the suite.
        licence: of the items, as the suite states it; None for a benchmark's.
        data: file -> SHA-256.
        drawn: how the items were chosen.
        scorer: how an answer was scored.
        setup: what else the numbers depend on.
    """

    name: str
    path: str
    rows: int
    suite: str
    version: str
    licence: str | None
    data: dict[str, str]
    drawn: str
    scorer: str
    setup: dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """A run's evidence with what its records and tables say.

    Attributes:
        ended: when its last attempt ended, in UTC.
        statements: line of the checklist -> what the auditor states of it.
    """

    evidence: Evidence
    model: ModelProvenance | None
    host: Host | None
    packages: dict[str, str]
    ended: str | None
    statements: dict[str, str]
    tables: tuple[Table, ...]
    scored: tuple[Scored, ...]

    @classmethod
    def of(cls, evidence: Evidence) -> Self:
        """All that is there."""
        last = evidence.attempts[-1].get("ended") if evidence.attempts else None
        tables = _tables(evidence.folder)
        return cls(
            evidence=evidence,
            model=model_of(evidence),
            host=_host(evidence),
            packages=_texts(evidence.provenance.get("packages")),
            ended=last if isinstance(last, str) else None,
            statements=statements_of(evidence),
            tables=tables,
            scored=_scored(tables),
        )


def model_of(evidence: Evidence) -> ModelProvenance | None:
    """The model that was audited."""
    try:
        return ModelProvenance.model_validate(evidence.provenance.get("model"))
    except ValidationError:
        return None


def statements_of(evidence: Evidence) -> dict[str, str]:
    """Line of the checklist -> what the auditor states of it."""
    said = _texts(evidence.definition.get("statements"))
    return {key: text.strip() for key, text in said.items() if text.strip()}


def _host(evidence: Evidence) -> Host | None:
    try:
        return Host.model_validate(evidence.provenance.get("host"))
    except ValidationError:
        return None


def _tables(run: Path) -> tuple[Table, ...]:
    """Every result table of the run's sections, in the order of their paths."""
    files = plain_files(run)
    names = [name for name in sorted(files) if name.endswith(".parquet")]
    inside = [
        name for name in names if name.startswith("sections/") and len(name.split("/")) == _PARTS
    ]
    found = (_table(name, files[name]) for name in inside)
    return tuple(table for table in found if table is not None)


def _scored(tables: tuple[Table, ...]) -> tuple[Scored, ...]:
    """The tasks and benchmarks that tables hold the items of, each once."""
    found: dict[str, Scored] = {}
    for table in tables:
        said = table.provenance
        name = said.get("benchmark", said.get("task"))
        # Tables that sum a task up carry its provenance, too; its items' own table has `item`.
        if isinstance(name, str) and "item" in table.columns and name not in found:
            found[name] = Scored(
                name=name,
                path=table.path,
                rows=table.rows,
                suite=_text(said, "suite"),
                version=_text(said, "suite_version"),
                licence=_text(said, "licence") or None,
                data=_texts(said.get("data")),
                drawn=_text(said, "items"),
                scorer=_text(said, "scorer"),
                setup=said["setup"] if isinstance(said.get("setup"), dict) else {},
            )
    return tuple(found.values())


def _table(name: str, path: Path) -> Table | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.read_metadata(path)
        schema = file.schema.to_arrow_schema()
        header = json.loads((schema.metadata or {}).get(b"workbench", b"null"))
        said = header["provenance"]
    except (OSError, pa.ArrowException, ValueError, TypeError, KeyError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    return Table(name, file.num_rows, tuple(schema.names), said)


def _text(content: dict[str, Any], key: str) -> str:
    value = content.get(key)
    return value if isinstance(value, str) else ""


def _texts(content: Any) -> dict[str, str]:
    """The entries of a mapping whose values are texts."""
    if not isinstance(content, dict):
        return {}
    return {str(key): value for key, value in content.items() if isinstance(value, str)}
