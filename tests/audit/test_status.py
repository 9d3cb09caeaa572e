from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from workbench.audit.status import SectionStatus, cells_run, death

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
        (-15, "The kernel was killed by SIGTERM"),
        (-11, "The kernel was killed by SIGSEGV"),
        (1, "The kernel ended with exit status 1"),
        (0, "The kernel ended with exit status 0"),
        (None, "The kernel stopped answering"),
    ],
)
def test_a_death_has_a_name(status: int | None, words: str) -> None:
    assert death(status) == words


def test_a_state_is_one_of_six() -> None:
    with pytest.raises(ValidationError, match="not started"):
        SectionStatus.model_validate({"section": "bias", "state": "fine"})
