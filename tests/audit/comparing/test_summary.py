"""The summary: findings in columns, with the run's own facts, whatever became of the run."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from make_run import HOSTILE, make_run
from small_runs import make

from workbench.audit.comparing.summary import COLUMNS, write_summary
from workbench.audit.records.folder import findings_digest
from workbench.errors import InputError
from workbench.tables import Result

if TYPE_CHECKING:
    from pathlib import Path


def rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


def test_a_row_for_each_finding_with_the_facts_of_the_run(tmp_path: Path) -> None:
    run = make(tmp_path)
    path = write_summary(run)
    assert path == run / "findings.parquet"
    assert {name: str(kind) for name, kind in _types(path).items()} == COLUMNS
    findings = json.loads((run / "findings.json").read_text())["findings"]
    table = rows(path)
    assert [row["code"] for row in table] == [finding["code"] for finding in findings]
    first = table[2]
    for name in ("verdict", "estimate", "low", "high", "n", "threshold", "direction", "unit"):
        assert first[name] == findings[2][name]
    facts = {
        "run_id": run.name,
        "created": "2026-01-01T00:00:00+00:00",
        "model": "organism:small",
        "suite": "small",
        "suite_version": "1.0",
        "weights_digest": "0" * 64,
        "findings_digest": findings_digest(run),
        "complete": True,
        "state": "complete",
        "seconds": 2.0,
        "workbench_version": "0.1.0",
    }
    for row in table:
        assert {name: row[name] for name in facts} == facts
    assert Result.load(path).name == "findings"


def _types(path: Path) -> dict[str, Any]:
    schema = pq.read_schema(path)
    return dict(zip(schema.names, schema.types, strict=True))


def test_equal_folders_leave_equal_bytes(tmp_path: Path) -> None:
    run = make(tmp_path)
    first = write_summary(run).read_bytes()
    assert write_summary(run).read_bytes() == first
    again = shutil.copytree(run, tmp_path / "again" / run.name)
    assert write_summary(again).read_bytes() == first


def test_an_incomplete_and_hostile_run_has_one_too(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    table = rows(write_summary(run))
    assert len(table) == 12
    assert {row["state"] for row in table} == {"incomplete"}
    assert {row["complete"] for row in table} == {False}
    assert any(row["question"] == HOSTILE for row in table)
    assert _types(run / "findings.parquet").keys() == COLUMNS.keys()


def test_a_run_without_findings_is_a_table_without_rows(tmp_path: Path) -> None:
    run = make(tmp_path, dead=True)
    (run / "findings.json").unlink()
    shutil.rmtree(run / "sections")
    assert rows(write_summary(run)) == []
    assert {name: str(kind) for name, kind in _types(run / "findings.parquet").items()} == COLUMNS


def test_what_no_column_can_hold_is_missing_or_an_escape(tmp_path: Path) -> None:
    run = make(tmp_path)
    content = json.loads((run / "findings.json").read_text())
    content["findings"][0] |= {"question": "half \udc80", "n": 10**30}
    (run / "findings.json").write_text(json.dumps(content))
    first = rows(write_summary(run))[0]
    assert first["question"] == "half \\udc80"
    assert first["n"] is None


def test_its_own_status_says_how_it_ended(tmp_path: Path) -> None:
    run = make(tmp_path)
    for said, state in (("interrupted", "interrupted"), ("running", "complete"), (3, "complete")):
        (run / "status.json").write_text(json.dumps({"schema": 1, "state": said, "attempts": []}))
        assert rows(write_summary(run))[0]["state"] == state


def test_no_run_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run folder"):
        write_summary(tmp_path)
