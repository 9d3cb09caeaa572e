"""Errors carry their exit code, and a wrong name gets an offer."""

from __future__ import annotations

import pytest

from workbench import errors
from workbench.errors import did_you_mean


@pytest.mark.parametrize(
    ("kind", "bases"),
    [
        (errors.InputError, ValueError),
        (errors.ModelError, errors.InputError),
        (errors.UnsafeWeightsError, errors.ModelError),
        (errors.StorageError, OSError),
        (errors.OfflineError, errors.WorkbenchError),
    ],
)
def test_wrong_input_leaves_with_two(
    kind: type[errors.WorkbenchError], bases: type[Exception]
) -> None:
    assert issubclass(kind, errors.WorkbenchError)
    assert issubclass(kind, bases)
    assert kind("why").exit_code == 2
    assert str(kind("why")) == "why"


def test_an_incomplete_audit_leaves_with_three() -> None:
    assert errors.AuditIncompleteError("why").exit_code == 3


@pytest.mark.parametrize(
    ("name", "known", "offer"),
    [
        ("bais", ["bias", "safety"], 'Did you mean "bias"?'),
        ("xyz", ["safety", "bias"], "Known: bias, safety."),
        ("xyz", [], "There are none."),
        ("", ["bias"], "Known: bias."),
        ("bias", iter(["bias"]), 'Did you mean "bias"?'),
    ],
)
def test_an_offer(name: str, known: list[str], offer: str) -> None:
    assert did_you_mean(name, known) == offer
