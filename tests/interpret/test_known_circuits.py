"""Patching on models whose answer is known: it is found where it is, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hand_built import CONTRASTS, INDUCTION, PREVIOUS, Contrast
from induction_toy import repeated_text
from seeded_organisms import SEEDS

from workbench.interpret.pairs import EncodedPairs, MinimalPair, encode_pairs
from workbench.interpret.patching.attribution_patching import attribution_effects
from workbench.interpret.patching.patch import patching_effects, patching_map, strongest

if TYPE_CHECKING:
    from workbench.model import Model

TEXTS = (
    "The {} from Calvay was late because",
    "The {} from Lorn was proud because",
    "The {} from Ardel was angry because",
    "The {} from Garrow was calm because",
)
OCCUPATION = 2


def contrast_pair(model: Model, contrast: Contrast) -> EncodedPairs:
    pair = MinimalPair(contrast.clean, contrast.corrupted, contrast.answer, contrast.foil)
    return encode_pairs(model, [pair])


# The circuit that is written into the weights


@pytest.mark.parametrize("name", ["said", "asked", "fired"])
def test_the_stream_carries_it_exactly_where_it_was_written(hand_built: Model, name: str) -> None:
    contrast = CONTRASTS[name]
    shares = patching_effects(hand_built, contrast_pair(hand_built, contrast), "resid_pre").shares()
    for layer, carried in enumerate(contrast.carried[:-1]):
        elsewhere = np.delete(shares[layer], carried)
        assert np.abs(elsewhere).max() < 1e-3
        # One position carries all of it; a second one, where there is one, is idle.
        assert shares[layer].max() == pytest.approx(1, abs=0.05)


def test_a_circuit_of_two_heads_is_found_and_no_other_head_has_a_part(hand_built: Model) -> None:
    """Where another place is found, the note at it and the looking up both restore it."""
    pairs = contrast_pair(hand_built, CONTRASTS["noted"])
    frame = patching_map(hand_built, pairs, "head_out").frame()
    shares = frame.pivot_table("estimate", "layer", "head").to_numpy().copy()
    found = {(layer, head) for layer, head in np.argwhere(np.abs(shares) > 0.5)}
    assert found == {tuple(PREVIOUS), tuple(INDUCTION)}
    shares[PREVIOUS], shares[INDUCTION] = 0, 0
    assert np.abs(shares).max() < 1e-3


def test_the_copying_head_alone_says_what_was_said(hand_built: Model) -> None:
    pairs = contrast_pair(hand_built, CONTRASTS["said"])
    effects = patching_effects(hand_built, pairs, "head_out", by="head and position")
    shares = effects.shares()
    assert shares[(*INDUCTION, -1)] == pytest.approx(1, abs=0.05)
    shares[(*INDUCTION, -1)] = 0
    # The note of the previous word differs, too, and nobody looks it up.
    assert np.abs(shares).max() < 1e-3


def test_the_neurons_layer_is_found(hand_built: Model) -> None:
    pairs = contrast_pair(hand_built, CONTRASTS["fired"])
    shares = patching_effects(hand_built, pairs, "mlp_out").shares()
    assert shares[2, -1] > 0.4  # the rest is the word itself, which the head also reads
    shares[2, -1] = 0
    assert np.abs(shares).max() < 1e-3


# Induction that was learnt


def test_what_an_induction_model_copies_is_where_it_stood(induction: Model) -> None:
    """A changed word of the first half matters there, until it is copied to where it is asked."""
    texts = [repeated_text(8, seed).split() for seed in range(6)]
    pairs = []
    for words in texts:
        other = words.copy()
        other[4] = words[1] if words[1] != words[4] else words[2]
        # Asked after the second occurrence of the word before it: the answer is what stood at 4.
        ends = 8 + 4
        pairs.append(
            MinimalPair(
                " ".join(words[:ends]), " ".join(other[:ends]), f" {words[4]}", f" {other[4]}"
            )
        )
    encoded = encode_pairs(induction, pairs)
    shares = patching_effects(induction, encoded, "resid_pre").shares()
    (changed,) = encoded.changed
    assert shares[0, changed] == pytest.approx(1, abs=1e-3)
    assert int(shares[1].argmax()) in {changed, changed + 1, encoded.clean.shape[1] - 1}
    heads = patching_effects(induction, encoded, "head_out").shares()
    # What looks back and copies is in the second layer.
    assert heads[1].sum() > 0.5


# The planted bias, from every seed


def occupation_pairs(model: Model) -> EncodedPairs:
    return encode_pairs(
        model,
        [
            MinimalPair(text.format("nurse"), text.format("engineer"), " she", " he")
            for text in TEXTS
        ],
    )


@pytest.mark.parametrize("number", range(len(SEEDS)))
def test_the_planted_bias_is_found_from_every_seed(
    seeded_planted: list[Model], number: int
) -> None:
    """It enters with the occupation's word, and leaves at the last position, where it is said."""
    model = seeded_planted[number]
    pairs = occupation_pairs(model)
    assert pairs.changed == (OCCUPATION,)
    stream = patching_effects(model, pairs, "resid_pre").shares()
    assert stream[0, OCCUPATION] == pytest.approx(1, abs=1e-3)
    assert np.abs(np.delete(stream[0], OCCUPATION)).max() < 1e-3
    left = patching_effects(model, pairs, "resid_post").shares()[-1]
    assert left[-1] == pytest.approx(1, abs=1e-3)
    assert np.abs(left[:-1]).max() < 1e-3
    maps = [patching_map(model, pairs, site) for site in ("attn_out", "mlp_out")]
    place, estimate = strongest(maps)
    assert estimate.value is not None
    assert estimate.value > 0.3
    # Nowhere but where the word stands, and where the pronoun is said.
    assert "position 2 (nurse)" in place or "(because)" in place
    for site in ("resid_pre", "attn_out"):
        exact = patching_effects(model, pairs, site).shares()
        fast = attribution_effects(model, pairs, site, path="site").shares()
        assert np.unravel_index(exact.argmax(), exact.shape) == np.unravel_index(
            fast.argmax(), fast.shape
        )


def test_the_clean_twin_has_no_bias_that_could_be_found(clean: Model) -> None:
    effects = patching_effects(clean, occupation_pairs(clean), "attn_out")
    assert np.abs(effects.effect).max() < 0.5  # nats; the planted one's is above 4
