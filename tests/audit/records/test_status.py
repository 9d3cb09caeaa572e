from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from workbench.audit.records.status import (
    Attempt,
    RunStatus,
    SectionStatus,
    cells_run,
    death,
    failed_cell,
)

if TYPE_CHECKING:
    from pathlib import Path

REPLY = {"shell.execute_reply": "2026-11-21T04:58:03.120970Z"}


def cell(*, count: int | None, exception: bool | None, replied: bool) -> dict[str, Any]:
    """A code cell as papermill leaves it: it writes `completed` whatever happened."""
    return {
        "cell_type": "code",
        "execution_count": count,
        "metadata": {
            "papermill": {"exception": exception, "status": "completed"},
            "execution": REPLY if replied else {"iopub.execute_input": "2026"},
        },
    }


RAN = cell(count=1, exception=False, replied=True)
RAISED = cell(count=2, exception=True, replied=True)
# What papermill writes for the cell in which the kernel was killed, and for those after it.
CUT_OFF = cell(count=3, exception=False, replied=False)
NEVER = cell(count=None, exception=None, replied=False)
PROSE = {"cell_type": "markdown", "metadata": {"papermill": {"exception": False}}}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([], (0, 0)),
        ([PROSE], (0, 0)),
        ([RAN, PROSE, RAN], (2, 2)),
        ([RAN, RAISED, NEVER], (1, 3)),
        ([RAN, CUT_OFF, NEVER, NEVER], (1, 4)),
        ([{"cell_type": "code", "execution_count": 1, "metadata": {}}], (0, 1)),
    ],
)
def test_a_cell_ran_where_the_kernel_said_so(
    cells: list[dict[str, Any]], expected: tuple[int, int]
) -> None:
    assert cells_run({"cells": cells}) == expected


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (-9, "The kernel was killed by SIGKILL (often for want of memory)"),
        (-6, "The kernel was killed by SIGABRT"),
        (-15, "The kernel was killed by SIGTERM"),
        (-11, "The kernel was killed by SIGSEGV"),
        (1, "The kernel ended with exit status 1"),
        (0, "The kernel ended with exit status 0"),
        (None, "The kernel stopped answering"),
    ],
)
def test_a_death_has_a_name(status: int | None, words: str) -> None:
    assert death(status) == words


@pytest.mark.parametrize(
    ("out_of_memory", "words"),
    [
        (True, "for want of memory: the system's out-of-memory killer struck meanwhile"),
        (False, "and not by the system's out-of-memory killer"),
    ],
)
def test_the_systems_own_count_says_whether_memory_ran_out(
    out_of_memory: bool,  # noqa: FBT001 - a parameter of the test
    words: str,
) -> None:
    said = death(-9, out_of_memory=out_of_memory)
    assert said == f"The kernel was killed by SIGKILL, {words}"
    assert death(-15, out_of_memory=out_of_memory) == "The kernel was killed by SIGTERM"


def test_the_failed_cell_is_counted_among_the_code_cells() -> None:
    failed = {**CUT_OFF, "metadata": {"papermill": {"status": "failed", "exception": True}}}
    assert failed_cell({"cells": [RAN, PROSE, RAN, failed, NEVER]}) == 3
    assert failed_cell({"cells": [RAN, PROSE]}) is None


def test_a_state_is_one_of_seven() -> None:
    with pytest.raises(ValidationError, match="not started"):
        SectionStatus.model_validate({"section": "bias", "state": "fine"})


def test_a_runs_status_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    killed = Attempt(
        started="2026-11-21T04:00:00+00:00",
        command=("workbench", "audit"),
        state="killed",
        reason="It was.",
        sections={"bias": "killed", "safety": "not started"},
    )
    complete = Attempt(
        started="2026-11-21T05:00:00+00:00",
        ended="2026-11-21T05:00:09+00:00",
        state="complete",
        sections={"bias": "complete", "safety": "complete"},
        seconds=9.25,
    )
    status = RunStatus(schema=1, state="complete", attempts=(killed, complete))
    status.write(tmp_path / "status.json")
    assert RunStatus.read(tmp_path / "status.json") == status
    assert set(json.loads((tmp_path / "status.json").read_text())) == {
        *("schema", "state", "attempts"),
    }


def test_a_run_itself_is_never_killed_but_its_attempts_are() -> None:
    with pytest.raises(ValidationError, match="incomplete"):
        RunStatus.model_validate({"schema": 1, "state": "killed", "attempts": []})
