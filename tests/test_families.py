"""The small models of every architecture: they run as in transformers, and every weight counts."""

from __future__ import annotations

import copy
from contextlib import ExitStack
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import torch
from families import FAMILIES, WINDOW, make_family
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from workbench.anatomy import anatomy_of
from workbench.sites import LAYOUTS

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.model import Model

TEXT = "the nurse said that she is an engineer"

WINDOWED = {
    "llama4_text",
    "mistral",
    "gemma2",
    "gemma3_text",
    "gemma4_text",
    "gemma4_text_per_layer",
    "gemma4_text_moe",
    "glm_moe_dsa",
    "phi3",
    "gpt_oss",
}
"""Families in which some layer does not let the last token see the first."""

MIXED = {
    "llama4_text",
    "qwen3_moe",
    "qwen3_next",
    "deepseek_v2",
    "deepseek_v3",
    "tiny_kimi",
    "glm4_moe",
    "glm_moe_dsa",
}
"""Families with both a dense layer and one of experts."""


@pytest.fixture
def tokens(family: Model) -> torch.Tensor:
    found: torch.Tensor = family.tokenizer(TEXT, return_tensors="pt").input_ids
    assert found.shape[1] > 2 * WINDOW
    return found


@torch.no_grad()
def logits(network: Any, tokens: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = network(tokens).logits
    return found


def test_every_architecture_that_is_mapped_has_a_model() -> None:
    made = {settings.get("model_type", name) for name, settings in FAMILIES.items()}
    assert set(LAYOUTS) <= made


def test_logits_are_those_of_transformers_alone(
    family: Model, family_directory: Path, tokens: torch.Tensor
) -> None:
    auto: Any = AutoModelForCausalLM
    plain = auto.from_pretrained(family_directory, attn_implementation="eager", dtype="float32")
    found = logits(family.hf, tokens)
    assert found.isfinite().all()
    torch.testing.assert_close(found, logits(plain, tokens), rtol=0, atol=0)
    assert sum(path.stat().st_size for path in family_directory.iterdir()) < 1e6


def test_transformer_lens_agrees(family: Model, tokens: torch.Tensor) -> None:
    with torch.no_grad():
        found: torch.Tensor = family.bridge(tokens)
    torch.testing.assert_close(found, logits(family.hf, tokens), rtol=0, atol=1e-5)


def test_no_token_changes_what_is_before_it(family: Model, tokens: torch.Tensor) -> None:
    found = logits(family.hf, tokens)
    for place in (0, 5, -1):
        other = tokens.clone()
        other[0, place] = 40
        change = (logits(family.hf, other) - found)[0].abs().amax(dim=-1)
        before = change[:place]
        torch.testing.assert_close(before, torch.zeros_like(before), rtol=0, atol=2e-5)
        assert (change[place:] > 1e-2).all()


def test_attention_is_neither_even_nor_on_one_token(
    family: Model, family_name: str, tokens: torch.Tensor
) -> None:
    patterns = family.hf(tokens, output_attentions=True).attentions
    hidden = False
    for pattern in patterns:
        assert torch.count_nonzero(pattern[0].triu(1)) == 0
        last = pattern[0, :, -1]
        hidden |= bool((last == 0).any())
        assert (last.amax(dim=-1) > 2 * last.mean(dim=-1)).any()
        assert (last.amax(dim=-1) < 0.95).any()
    assert hidden == (family_name in WINDOWED)


def test_layers_change_the_stream_and_do_not_let_it_explode(
    family: Model, family_name: str, tokens: torch.Tensor
) -> None:
    stream = residual_stream(family.hf, tokens)
    assert len(stream) == family.n_layers + 1
    for before, after in pairwise(stream):
        assert 0.1 < (after - before).norm() / before.norm() < 20
        assert after.abs().max() < 1e3
    routed = {family.anatomy.has_router(layer) for layer in range(family.n_layers)}
    assert (len(routed) == 2) == (family_name in MIXED)


def residual_stream(network: Any, tokens: torch.Tensor) -> list[torch.Tensor]:
    """What enters each layer, and what enters the final norm."""
    anatomy = anatomy_of(network)
    found: list[torch.Tensor] = []

    def keep(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        found.append(inputs[0].clone())

    with ExitStack() as stack:
        for module in (*anatomy.layers, anatomy.final_norm):
            stack.callback(module.register_forward_pre_hook(keep).remove)
        logits(network, tokens)
    return found


def test_every_weight_matters(family: Model, tokens: torch.Tensor) -> None:
    network = copy.deepcopy(family.hf)
    network(tokens).logits.square().sum().backward()
    without = dict(network.state_dict(keep_vars=True))
    for name, weight in network.named_parameters(remove_duplicate=False):
        if weight.grad is not None:
            assert weight.grad.abs().max() > 1e-6, name
            del without[name]
    # What chooses (experts, or the keys that are seen) has no gradient: it is drawn anew.
    *_, before = residual_stream(network, tokens)
    for name, weight in without.items():
        kept = weight.detach().clone()
        weight.data.normal_(std=2)
        *_, after = residual_stream(network, tokens)
        assert not torch.allclose(before, after, atol=1e-4), name
        weight.data.copy_(kept)


def test_the_seed_decides(tmp_path: Path) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    weights = [
        load_file(make_family("llama", tmp_path / str(number), seed) / "model.safetensors")
        for number, seed in enumerate((0, 0, 1))
    ]
    name = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(weights[0][name], weights[1][name])
    assert not torch.equal(weights[0][name], weights[2][name])
    assert torch.equal(torch.get_rng_state(), state)
