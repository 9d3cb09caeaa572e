from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from small_run import SETUP, save_scored, small_run

from workbench.audit.records.evidence import read_run
from workbench.audit.records.facts import Facts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return small_run(tmp_path / "run")


def facts(run: Path) -> Facts:
    return Facts.of(read_run(run))


def test_model_machine_and_packages_are_those_of_the_provenance(run: Path) -> None:
    found = facts(run)
    assert found.model is not None
    assert found.model.architecture == "LlamaForCausalLM"
    assert found.host is not None
    assert found.host.processors == 2
    assert found.packages == {"torch": "2.13.0", "plotly": "7.1.0"}


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"model": {"source": 3}, "host": [], "packages": {"a": 1}}']
)
def test_provenance_that_cannot_be_read_says_nothing(run: Path, content: str) -> None:
    (run / "provenance.json").write_text(content)
    found = facts(run)
    assert (found.model, found.host, found.packages) == (None, None, {})


def test_the_end_is_that_of_the_last_attempt(run: Path) -> None:
    assert facts(run).ended == "2026-11-21T04:06:00+00:00"
    attempts = [{"ended": "2026-11-21T05:00:00+00:00"}, {"ended": "2026-11-21T06:00:00+00:00"}]
    (run / "status.json").write_text(json.dumps({"state": "complete", "attempts": attempts}))
    assert facts(run).ended == "2026-11-21T06:00:00+00:00"
    (run / "status.json").unlink()
    assert facts(run).ended is None


def test_a_scored_task_is_read_from_its_table(run: Path) -> None:
    save_scored(run, "safety", "refusal")
    save_scored(
        run, "bias", "bbq", benchmark="bbq", licence=None, suite=None, data={"a.jsonl": "ab" * 32}
    )
    bbq, refusal = facts(run).scored
    assert (refusal.name, refusal.path) == ("refusal", "sections/safety/refusal.parquet")
    assert (refusal.rows, refusal.drawn) == (2, "all 2 items")
    assert (refusal.suite, refusal.version, refusal.licence) == ("small-world", "1.0", "Apache-2.0")
    assert (refusal.setup, refusal.data) == (SETUP, {})
    assert (bbq.name, bbq.suite, bbq.licence) == ("bbq", "", None)
    assert bbq.data == {"a.jsonl": "ab" * 32}


def test_a_summary_with_a_tasks_provenance_is_not_the_task(run: Path) -> None:
    save_scored(run, "safety", "overview", [{"arm": "harmful", "estimate": 0.5}], task="refusal")
    assert facts(run).scored == ()


def test_a_table_that_cannot_be_read_is_left_out(run: Path) -> None:
    before = {table.path for table in facts(run).tables}
    folder = run / "sections" / "safety"
    (folder / "broken.parquet").write_bytes(b"PAR1")
    pd.DataFrame({"item": [1]}).to_parquet(folder / "foreign.parquet")
    (run / "elsewhere.parquet").write_bytes(b"PAR1")
    outside = save_scored(run.parent, "safety", "refusal")
    (folder / "link.parquet").symlink_to(outside)
    assert {table.path for table in facts(run).tables} == before


def test_empty_statements_are_none(run: Path) -> None:
    audit = json.loads((run / "audit.json").read_text())
    audit["definition"]["statements"] = {"auditor": " A. B. ", "misuse": "  ", "limits": 3}
    (run / "audit.json").write_text(json.dumps(audit))
    assert facts(run).statements == {"auditor": "A. B."}
