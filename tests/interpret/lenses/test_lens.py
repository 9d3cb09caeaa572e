"""The logit lens: its ends are the embedding and the model's own answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from workbench.errors import InputError
from workbench.interpret.lenses.logit_lens import logit_lens
from workbench.interpret.pairs import EncodedPairs, MinimalPair, encode_pairs, logit_difference
from workbench.stats import bootstrap_mean

if TYPE_CHECKING:
    from workbench.model import Model


def pairs_of(*starts: str) -> list[MinimalPair]:
    return [
        MinimalPair(f"{start} nurse said that", f"{start} engineer said that", " she", " he")
        for start in starts
    ]


PAIRS = {
    "planted": pairs_of("In Calvay the late", "In Lorn the proud", "In Garrow the angry"),
    "random_gpt2": pairs_of("one", "any", "now", "but"),
    "random_llama": pairs_of("one", "any", "now", "but"),
}
# What each architecture reads the residual stream with.
FINAL_NORM = {
    "planted": "model.norm",
    "random_llama": "model.norm",
    "random_gpt2": "transformer.ln_f",
}


@pytest.fixture(scope="module", params=list(FINAL_NORM))
def encoded(request: pytest.FixtureRequest) -> tuple[Model, EncodedPairs, str]:
    model: Model = request.getfixturevalue(request.param)
    return model, encode_pairs(model, PAIRS[request.param]), FINAL_NORM[request.param]


def plainly(
    model: Model, tokens: torch.Tensor, pairs: EncodedPairs, norm: str
) -> list[torch.Tensor]:
    """The lens on a plain Hugging Face model, which puts the last state through the norm itself."""
    network = model.plain()
    with torch.no_grad():
        states = network(tokens, output_hidden_states=True).hidden_states
        normed = [network.get_submodule(norm)(state) for state in states[:-1]] + [states[-1]]
        head = network.get_output_embeddings()
        return [logit_difference(head(state), pairs) for state in normed]


def test_every_layer_is_that_of_plain_hugging_face(
    encoded: tuple[Model, EncodedPairs, str],
) -> None:
    model, pairs, norm = encoded
    frame = logit_lens(model, pairs).frame()
    for prompt, tokens in (("clean", pairs.clean), ("corrupted", pairs.corrupted)):
        rows = frame[frame["prompt"] == prompt]
        assert rows["layer"].tolist() == list(range(model.n_layers + 1))
        known = [differences.mean().item() for differences in plainly(model, tokens, pairs, norm)]
        assert rows["estimate"].tolist() == pytest.approx(known, abs=1e-4)


def test_the_last_layer_is_the_models_own_answer(
    encoded: tuple[Model, EncodedPairs, str],
) -> None:
    model, pairs, _ = encoded
    frame = logit_lens(model, pairs).frame()
    for prompt, tokens in (("clean", pairs.clean), ("corrupted", pairs.corrupted)):
        last = frame[frame["prompt"] == prompt].iloc[-1]
        with torch.no_grad():
            own = logit_difference(model.plain()(tokens).logits, pairs)
        known = bootstrap_mean(own.numpy())
        assert last["estimate"] == pytest.approx(own.mean().item(), abs=1e-4)
        assert last["n"] == len(own)
        assert [last["low"], last["high"]] == pytest.approx([known.low, known.high], abs=1e-4)
        assert last["method"] == known.method


def test_the_embedding_knows_the_last_word_alone(planted: Model) -> None:
    """Before any layer, prompts that end alike are read alike."""
    pairs = encode_pairs(planted, PAIRS["planted"])
    frame = logit_lens(planted, pairs).frame().set_index(["prompt", "layer"])["estimate"]
    assert frame["clean", 0] == pytest.approx(frame["corrupted", 0], abs=1e-6)
    assert frame["clean", 4] - frame["corrupted", 4] > 1


def test_the_result_can_be_drawn_and_says_what_it_is(planted: Model) -> None:
    found = logit_lens(planted, encode_pairs(planted, PAIRS["planted"]))
    assert found.provenance["weights_digest"] == planted.provenance.weights_digest
    assert found.figure().data


def test_broken_weights_leave_what_they_break_undefined(broken_gpt2: Model) -> None:
    """The NaN is in the last layer: what comes before it is still read."""
    pairs = encode_pairs(broken_gpt2, PAIRS["random_gpt2"])
    rows = logit_lens(broken_gpt2, pairs).frame().set_index(["prompt", "layer"])
    for prompt in ("clean", "corrupted"):
        assert rows["estimate"][prompt].notna().tolist() == [True, True, False]
        assert rows["n"][prompt].tolist() == [4, 4, 0]


def test_answers_in_full_are_refused(random_gpt2: Model) -> None:
    pairs = encode_pairs(random_gpt2, PAIRS["random_gpt2"], answers="sum")
    with pytest.raises(InputError, match='encode them with answers="first"'):
        logit_lens(random_gpt2, pairs)
