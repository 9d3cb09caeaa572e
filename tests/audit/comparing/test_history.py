"""All runs below a folder: truthfully listed, whatever lies among them, and quickly."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from make_run import HOSTILE
from small_runs import make

from workbench.audit.comparing.history import Changed, History, read_history
from workbench.audit.comparing.history_page import history_html
from workbench.audit.comparing.history_query import Findings
from workbench.audit.comparing.history_text import history_json, history_text
from workbench.bench.history import make_runs, measure_history
from workbench.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.audit.comparing.history import RunRow


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs of one model, one of another."""
    folder = tmp_path_factory.mktemp("runs")
    days = [f"2026-01-0{day}T00:00:00+00:00" for day in range(1, 5)]
    make(folder / "small", run_id="r1", created=days[0])
    make(folder / "small", run_id="r2", created=days[1], seed=1, trigger=0.4)
    make(folder / "small", run_id="r3", created=days[2], thresholds={"SAFE-TRIG-1": 0.5})
    make(folder / "other", run_id="r4", created=days[3], model="organism:other", seed=2)
    return folder


def by_id(history: History) -> dict[str, RunRow]:
    return {row.run_id: row for row in history.runs}


def test_a_row_for_each_run_by_time(runs: Path) -> None:
    history = read_history(runs)
    assert [row.run_id for row in history.runs] == ["r1", "r2", "r3", "r4"]
    first = history.runs[0]
    assert first.folder == "small/r1"
    assert (first.model, first.suite, first.suite_version) == ("organism:small", "small", "1.0")
    assert first.weights == "0" * 64
    assert first.counts == {"fail": 0, "error": 0, "inconclusive": 0, "skipped": 0, "pass": 6}
    assert history.problems == ()
    assert history.trends == ()


def test_what_changed_since_the_run_before_of_the_same_model(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    rows = by_id(read_history(runs))
    assert rows["r1"].changed is None
    assert rows["r2"].changed == (Changed("SAFE-TRIG-1", "pass", "fail", rejudged=False),)
    assert rows["r3"].changed == (Changed("SAFE-TRIG-1", "fail", "pass", rejudged=True),)
    assert rows["r4"].changed is None
    text = history_text(read_history(runs))
    assert "SAFE-TRIG-1" in text
    assert "(other threshold)" in " ".join(text.split())


def test_one_model_one_check_and_the_newest_only(runs: Path) -> None:
    assert set(by_id(read_history(runs, model="organism:other"))) == {"r4"}
    digest = by_id(read_history(runs))["r2"].weights
    assert digest is not None
    assert set(by_id(read_history(runs, model=digest))) == {"r2"}
    newest = read_history(runs, limit=1)
    assert (list(by_id(newest)), newest.left_out) == (["r4"], 3)
    one = read_history(runs, check="SAFE-TRIG-1", trends=True)
    assert by_id(one)["r1"].counts == {**dict.fromkeys(by_id(one)["r1"].counts or {}, 0), "pass": 1}
    assert [trend.code for trend in one.trends] == ["SAFE-TRIG-1", "SAFE-TRIG-1"]
    small = one.trends[1]
    assert [point.verdict for point in small.points] == ["pass", "fail", "pass"]
    assert [point.threshold for point in small.points] == [0.1, 0.1, 0.5]
    assert "SAFE-TRIG-1 of organism:small" in history_text(one)
    assert {trend.code for trend in read_history(runs, check="SAFE-*", trends=True).trends} == {
        "SAFE-REF-1",
        "SAFE-TRIG-1",
    }
    for wrong, said in (
        ({"model": "organism:smal"}, 'Did you mean "organism:small"?'),
        ({"check": "NONE-1"}, 'has a check "NONE-1"'),
        ({"check": "x' OR '1'='1"}, "has a check"),
    ):
        with pytest.raises(InputError, match=said):
            read_history(runs, **wrong)


def test_no_folder_and_no_runs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a folder"):
        read_history(tmp_path / "none")
    assert history_text(read_history(tmp_path)) == "No runs."


def test_a_run_that_never_finished_is_listed_as_it_stands(tmp_path: Path) -> None:
    for name, state in (("a", "running"), ("b", "interrupted"), ("c", "nonsense")):
        run = make(tmp_path, run_id=name)
        (run / "findings.parquet").unlink()
        (run / "status.json").write_text(json.dumps({"schema": 1, "state": state, "attempts": []}))
    whole = make(tmp_path, run_id="d")
    (whole / "status.json").write_text(json.dumps({"schema": 1, "state": "running"}))
    history = read_history(tmp_path)
    rows = by_id(history)
    assert {name: row.state for name, row in rows.items()} == {
        "a": "killed",
        "b": "interrupted",
        "c": "not recorded",
        "d": "killed",
    }
    assert rows["a"].counts is None
    assert (rows["a"].model, rows["a"].created[:4]) == ("organism:small", "2026")
    assert sum("has no findings.parquet" in problem for problem in history.problems) == 3
    # While an audit holds it, it is running.
    descriptor = os.open(whole, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert by_id(read_history(tmp_path))["d"].state == "running"
    os.close(descriptor)


def test_what_is_broken_foreign_or_hostile_is_named_and_stops_nothing(
    runs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "runs [old] *?"
    shutil.copytree(runs, folder)
    good = folder / "small" / "r1" / "findings.parquet"

    def bad(name: str, content: bytes | pa.Table) -> None:
        (folder / name).mkdir()
        if isinstance(content, bytes):
            (folder / name / "findings.parquet").write_bytes(content)
        else:
            pq.write_table(content, folder / name / "findings.parquet")

    table = pq.read_table(good)
    bad("text", b"no parquet")
    bad("empty", b"")
    bad("cut", good.read_bytes()[:-40])
    middle = bytearray(good.read_bytes())
    middle[60:400] = os.urandom(340)
    bad("scrambled", bytes(middle))
    bad("foreign", pa.table({"a": [1]}))
    place = table.schema.get_field_index("estimate")
    bad("types", table.set_column(place, "estimate", pa.array(["x"] * len(table))))
    bad("columns", table.drop_columns(["verdict"]))
    bad("bomb", pa.concat_tables([table] * 2000))
    (folder / "link").mkdir()
    (folder / "link" / "findings.parquet").symlink_to(good)
    (folder / "loop").symlink_to(folder)
    (folder / "out").symlink_to(tmp_path)
    history = read_history(folder, trends=True)
    assert [row.run_id for row in history.runs if row.counts] == ["r1", "r2", "r3", "r4"]
    said = {problem.partition("/")[0]: problem for problem in history.problems}
    assert set(said) == {
        *("text", "empty", "cut", "scrambled", "foreign", "types", "columns", "bomb", "link"),
    }
    assert "it has other columns" in said["foreign"]
    assert "it has other columns" in said["types"]
    assert "no run has so many" in said["bomb"]
    assert "a link or no file" in said["link"]
    assert "Not read" in history_text(history)
    json.dumps(history_json(history))


def test_hostile_text_is_shown_and_never_obeyed(tmp_path: Path) -> None:
    run = make(tmp_path, model=HOSTILE)
    history = read_history(tmp_path, trends=True)
    text, html = history_text(history), history_html(history)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html
    table = pq.read_table(run / "findings.parquet")
    for name in ("code", "question", "verdict", "unit", "created", "state", "direction"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array([HOSTILE] * len(table)))
    pq.write_table(table, run / "findings.parquet")
    html = history_html(read_history(tmp_path, trends=True))
    assert "<script>alert" not in html
    assert "<img src=x" not in html


def test_the_database_is_shut_in(runs: Path, tmp_path: Path) -> None:
    import duckdb

    outside = tmp_path / "outside.parquet"
    shutil.copy(runs / "small/r1/findings.parquet", outside)
    with Findings.below(runs, [], check=None, trends=False) as findings:
        for query in (
            f"SELECT * FROM read_parquet('{outside}')",
            "SELECT * FROM read_csv('/etc/passwd')",
            "SELECT * FROM read_parquet('https://example.com/x.parquet')",
            "INSTALL httpfs",
            "LOAD httpfs",
            f"COPY findings TO '{tmp_path / 'x.csv'}'",
            f"ATTACH '{tmp_path / 'x.db'}'",
            "SET enable_external_access = true",
            "SET allowed_directories = ['/']",
        ):
            with pytest.raises(duckdb.Error):
                findings._connection.execute(query)
    # Not even a summary that is handed over is read where it lies outside.
    with Findings.below(runs, [outside], check=None, trends=False) as findings:
        assert findings.runs() == []
        assert len(findings.problems) == 1


def test_the_page_is_thinned_by_its_rule(tmp_path: Path) -> None:
    make_runs(tmp_path, 400)
    history = read_history(tmp_path, trends=True)
    html = history_html(history)
    assert html == history_html(history)
    assert "newest 40 runs" in html
    assert "200 older runs are not listed" in html
    assert "of 200 trends 150" in html
    assert html.count('class="trend"') == 150
    assert len(html) < 4_000_000


def test_it_is_quick() -> None:
    # The aim is 2 s for 1,000 runs, its process's start included; other tests run beside it.
    found = measure_history(runs=1000, repeats=1)
    assert found["findings"] == 50_000
    assert found["processor_seconds"] < 2.5
