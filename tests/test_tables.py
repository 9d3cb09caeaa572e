from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.errors import InputError
from workbench.tables import PLOTLY, Chart, Result

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [{"name": "a<b>", "p": 0.5, "n": 3}, {"name": "\u202e", "p": float("nan"), "extra": True}]
CHART = Chart(kind="bars", options={"x": "name", "y": "p", "title": "T"})


def result() -> Result:
    return Result.of("scores", ROWS, {"seed": 1, "of": {"digest": "ab"}}, CHART)


def test_rows_may_differ_and_undefined_is_missing() -> None:
    table = result().table
    assert table.column_names == ["name", "p", "n", "extra"]
    assert table.column("p").to_pylist() == [0.5, None]
    assert table.column("n").to_pylist() == [3, None]


def test_a_frame_and_its_named_index_become_columns() -> None:
    frame = pd.DataFrame({"v": [1, 2]}, index=pd.Index(["a", "b"], name="key"))
    assert Result.of("r", frame).table.column_names == ["key", "v"]


def test_changing_a_frame_does_not_change_the_result() -> None:
    kept = result()
    frame = kept.frame()
    frame.loc[0, "p"] = 9.0
    assert kept.frame()["p"][0] == 0.5


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    path = result().save(tmp_path)
    assert path.name == "scores.parquet"
    loaded = Result.load(path)
    assert loaded == result()
    assert loaded.provenance["of"] == {"digest": "ab"}
    assert loaded.figure().layout.title.text == "T"


def test_equal_results_leave_equal_bytes(tmp_path: Path) -> None:
    first, second = result().save(tmp_path / "a"), result().save(tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    assert [entry.name for entry in (tmp_path / "a").iterdir()] == ["scores.parquet"]


def test_provenance_is_a_copy_and_frozen() -> None:
    given = {"seed": 1, "values": [np.float64(1.0)]}
    kept = Result.of("r", ROWS, given)
    given["seed"] = 2
    assert kept.provenance["seed"] == 1
    with pytest.raises(TypeError):
        kept.provenance["seed"] = 3  # type: ignore[index] # that it is refused is the point


def test_a_lone_surrogate_can_be_stored(tmp_path: Path) -> None:
    kept = Result.of("r", [{"text": "a\ud800"}, {"text": "b"}])
    assert Result.load(kept.save(tmp_path)).frame()["text"].tolist() == ["a\\ud800", "b"]


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a\n", "x" * 101])
def test_a_name_must_name_a_file(name: str) -> None:
    with pytest.raises(InputError, match="names a file"):
        Result.of(name, ROWS)


def test_mixed_types_are_refused() -> None:
    with pytest.raises(InputError, match="one type"):
        Result.of("r", [{"a": 1}, {"a": "x"}])


def test_without_a_chart_there_is_no_figure() -> None:
    with pytest.raises(InputError, match="no chart"):
        Result.of("r", ROWS).figure()


def test_what_is_no_result_is_not_loaded(tmp_path: Path) -> None:
    missing, other, broken = (tmp_path / name for name in ("m.parquet", "o.parquet", "b.parquet"))
    pq.write_table(pa.table({"a": [1]}), other)
    broken.write_bytes(b"PAR1 nonsense")
    for path, message in ((missing, "cannot be read"), (other, "not a result"), (broken, "cannot")):
        with pytest.raises(InputError, match=message):
            Result.load(path)


def test_shown_it_is_escaped() -> None:
    bundle = result()._repr_mimebundle_()
    assert "a&lt;b&gt;" in bundle["text/html"]
    assert "⟨U+202E⟩" in bundle["text/html"]
    assert "⟨U+202E⟩" in bundle["text/plain"]
    assert bundle[PLOTLY]["layout"]["xaxis"]["ticktext"][0] == "a&lt;b&gt;"
    assert PLOTLY not in Result.of("r", ROWS)._repr_mimebundle_()
    assert repr(result()) == "Result('scores', 2 rows: name, p, n, extra)"


def test_an_empty_result_is_a_result(tmp_path: Path) -> None:
    empty = Result.of("r", [])
    assert len(Result.load(empty.save(tmp_path))) == 0
    assert empty._repr_html_()


def test_a_column_of_nan_alone_is_still_one_of_numbers() -> None:
    result = Result.of("empty", [{"value": float("nan"), "note": None}] * 2)
    assert result.frame()["value"].dtype == float
    assert result.frame()["value"].isna().all()
