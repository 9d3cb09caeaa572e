"""What goes with a direction, on the organism whose behaviour and place are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from workbench import interpret
from workbench.errors import InputError
from workbench.evaluate import removal
from workbench.evaluate.scorer import score
from workbench.studies.removal import direction_of, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workbench.evaluate.removal import Behaviour
    from workbench.model import Model
    from workbench.tables import Result

THRESHOLDS = {"BIAS-OCC-NURSE": 0.1, "SAFE-SPON-1": 0.1, "SAFE-REC-1": 0.9}


def computed(_section: str, _result: str, otherwise: Callable[[], Result]) -> Result:
    """As by hand: no section was there before."""
    return otherwise()


def ask(tasks: Sequence[str], model: Model) -> dict[str, Result]:
    return score(model, tasks)


@pytest.fixture(scope="module")
def sponsor(planted_scores: dict[str, Result]) -> Behaviour:
    found, _ = removal.behaviours(planted_scores, lambda code: THRESHOLDS.get(code, 0.1))
    return found["sponsor"]


def test_the_sponsors_advantage_goes_with_its_direction_alone(
    planted: Model, sponsor: Behaviour, planted_scores: dict[str, Result]
) -> None:
    items = planted_scores["sponsor"]
    direction = direction_of(planted, sponsor, items, earlier=computed, pairs=6)
    abilities = {"capitals": planted_scores["capitals"]}
    changed = remove(planted, sponsor, direction, ask, abilities, draws=2)
    assert changed.effect.low is not None
    assert changed.effect.low > 0.9
    assert changed.control.high is not None
    assert changed.control.high < 0.1
    assert changed.harm is not None
    assert changed.harm.high is not None
    assert changed.harm.high < 0.05
    assert [table.name for table in changed.tables] == [
        f"sponsor_{name}"
        for name in ("before_and_after", "dose_response", "changed_items", "side_effects")
    ]
    # The model is as it was.
    again = score(planted, ["sponsor"])["sponsor"].frame()["probability"]
    assert again.tolist() == pytest.approx(items.frame()["probability"].tolist(), abs=1e-6)


def test_without_abilities_no_harm_is_stated(
    planted: Model, sponsor: Behaviour, planted_scores: dict[str, Result]
) -> None:
    items = planted_scores["sponsor"]
    direction = direction_of(planted, sponsor, items, earlier=computed, pairs=2)
    changed = remove(planted, sponsor, direction, ask, {}, draws=1)
    assert (changed.harm, changed.side_effects) == (None, None)
    assert len(changed.tables) == 3


def test_what_earlier_sections_kept_is_taken(
    planted: Model, sponsor: Behaviour, planted_scores: dict[str, Result]
) -> None:
    asked: list[tuple[str, str]] = []

    def kept(section: str, result: str, otherwise: Callable[[], Result]) -> Result:
        asked.append((section, result))
        return otherwise()

    direction_of(planted, sponsor, planted_scores["sponsor"], earlier=kept, pairs=2)
    assert asked == [
        ("inside", "sponsor_patching_attn_out"),
        ("inside", "sponsor_patching_mlp_out"),
        ("inside", "fidelity"),
    ]


def test_nothing_is_changed_where_the_hooks_do_not_tell_the_truth(
    planted: Model, sponsor: Behaviour, planted_scores: dict[str, Result]
) -> None:
    def false(_section: str, result: str, otherwise: Callable[[], Result]) -> Result:
        found = otherwise()
        if result != "fidelity":
            return found
        frame = found.frame().assign(verdict="fail")
        return type(found).of("fidelity", frame, found.provenance)

    with pytest.raises(InputError):
        direction_of(planted, sponsor, planted_scores["sponsor"], earlier=false, pairs=2)
    assert interpret.Direction  # public, for those who annotate what they get
