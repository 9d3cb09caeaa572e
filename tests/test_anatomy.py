"""The anatomy of every family: each part is where the table says, and the rest is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from families import ROUTED

from workbench.anatomy import anatomy_of, matrix
from workbench.errors import ModelError
from workbench.sites import LAYOUTS, VOCABULARY, Site

if TYPE_CHECKING:
    from workbench.model import Model

# What a family does not have, in any of its layers.
MISSING = {
    "gpt_neox": {"resid_mid"},
    "mixtral": {"mlp_in", "neurons"},
    "gpt_oss": {"mlp_in", "neurons"},
    "gemma4_text_moe": {"mlp_in", "neurons"},
}


def test_each_family_has_its_sites_and_no_other(family: Model, family_name: str) -> None:
    anatomy = family.anatomy
    assert anatomy.n_layers == family.n_layers
    assert anatomy.layout == LAYOUTS[family.provenance.model_type]
    found = {name for layer in range(anatomy.n_layers) for name in anatomy.sites_of(layer)}
    missing = MISSING.get(family_name, set())
    if family_name not in ROUTED:
        missing = missing | {"router", "routing"}
    assert set(VOCABULARY) - found == missing


def test_each_site_that_is_listed_has_a_module(family: Model) -> None:
    anatomy = family.anatomy
    modules = set(family.hf.modules())
    for layer in range(anatomy.n_layers):
        for name in anatomy.sites_of(layer):
            assert anatomy.place(Site(name, layer)).module in modules


def test_each_site_that_is_not_is_refused_with_its_reason(family: Model) -> None:
    anatomy = family.anatomy
    for layer in range(anatomy.n_layers):
        for name in set(VOCABULARY) - set(anatomy.sites_of(layer)):
            with pytest.raises(ModelError, match=rf"{name}\.{layer} cannot be read .*Sites that"):
                anatomy.place(Site(name, layer))


def test_the_stream_becomes_the_models_own_logits(family: Model) -> None:
    tokens = torch.tensor([[5, 9, 14, 20, 7]])
    with torch.no_grad():
        run = family.hf(tokens, output_hidden_states=True)
        # The last hidden state has been through the final norm.
        logits = family.anatomy.logits(run.hidden_states[-1])
        some = torch.tensor([3, 77, 4])
        few = family.anatomy.logits_of(run.hidden_states[-1], some)
    torch.testing.assert_close(logits, run.logits, rtol=0, atol=1e-5)
    torch.testing.assert_close(few, run.logits[..., some], rtol=0, atol=1e-5)


def test_a_class_of_somebody_elses_is_not_taken_for_a_familys(random_llama: Model) -> None:
    """The name alone proves nothing: code from a model's folder could bear it."""

    class LlamaDecoderLayer(torch.nn.Module):
        pass

    class Body(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.ModuleList([LlamaDecoderLayer()])

    with pytest.raises(ModelError, match="sites of a Body are not proven"):
        anatomy_of(Body())
    assert anatomy_of(random_llama.hf).layout.layer == "LlamaDecoderLayer"


def test_matrices_map_from_what_goes_in_to_what_comes_out(
    random_gpt2: Model, random_llama: Model
) -> None:
    for model in (random_gpt2, random_llama):
        anatomy = model.anatomy
        down = anatomy.part(0, anatomy.layout.down)
        weights = matrix(down)
        value = torch.randn(3, weights.shape[0])
        bias = 0 if getattr(down, "bias", None) is None else down.bias
        torch.testing.assert_close(value @ weights + bias, down(value))


def test_quantised_weights_are_no_matrix() -> None:
    quantised = torch.nn.Linear(4, 4, bias=False)
    quantised.weight = torch.nn.Parameter(torch.ones(4, 4, dtype=torch.int8), requires_grad=False)
    with pytest.raises(ModelError, match="Load the model without quantisation"):
        matrix(quantised)

    class Linear4bit(torch.nn.Linear):
        """As quantisation libraries derive theirs."""

    with pytest.raises(ModelError, match="got a Linear4bit"):
        matrix(Linear4bit(2, 2))
