"""The hand-built transformer does what it states, by plain Hugging Face code alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hand_built as known
import pytest
import torch
from hand_built import CONTRASTS, INDUCTION, NEURON, PREVIOUS

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel

    from workbench.model import Model


@pytest.fixture(scope="module")
def network() -> GPT2LMHeadModel:
    made = known.network()
    made.set_attn_implementation("eager")
    return made


def tokens(text: str) -> torch.Tensor:
    return torch.tensor([[0, *(known.VOCABULARY.index(word) for word in text.split())]])


def run(network: GPT2LMHeadModel, text: str) -> Any:
    with torch.no_grad():
        return network(input_ids=tokens(text), output_attentions=True, output_hidden_states=True)


def logit_of(network: GPT2LMHeadModel, text: str, word: str) -> float:
    logits = run(network, text).logits[0, -1]
    return float(logits[known.VOCABULARY.index(word.strip())])


def test_the_directory_loads_and_says_the_same(hand_built: Model, network: GPT2LMHeadModel) -> None:
    assert (hand_built.n_layers, hand_built.context_length) == (known.LAYERS, known.CONTEXT)
    text = known.SAID.clean
    ids = hand_built.tokenizer(text, return_tensors="pt").input_ids
    assert torch.equal(ids, tokens(text))
    with torch.no_grad():
        logits = hand_built.hf(input_ids=ids).logits
    assert torch.equal(logits, run(network, text).logits)


def test_an_unknown_word_is_one_token(hand_built: Model) -> None:
    ids = hand_built.tokenizer("red zebra sun").input_ids
    assert hand_built.tokenizer.convert_ids_to_tokens(ids) == ["<s>", "red", "<unk>", "sun"]


def test_the_channels_are_orthogonal_and_without_a_mean() -> None:
    channels = torch.cat(list(known._channels().values()))
    assert torch.allclose(channels @ channels.T, torch.eye(len(channels)), atol=1e-6)
    assert channels.sum(dim=1).abs().max() < 1e-6


@pytest.mark.parametrize("length", [2, 10, 21])
def test_the_previous_token_head_attends_to_the_position_before(
    network: GPT2LMHeadModel, length: int
) -> None:
    pattern = run(network, known.repeated_text(length, seed=1)).attentions[PREVIOUS.layer]
    assert pattern[0, PREVIOUS.head].diagonal(-1).min() > 0.9999
    assert pattern[0, PREVIOUS.head, 0, 0] == 1


@pytest.mark.parametrize("length", [2, 10, 21])
def test_the_induction_head_attends_to_what_came_after(
    network: GPT2LMHeadModel, length: int
) -> None:
    pattern = run(network, known.repeated_text(length, seed=2)).attentions[INDUCTION.layer]
    ours = pattern[0, INDUCTION.head]
    first, again = range(1, length + 1), range(length + 1, 2 * length + 1)
    assert min(ours[at, 0] for at in first) > 0.995
    assert min(ours[at, at - length + 1] for at in again) > 0.9995


@pytest.mark.parametrize("length", [2, 10, 21])
def test_a_repetition_is_continued_and_nothing_else_is_said(
    network: GPT2LMHeadModel, length: int
) -> None:
    text = known.repeated_text(length, seed=3)
    logits = run(network, text).logits[0]
    # The first `length` positions have nothing to repeat, and BOS has not either.
    assert logits[: length + 1].abs().max() < 0.05
    words = tokens(text)[0]
    said = logits[length + 1 : -1].gather(1, words[length + 2 :, None])
    assert ((said - known.SAYS).abs() < 0.06).all()
    assert (logits[length + 1 : -1].topk(2).values[:, 1].abs() < 0.05).all()


def test_without_bos_a_repetition_is_continued_as_well(network: GPT2LMHeadModel) -> None:
    ids = tokens(known.repeated_text(10, seed=4))[:, 1:]
    with torch.no_grad():
        logits = network(input_ids=ids).logits[0]
    assert torch.equal(logits[10:-1].argmax(dim=-1), ids[0, 11:])


def test_every_other_head_attends_evenly(network: GPT2LMHeadModel) -> None:
    found = run(network, known.repeated_text(5, seed=5)).attentions
    positions = found[0].shape[-1]
    even = torch.ones(positions, positions).tril()
    even /= even.sum(dim=1, keepdim=True)
    for layer, patterns in enumerate(found):
        for head in range(known.HEADS):
            if (layer, head) not in {PREVIOUS, INDUCTION}:
                assert torch.allclose(patterns[0, head], even)


def parts(network: GPT2LMHeadModel) -> dict[str, torch.Tensor]:
    """For each head and each neuron, the matrix by which alone it writes."""
    found = {}
    for layer, block in enumerate(network.transformer.h):
        for head, rows in enumerate(block.attn.c_proj.weight.split(known.D_HEAD)):
            found[f"head {layer}.{head}"] = rows
        for neuron, row in enumerate(block.mlp.c_proj.weight):
            found[f"neuron {layer}.{neuron}"] = row
        found[f"biases {layer}"] = torch.cat([block.attn.c_proj.bias, block.mlp.c_proj.bias])
    return found


def test_only_three_parts_write_anything(network: GPT2LMHeadModel) -> None:
    writing = {name for name, matrix in parts(network).items() if matrix.any()}
    assert writing == {
        "head {}.{}".format(*PREVIOUS),
        "head {}.{}".format(*INDUCTION),
        "neuron {}.{}".format(*NEURON),
    }


def test_the_neuron_fires_on_its_word_alone(network: GPT2LMHeadModel) -> None:
    seen = []
    place = network.transformer.h[NEURON.layer].mlp.c_proj
    handle = place.register_forward_pre_hook(lambda _, args: seen.append(args[0][0]))
    try:
        run(network, " ".join(known.WORDS))
    finally:
        handle.remove()
    (neurons,) = seen
    at = known.WORDS.index(known.KEY) + 1
    assert neurons[at, NEURON.neuron] == pytest.approx(known.FIRES, rel=0.01)
    assert neurons.count_nonzero() == 1


def test_the_key_word_is_answered(network: GPT2LMHeadModel) -> None:
    pushed = known.SAYS * known.PUSHES
    assert logit_of(network, "red key", known.ANSWER) == pytest.approx(pushed, rel=0.01)
    assert logit_of(network, "key red", known.ANSWER) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("name", CONTRASTS)
def test_a_contrast_is_answered_as_it_states(network: GPT2LMHeadModel, name: str) -> None:
    contrast = CONTRASTS[name]
    strength = known.SAYS * (known.PUSHES if name == "fired" else 1)
    assert logit_of(network, contrast.clean, contrast.answer) == pytest.approx(strength, rel=0.01)
    assert logit_of(network, contrast.clean, contrast.foil) == pytest.approx(0, abs=0.05)
    assert logit_of(network, contrast.corrupted, contrast.answer) == pytest.approx(0, abs=0.05)
    if name != "fired":
        foil = logit_of(network, contrast.corrupted, contrast.foil)
        assert foil == pytest.approx(strength, rel=0.01)
    differ = tokens(contrast.clean) != tokens(contrast.corrupted)
    assert tuple(differ[0].nonzero().flatten().tolist()) == contrast.changed


@pytest.mark.parametrize("name", CONTRASTS)
def test_a_contrast_is_carried_where_the_circuit_carries_it(
    network: GPT2LMHeadModel, name: str
) -> None:
    contrast = CONTRASTS[name]
    clean, corrupted = (
        torch.stack(run(network, text).hidden_states)
        for text in (contrast.clean, contrast.corrupted)
    )
    far = (clean - corrupted)[:, 0].norm(dim=-1) > 0.1
    found = [tuple(row.nonzero().flatten().tolist()) for row in far]
    assert tuple(found) == contrast.carried


def integrated(network: GPT2LMHeadModel, contrast: known.Contrast, steps: int) -> torch.Tensor:
    """What each position's embedding adds to answer minus foil, by gradients on the line."""
    clean, corrupted = (
        network.transformer.wte(tokens(text)).detach()
        for text in (contrast.clean, contrast.corrupted)
    )
    answer, foil = (
        known.VOCABULARY.index(word.strip()) for word in (contrast.answer, contrast.foil)
    )
    shares = (torch.arange(steps) + 0.5) / steps
    points = (corrupted + (clean - corrupted) * shares[:, None, None]).requires_grad_()
    logits = network(inputs_embeds=points).logits[:, -1]
    (gradients,) = torch.autograd.grad((logits[:, answer] - logits[:, foil]).mean(), points)
    return (gradients.sum(dim=0) * (clean - corrupted)[0]).sum(dim=-1)


@pytest.mark.parametrize("name", CONTRASTS)
def test_integrated_gradients_are_exact_in_32_steps(network: GPT2LMHeadModel, name: str) -> None:
    contrast = CONTRASTS[name]
    effect = sum(
        sign * logit_of(network, text, word)
        for sign, text, word in (
            (1, contrast.clean, contrast.answer),
            (-1, contrast.clean, contrast.foil),
            (-1, contrast.corrupted, contrast.answer),
            (1, contrast.corrupted, contrast.foil),
        )
    )
    found = integrated(network, contrast, 32)
    assert float(found.sum()) == pytest.approx(effect, rel=0.01)
    where = (found.abs() > 0.1).nonzero().flatten().tolist()
    assert tuple(where) == contrast.changed
    steep = name in {"asked", "noted"}
    assert (float(integrated(network, contrast, 1).sum()) > 6 * effect) == steep


def test_layer_norm_is_the_identity_but_for_a_little(network: GPT2LMHeadModel) -> None:
    hidden = run(network, known.SAID.clean).hidden_states
    for states, block in zip(hidden[:-1], network.transformer.h, strict=True):
        with torch.no_grad():
            assert torch.allclose(block.ln_1(states), states, rtol=0.003, atol=1e-5)


def test_a_duller_model_attends_less_sharply() -> None:
    dull = known.network(sharpness=4.0)
    dull.set_attn_implementation("eager")
    pattern = run(dull, known.repeated_text(10, seed=1)).attentions[PREVIOUS.layer]
    assert 0.5 < pattern[0, PREVIOUS.head].diagonal(-1)[5:].min() < 0.99
