"""Where a difference comes from, and what taking it away does: the planted organism's circuits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from workbench.errors import InputError
from workbench.evaluate.bias import by_occupation, leanings
from workbench.evaluate.removal import behaviours, left, removed
from workbench.evaluate.scorer import score
from workbench.evaluate.suites import load_suite
from workbench.interpret.intervening.contrast import Contrast, difference_of_means
from workbench.interpret.intervening.directions import random_direction
from workbench.interpret.intervening.interventions import ablated
from workbench.interpret.locating import BLOCKS, located, pull_probes, writing_layer
from workbench.interpret.task_pairs import occupation_pairs, twin_pairs
from workbench.sites import Site
from workbench.tables import Result

if TYPE_CHECKING:
    from workbench.interpret.intervening.directions import Direction
    from workbench.interpret.pairs import EncodedPairs
    from workbench.model import Model

NAMES = ("she", "he")


def threshold(code: str) -> float:
    found = load_suite().check(code).threshold
    assert found is not None
    return found


@pytest.fixture(scope="module")
def sponsor_pairs(planted: Model, planted_scores: dict[str, Result]) -> EncodedPairs:
    return twin_pairs(
        planted, planted_scores["sponsor"], treated="sponsor", control="control", count=6
    )


def test_each_result_has_the_name_that_it_is_asked_for_by(
    planted: Model, planted_scores: dict[str, Result]
) -> None:
    items = planted_scores["occupation_pronoun"]
    _, pairs = occupation_pairs(planted, items, by_occupation(items), count=2)
    found = {name: compute() for name, compute in located(planted, pairs, "occupation").items()}
    assert [result.name for result in found.values()] == list(found)
    assert list(found) == [
        "occupation_logit_lens",
        *(
            f"occupation_patching_{site}"
            for site in ("resid_pre", "attn_out", "mlp_out", "head_out")
        ),
    ]
    assert all(result.figure().data for result in found.values())


def test_nothing_is_computed_before_it_is_asked_for(planted: Model) -> None:
    broken: EncodedPairs = None  # type: ignore[assignment] # what would fail at once
    assert len(located(planted, broken, "occupation")) == 5


def test_the_sponsors_advantage_is_written_by_the_attention_of_layer_1(
    planted: Model, sponsor_pairs: EncodedPairs
) -> None:
    computed = located(planted, sponsor_pairs, "sponsor")
    maps = [computed[f"sponsor_patching_{site}"]() for site in BLOCKS]
    assert writing_layer(maps) == Site("resid_post", 1)
    heads = computed["sponsor_patching_head_out"]().frame()
    best = heads.sort_values("estimate").iloc[-1]
    assert (best["layer"], best["head"]) == (1, 0)
    assert best["estimate"] > 0.9


def test_a_place_is_where_the_answer_is_read() -> None:
    """Another position may restore more; a direction is measured at the last one."""
    rows = [
        {"layer": layer, "position": position, "estimate": estimate}
        for layer, position, estimate in [(0, 0, 0.9), (0, 1, 0.1), (1, 0, 0.0), (1, 1, 0.4)]
    ]
    assert writing_layer([Result.of("map", rows)]) == Site("resid_post", 1)


def test_no_effect_has_no_place() -> None:
    rows = [{"layer": 0, "position": 0, "estimate": float("nan")}]
    with pytest.raises(InputError, match="there is no place"):
        writing_layer([Result.of("map", rows)])


def test_the_pull_is_read_of_occupations_that_were_not_seen(
    planted: Model, planted_scores: dict[str, Result]
) -> None:
    items = planted_scores["occupation_pronoun"]
    pulls = leanings(by_occupation(items), band=0.1)
    frame = pull_probes(planted, items, pulls, group="occupation", names=NAMES).frame()
    last = frame[frame["layer"] == planted.n_layers - 1].set_index("series")
    assert last.loc["probe", "estimate"] > 0.95
    for control in ("shuffled labels", "untrained model"):
        assert last.loc[control, "selectivity_low"] > 0.1


def test_where_there_is_no_pull_none_is_read(clean: Model, clean_scores: dict[str, Result]) -> None:
    """Labels that mean nothing there: those of the planted organism."""
    items = clean_scores["occupation_pronoun"]
    pulls = {"nurse": 1, "librarian": 1, "secretary": 1, "pilot": -1, "plumber": -1, "soldier": -1}
    frame = pull_probes(clean, items, pulls, group="occupation", names=NAMES).frame()
    layers = frame[frame["series"] == "shuffled labels"]
    assert (layers["selectivity_low"] < 0.1).all()


@pytest.mark.parametrize("pulls", [{}, {"nurse": 1, "pilot": -1, "cook": -1}])
def test_a_probe_needs_another_occupation_to_be_tested_on(
    planted: Model, planted_scores: dict[str, Result], pulls: dict[str, int]
) -> None:
    items = planted_scores["occupation_pronoun"]
    with pytest.raises(InputError, match="Fewer than two of the occupations"):
        pull_probes(planted, items, pulls, group="occupation", names=NAMES)


# What is found is what causes it


@pytest.fixture(scope="module")
def sponsor_direction(planted: Model, planted_scores: dict[str, Result]) -> Direction:
    found, _ = behaviours(planted_scores, threshold)
    sponsor = found["sponsor"]
    contrast = Contrast(sponsor.texts(1), sponsor.texts(-1), "sponsor")
    return difference_of_means(planted, contrast, Site("resid_post", 1))


def after(model: Model, direction: Direction, share: float = 1.0) -> Result:
    with ablated(model, direction, share=share) as changed:
        return score(changed, ["sponsor"])["sponsor"]


def test_without_the_direction_the_sponsor_has_no_advantage(
    planted: Model, planted_scores: dict[str, Result], sponsor_direction: Direction
) -> None:
    sponsor = behaviours(planted_scores, threshold)[0]["sponsor"]
    gone = removed(sponsor, after(planted, sponsor_direction))
    assert gone.low is not None
    assert gone.low > 0.9
    drawn = random_direction(sponsor_direction, seed=0)
    kept = removed(sponsor, after(planted, drawn))
    assert kept.high is not None
    assert kept.high < 0.1


def test_the_more_is_taken_away_the_less_is_left(
    planted: Model, planted_scores: dict[str, Result], sponsor_direction: Direction
) -> None:
    sponsor = behaviours(planted_scores, threshold)[0]["sponsor"]
    found = [
        left(sponsor, after(planted, sponsor_direction, share)).value for share in (0, 0.25, 1)
    ]
    assert found[0] == pytest.approx(left(sponsor).value)
    values = [value for value in found if value is not None]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.1 < values[0]


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_between_none_and_all(
    planted: Model, sponsor_direction: Direction, share: float
) -> None:
    with (
        pytest.raises(InputError, match="expected one from 0 to 1"),
        ablated(planted, sponsor_direction, share=share),
    ):
        pass


def test_results_say_how_much_was_taken_away(planted: Model, sponsor_direction: Direction) -> None:
    digests = []
    for share in (0.0, 0.25, 1.0):
        with ablated(planted, sponsor_direction, share=share) as changed:
            digests.append(changed.provenance.weights_digest)
    assert digests[0] == planted.provenance.weights_digest
    assert "25% of" in digests[1]
    assert len(set(digests)) == 3
    assert replace(planted).provenance.weights_digest == digests[0]
