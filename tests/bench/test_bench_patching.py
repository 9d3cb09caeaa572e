"""The benchmark of patching: small, for what it says and not for how long it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auditing import invoke

from workbench.bench.patching import Size, bench_patching

if TYPE_CHECKING:
    import pytest

SMALL: dict[str, Any] = {
    "layers": 2,
    "width": 16,
    "heads": 2,
    "positions": 5,
    "pairs": 2,
}


def test_both_compute_the_same_cells() -> None:
    steps: list[str] = []
    result = bench_patching(Size(**SMALL, agreeing=(0, 2), repeats=2), on_step=steps.append)
    rows = result.frame().to_dict("records")
    assert [row["agreeing"] for row in rows] == [0, 2]
    for row in rows:
        assert row["largest_difference"] < 1e-4
        assert row["low"] <= row["ratio"] <= row["high"]
        assert row["repeats"] == 2
        assert row["way"] == "from the patched layer and position on"
    assert len(steps) == 2 * (1 + 2 * 5)
    assert result.provenance["size"]["positions"] == 5


def test_the_command_prints_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [word for name, value in SMALL.items() for word in (f"--{name}", value)]
    ended = invoke(monkeypatch, capsys, "bench", "patching", *options, "--repeats", 1, "--json")
    assert ended.code == 0, ended.err
    assert all(row["largest_difference"] < 1e-4 for row in ended.answer["rows"])
