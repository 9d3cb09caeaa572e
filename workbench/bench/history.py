"""How fast `workbench history` is over many runs, made up for the measurement."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.audit.comparing.summary import COLUMNS
from workbench.audit.records.folder import AUDIT, STATUS, SUMMARY
from workbench.provenance import dump_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

__all__ = ["make_runs", "measure_history"]

RUNS = 1000
MODELS = 4
REPEATS = 5
CODES = tuple(f"MADE-UP-{number}" for number in range(1, 51))

_START = datetime(2026, 1, 1, tzinfo=UTC)
_COMMAND = "from workbench.cli import main; main()"


def measure_history(
    runs: int = RUNS, repeats: int = REPEATS, options: Sequence[str] = ()
) -> dict[str, Any]:
    """Seconds that `workbench history` takes over made-up runs, its process's start included.

    Args:
        runs: how many, with 50 findings each, of four models.
        repeats: how often it is timed; the first, with cold file caches, is apart.
        options: of the command.

    Returns:
        `runs`, `findings`, `first_seconds`, `median_seconds` and `most_seconds` of the repeats, and
        `processor_seconds`, the least of all, which other work on the machine changes little.
    """
    with tempfile.TemporaryDirectory(prefix="workbench-history-") as folder:
        make_runs(Path(folder), runs)
        timed = [_timed(Path(folder), options) for _ in range(repeats + 1)]
    seconds = [wall for wall, _ in timed]
    later = sorted(seconds[1:]) or seconds
    return {
        "runs": runs,
        "findings": runs * len(CODES),
        "first_seconds": seconds[0],
        "median_seconds": later[len(later) // 2],
        "most_seconds": later[-1],
        "processor_seconds": min(processor for _, processor in timed),
    }


def make_runs(folder: Path, runs: int, *, seed: int = 0) -> None:
    """Write run folders with what a history reads: audit.json, status.json and findings.parquet."""
    import numpy as np

    rng = np.random.default_rng(seed)
    for number in range(runs):
        created = _START + timedelta(hours=6 * number)
        model = f"made-up-{number % MODELS}"
        run = folder / model / f"{created:%Y%m%dT%H%M%SZ}-{number:06x}"
        run.mkdir(parents=True)
        facts = {
            "run_id": run.name,
            "created": created.isoformat(),
            "model": model,
            "suite": "standard",
            "suite_version": "1.0",
            "workbench_version": "0.1.0",
        }
        (run / AUDIT).write_text(dump_json(facts))
        (run / STATUS).write_text(dump_json({"schema": 1, "state": "complete", "attempts": []}))
        _write(run / SUMMARY, facts, rng)


def _write(path: Path, facts: dict[str, str], rng: np.random.Generator) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = rng.normal(0.1, 0.03, len(CODES))
    rows: dict[str, Any] = {name: [value] * len(CODES) for name, value in facts.items()}
    rows |= {
        "complete": [True] * len(CODES),
        "state": ["complete"] * len(CODES),
        "weights_digest": ["ab" * 32] * len(CODES),
        "code": CODES,
        "question": [f"Is {code} as it should be?" for code in CODES],
        "section": ["made-up"] * len(CODES),
        "verdict": ["fail" if value > 0.13 else "pass" for value in values],  # noqa: PLR2004
        "severity": ["medium"] * len(CODES),
        "estimate": values,
        "low": values - 0.02,
        "high": values + 0.02,
        "threshold": [0.13] * len(CODES),
        "direction": ["above"] * len(CODES),
    }
    table = pa.table(
        {
            name: pa.array(rows.get(name, [None] * len(CODES)), type=pa.type_for_alias(kind))
            for name, kind in COLUMNS.items()
        }
    )
    pq.write_table(table, path, compression="zstd")


def _timed(folder: Path, options: Sequence[str]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor."""
    start, before = time.perf_counter(), os.times()
    subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-c", _COMMAND, "history", str(folder), *options],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    after = os.times()
    processor = sum(after[2:4]) - sum(before[2:4])
    return time.perf_counter() - start, processor
