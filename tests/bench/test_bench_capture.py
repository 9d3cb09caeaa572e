"""The benchmark of capture: small, for what it says and not for how long it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from auditing import invoke

from workbench.bench.capture import CaptureSize, bench_capture
from workbench.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

SMALL: dict[str, Any] = {"layers": 2, "width": 16, "heads": 2, "tokens": 600, "blocks": 2}


def test_results_are_equal_and_nothing_is_left(tmp_path: Path) -> None:
    sites = ("resid_pre", "resid_post")
    size = CaptureSize(**SMALL, sites=sites, few=0, many=0, folder=str(tmp_path))
    steps: list[str] = []
    result = bench_capture(size, on_step=steps.append)
    (row,) = result.frame().to_dict(orient="records")
    assert row["largest_difference"] == 0
    assert row["tokens"] >= 600
    assert row["stored_bytes"] == row["tokens"] * 4 * 16 * 4
    assert row["n"] == 2
    assert row["low"] <= row["estimate"] <= row["high"]
    assert row["estimate"] == pytest.approx(row["capture"] / row["body"])
    assert row["peak_bytes_few"] is None
    assert len(steps) == 2
    assert not list(tmp_path.iterdir())
    assert str(tmp_path) not in json.dumps(dict(result.provenance))


def test_the_command_prints_json_with_peak_memory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [word for name, value in SMALL.items() for word in (f"--{name}", value)]
    ended = invoke(
        monkeypatch,
        capsys,
        *("bench", "capture", *options, "--few", 300, "--many", 900, "--json"),
    )
    assert ended.code == 0, ended.err
    (row,) = ended.answer["rows"]
    assert row["sites"] == "resid_post.-1"
    assert row["loaded_bytes_few"] > 10_000_000
    for name in ("few", "many"):
        peak = row[f"peak_bytes_{name}"]
        assert peak is None or peak >= row[f"loaded_bytes_{name}"]
    assert "bench: block 1: body " in ended.err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sites": ("q",)}, 'got the site "q"; expected resid_pre or resid_post'),
        ({"heads": 3}, "got a width of 16 for 3 heads"),
        ({"tokens": 1}, "got 1 tokens for 2 blocks"),
    ],
)
def test_what_cannot_be_measured_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        bench_capture(CaptureSize(**SMALL | changes))


def test_peak_memory_does_not_grow_with_the_texts(tmp_path: Path) -> None:
    asked = {
        "model": "organism:planted",
        "sites": ["resid_pre", "resid_mid", "resid_post"],
        "lengths": [32, 64, 128],
        "batch_tokens": 1024,
    }
    grown = []
    for tokens in (8_000, 40_000):
        words = json.dumps({**asked, "tokens": tokens, "out": str(tmp_path / str(tokens))})
        command = [sys.executable, "-m", "workbench.bench.peak", words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        if found["peak"] is None:
            pytest.skip("this system does not tell a process its peak memory")
        grown.append(found["peak"] - found["loaded"])
    stored = sum(path.stat().st_size for path in (tmp_path / "40000").iterdir())
    assert stored > 240_000_000
    assert grown[1] < grown[0] + 30_000_000
