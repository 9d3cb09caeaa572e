"""Fidelity: faithful hooks are found faithful, and a falsified model is found out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch

from workbench.interpret.fidelity import fidelity
from workbench.model import load

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.model import Model

TOKENS = torch.tensor([[1, 30, 7, 99, 12, 64], [2, 8, 50, 41, 33, 5]])


@pytest.fixture
def own_gpt2(gpt2_directory: Path) -> Model:
    """A GPT-2 that nobody shares, to be falsified."""
    return load(gpt2_directory, reuse=False)


@pytest.mark.parametrize("name", ["planted", "random_gpt2", "random_llama"])
def test_hooks_show_what_the_plain_model_computes(
    name: str, request: pytest.FixtureRequest
) -> None:
    model: Model = request.getfixturevalue(name)
    frame = fidelity(model, TOKENS).frame()
    assert frame["site"].tolist() == ["resid_post"] * model.n_layers + ["logits"]
    assert frame["layer"].tolist()[:-1] == list(range(model.n_layers))
    assert math.isnan(frame["layer"].iloc[-1])
    assert frame["cosine"].tolist() == pytest.approx([1] * len(frame), abs=1e-6)
    assert frame["largest_difference"].max() <= 1e-5
    assert set(frame["prompts"]) == {2}


def test_the_result_says_what_was_compared(random_gpt2: Model) -> None:
    found = fidelity(random_gpt2, TOKENS)
    assert found.provenance["weights_digest"] == random_gpt2.provenance.weights_digest
    assert "plain Hugging Face" in found.provenance["method"]


def test_a_hook_that_changes_the_stream_is_found_out(own_gpt2: Model) -> None:
    def lie(value: torch.Tensor, **_: Any) -> torch.Tensor:
        return value.roll(1, dims=-1)

    own_gpt2.bridge.add_hook("blocks.0.hook_resid_post", lie)
    frame = fidelity(own_gpt2, TOKENS).frame()
    assert frame["cosine"].max() < 0.9
    assert frame["largest_difference"].min() > 0.01
    own_gpt2.bridge.reset_hooks()
    assert fidelity(own_gpt2, TOKENS).frame()["cosine"].min() > 1 - 1e-6


def test_a_hook_at_one_position_of_one_prompt_is_found_out(own_gpt2: Model) -> None:
    """The cosine is the smallest of all, and no mean in which one place is lost."""

    def lie(value: torch.Tensor, **_: Any) -> torch.Tensor:
        value = value.clone()
        value[1, -1] = -value[1, -1]
        return value

    own_gpt2.bridge.add_hook("blocks.0.hook_resid_post", lie)
    frame = fidelity(own_gpt2, TOKENS).frame()
    assert frame["cosine"].iloc[0] == pytest.approx(-1, abs=1e-6)


def test_only_what_comes_after_a_changed_weight_differs(own_gpt2: Model) -> None:
    with torch.no_grad():
        own_gpt2.hf.get_submodule("transformer.h.1.mlp.c_proj").bias.add_(torch.randn(32))
    frame = fidelity(own_gpt2, TOKENS).frame()
    assert frame["largest_difference"].iloc[0] <= 1e-5
    assert frame["largest_difference"].iloc[1:].min() > 0.01


def test_broken_weights_are_not_faithful(broken_gpt2: Model) -> None:
    """What is NaN on both sides agrees with nothing: it is missing, not 1."""
    frame = fidelity(broken_gpt2, TOKENS).frame()
    assert frame["cosine"].notna().tolist() == [True, False, False]
