"""All runs below a folder: when, of what, how they ended, and how each check went on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.audit.comparing.history_query import Findings
from workbench.audit.comparing.run_folders import NO_STATUS, RunFolder, run_folders
from workbench.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Changed", "History", "Point", "RunRow", "Trend", "read_history"]

VERDICTS = ("fail", "error", "inconclusive", "skipped", "pass")

_DIGEST = 6
"""Characters of a weights digest that are enough to name it."""


@dataclass(frozen=True)
class Changed:
    """A check whose answer is another than in the run before.

    Attributes:
        code: of the check.
        before, after: verdicts; None where a run has no such check.
        rejudged: whether threshold or direction are others, too, so that it was asked otherwise.
    """

    code: str
    before: str | None
    after: str | None
    rejudged: bool


@dataclass(frozen=True)
class RunRow:
    """One run.

    Attributes:
        folder: its path from where the runs were looked for.
        created: UTC, as it says.
        weights: digest of the weights; None where it was not recorded.
        state: how it stands (`workbench.audit.comparing.run_folders`).
        counts: findings by verdict; None where its findings could not be read.
        changed: since the run before of the same model; None where it is the first.
    """

    folder: str
    run_id: str
    created: str
    model: str
    weights: str | None
    suite: str
    suite_version: str
    workbench_version: str
    state: str
    seconds: float | None
    counts: dict[str, int] | None
    changed: tuple[Changed, ...] | None


@dataclass(frozen=True)
class Point:
    """A check in one run."""

    folder: str
    created: str
    weights: str | None
    verdict: str
    estimate: float | None
    low: float | None
    high: float | None
    n: int | None
    threshold: float | None
    direction: str


@dataclass(frozen=True)
class Trend:
    """One check of one model, run after run."""

    model: str
    code: str
    question: str
    section: str
    unit: str
    severity: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class History:
    """All runs below a folder.

    Attributes:
        runs: those asked for, the newest last.
        left_out: how many older ones are not among them.
        trends: by model and check; empty unless they were asked for.
        problems: what could not be read, in sentences.
    """

    runs: tuple[RunRow, ...]
    left_out: int = 0
    trends: tuple[Trend, ...] = ()
    problems: tuple[str, ...] = ()
    check: str | None = field(default=None)


def read_history(
    folder: Path,
    *,
    model: str | None = None,
    check: str | None = None,
    limit: int | None = None,
    trends: bool = False,
) -> History:
    """All runs below a folder, by time; what cannot be read is named, and never stops the rest.

    Args:
        folder: to look below.
        model: of which runs; as it was asked for, or the beginning of its weights digest.
        check: which findings are counted; `*` stands for the rest of a code.
        limit: the newest runs only; what changed is still told from all.
        trends: whether the checks' trends are read, too.

    Raises:
        InputError: where there is no such folder, or no run of that model, or no such check.
    """
    top = folder.resolve()
    found = {str(run.path): run for run in run_folders(top)}
    files = [run.path / "findings.parquet" for run in found.values() if run.summary]
    problems = [problem for run in found.values() for problem in run.problems]
    with Findings.below(top, files, check=check, trends=trends) as findings:
        rows = list(_rows(found, findings))
        points = findings.points() if trends else []
        problems += [
            f"{Path(path).relative_to(top).as_posix()}: {why}" for path, why in findings.problems
        ]
    rows = _of_model(rows, model)
    if check is not None and not any(row.counts and any(row.counts.values()) for row in rows):
        raise InputError(f'No run below {folder} has a check "{check}".')
    rows.sort(key=lambda row: (row.created, row.folder))
    shown = rows if limit is None else rows[-limit:]
    names = {run.name for run in found.values()} & {row.folder for row in shown}
    return History(
        runs=tuple(shown),
        left_out=len(rows) - len(shown),
        trends=tuple(_trends(points, found, names)),
        problems=tuple(problems),
        check=check,
    )


def _rows(found: dict[str, RunFolder], findings: Findings) -> Iterator[RunRow]:
    """A row for each run, with findings or without."""
    changed: dict[str, list[Changed]] = {}
    for file, code, before, after, rejudged in findings.changes():
        changed.setdefault(file, []).append(Changed(code, before, after, bool(rejudged)))
    known = {str(Path(row["filename"]).parent): row for row in findings.runs()}
    for path, run in found.items():
        row = known.get(path)
        if row is None:
            asked = run.asked()
            yield RunRow(
                run.name,
                **asked,
                weights=None,
                state=run.state,
                seconds=None,
                counts=None,
                changed=None,
            )
            continue
        yield RunRow(
            folder=run.name,
            run_id=row["run_id"] or "",
            created=row["created"] or "",
            model=row["model"] or "",
            weights=row["weights_digest"],
            suite=row["suite"] or "",
            suite_version=row["suite_version"] or "",
            workbench_version=row["workbench_version"] or "",
            state=(row["state"] or NO_STATUS) if run.state == NO_STATUS else run.state,
            seconds=row["seconds"],
            counts={verdict: row[verdict] for verdict in VERDICTS},
            changed=None if row["place"] == 1 else tuple(changed.get(row["filename"], ())),
        )


def _of_model(rows: list[RunRow], model: str | None) -> list[RunRow]:
    """The runs of one model, by its name or the beginning of its weights digest."""
    if model is None:
        return rows
    by_digest = len(model) >= _DIGEST
    kept = [
        row
        for row in rows
        if row.model == model or (by_digest and (row.weights or "").startswith(model))
    ]
    if not kept:
        names = {row.model for row in rows if row.model}
        raise InputError(f'There is no run of "{model}" here. {did_you_mean(model, names)}')
    return kept


def _trends(
    points: Sequence[dict[str, Any]], found: dict[str, RunFolder], names: set[str]
) -> Iterator[Trend]:
    """The trends over the runs of these names."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in points:
        row["folder"] = found[str(Path(row["filename"]).parent)].name
        if row["folder"] in names:
            groups.setdefault((row["model"] or "", row["code"] or ""), []).append(row)
    for (model, code), rows in groups.items():
        newest = rows[-1]
        yield Trend(
            model=model,
            code=code,
            question=newest["question"] or "",
            section=newest["section"] or "",
            unit=newest["unit"] or "",
            severity=newest["severity"] or "",
            points=tuple(
                Point(
                    **{name: row[name] for name in ("folder", "estimate", "low", "high", "n")},
                    created=row["created"] or "",
                    weights=row["weights_digest"],
                    verdict=row["verdict"] or "",
                    threshold=row["threshold"],
                    direction=row["direction"] or "",
                )
                for row in rows
            ),
        )
