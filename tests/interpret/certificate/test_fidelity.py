"""Fidelity: faithful hooks are found faithful, and a falsified model is found out."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from workbench.errors import InputError, ModelError
from workbench.interpret.certificate.fidelity import fidelity, require_faithful
from workbench.model import load
from workbench.sites import LAYOUTS, VOCABULARY

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


def lying(model: Model, path: str, lie: Any) -> Any:
    """A hook that somebody left behind on the model that is analysed."""
    return model.hf.get_submodule(path).register_forward_hook(lambda _m, _i, out: lie(out))


def test_a_hook_that_changes_the_stream_is_found_out(own_gpt2: Model) -> None:
    handle = lying(own_gpt2, "transformer.h.0", lambda out: out.roll(1, dims=-1))
    certificate = fidelity(own_gpt2, TOKENS)
    frame = certificate.frame()
    assert frame["cosine"].max() < 0.9
    assert frame["largest_difference"].min() > 0.01
    assert set(frame["verdict"]) == {"fail"}
    with pytest.raises(ModelError, match=r"resid_post of layer 0 \(cosine .*Nothing that rests"):
        require_faithful(certificate)
    handle.remove()
    require_faithful(fidelity(own_gpt2, TOKENS))


def test_a_hook_at_one_position_of_one_prompt_is_found_out(own_gpt2: Model) -> None:
    """The cosine is the smallest of all, and no mean in which one place is lost."""

    def lie(value: torch.Tensor) -> torch.Tensor:
        value = value.clone()
        value[1, -1] = -value[1, -1]
        return value

    lying(own_gpt2, "transformer.h.0", lie)
    frame = fidelity(own_gpt2, TOKENS).frame()
    assert frame["cosine"].iloc[0] == pytest.approx(-1, abs=1e-6)


def test_only_what_comes_after_a_changed_module_differs(own_gpt2: Model) -> None:
    lying(own_gpt2, "transformer.h.1.mlp.c_proj", lambda out: out * 1.5)
    frame = fidelity(own_gpt2, TOKENS, ["resid_post", "resid_mid"]).frame()
    verdicts = {(row.site, row.layer): row.verdict for row in frame.itertuples()}
    assert verdicts["resid_post", 0] == verdicts["resid_mid", 1] == "pass"
    assert verdicts["resid_post", 1] == "fail"
    assert frame["verdict"].iloc[-1] == "fail"


def test_parts_that_do_not_add_up_are_found_out(
    own_gpt2: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong mapping shows a real value of another place: only the sum gives it away."""
    lies = {"gpt2": replace(LAYOUTS["gpt2"], attn_out="ln_1")}
    monkeypatch.setattr("workbench.anatomy.LAYOUTS", lies)
    frame = fidelity(own_gpt2, TOKENS, "attn_out").frame()
    assert frame["cosine"].min() > 0.9999
    assert frame["unexplained"].iloc[0] > 0.01
    assert frame["verdict"].tolist() == ["fail", "fail", "pass"]


@pytest.mark.parametrize("name", ["planted", "random_gpt2", "random_llama"])
def test_every_site_has_its_certificate(name: str, request: pytest.FixtureRequest) -> None:
    model: Model = request.getfixturevalue(name)
    names = [name for name in VOCABULARY if name not in {"router", "routing"}]
    frame = fidelity(model, TOKENS, names).frame()
    assert len(frame) == model.n_layers * len(names) + 1
    assert set(frame["verdict"]) == {"pass"}


@pytest.mark.parametrize(
    ("sites", "error", "said"),
    [
        ("resid_pots", InputError, 'Did you mean "resid_post"'),
        ("resid_post.9", InputError, "layers 0 to 1; pass -1 for the last"),
        ("router", ModelError, "this layer has no router"),
        ([], InputError, "got no site"),
    ],
)
def test_sites_that_cannot_be_certified(
    random_gpt2: Model, sites: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        fidelity(random_gpt2, TOKENS, sites)


def test_broken_weights_are_not_faithful(broken_gpt2: Model) -> None:
    """What is NaN on both sides agrees with nothing: it is missing, not 1."""
    frame = fidelity(broken_gpt2, TOKENS).frame()
    assert frame["cosine"].notna().tolist() == [True, False, False]
