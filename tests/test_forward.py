"""One pass: what is read is what plain torch hooks see; what is replaced changes what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from families import make_family

from workbench.errors import InputError, ModelError
from workbench.forward import READ_ONLY, edited, forward, sites_in
from workbench.interpret.certificate.fidelity import fidelity
from workbench.model import load
from workbench.sites import VOCABULARY, Site

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.model import Model

TOKENS = torch.tensor([[5, 9, 14, 20, 7, 33, 2, 60], [8, 41, 3, 3, 12, 100, 90, 6]])
FIRST = Site("resid_pre", 0)


@pytest.fixture(autouse=True)
def _without_gradients() -> Any:
    with torch.no_grad():
        yield


def every_site(model: Model) -> list[Site]:
    return [
        Site(name, layer)
        for layer in range(model.n_layers)
        for name in model.anatomy.sites_of(layer)
    ]


def replaceable(model: Model) -> list[Site]:
    def is_shared(site: Site) -> bool:
        attention = model.anatomy.part(site.layer, model.anatomy.layout.attention)
        return site.name in {"k", "v"} and getattr(attention, "store_full_length_kv", False)

    return [
        site for site in every_site(model) if site.name not in READ_ONLY and not is_shared(site)
    ]


# Reading


def test_every_site_of_every_family_passes_its_certificate(family: Model) -> None:
    """Against transformers' own hidden states and attentions, plain hooks, and the sums."""
    certificate = fidelity(family, TOKENS, every_site(family)).frame()
    assert len(certificate) == len(every_site(family)) + 1
    failed = certificate[certificate["verdict"] != "pass"]
    assert failed.empty, failed.to_string()
    assert certificate["largest_difference"].max() < 1e-4
    assert certificate["unexplained"].dropna().lt(1e-4).all()
    assert certificate["unexplained"].notna().any()


def test_values_have_the_axes_that_the_vocabulary_names(family: Model) -> None:
    sites = every_site(family)
    values = forward(family, TOKENS, read=sites).values
    assert set(values) == set(sites)
    for site, value in values.items():
        axes = VOCABULARY[site.name].axes
        assert value.ndim == 1 + len(axes)
        for axis, length in zip(axes, value.shape[1:], strict=True):
            if axis in {"pos", "query", "key"}:
                assert length == TOKENS.shape[1]
            if axis == "d_model":
                assert length == family.hf.config.get_text_config().hidden_size
        if site.name in {"pattern", "head_out", "q"}:
            assert value.shape[1 if site.name == "pattern" else 2] == family.anatomy.heads


def test_patterns_weigh_the_values_into_the_heads_outputs(random_llama: Model) -> None:
    read = [Site(name, 1) for name in ("pattern", "v", "q", "k", "head_out")]
    values = forward(random_llama, TOKENS, read=read).values
    pattern, v, q, k, heads = (values[site] for site in read)
    groups = pattern.shape[1] // v.shape[2]
    mixed = torch.einsum("bhqk,bkhd->bqhd", pattern, v.repeat_interleave(groups, dim=2))
    torch.testing.assert_close(mixed, heads)
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k.repeat_interleave(groups, dim=2))
    scores = scores * q.shape[-1] ** -0.5
    mask = torch.ones(8, 8).tril().log()
    torch.testing.assert_close((scores + mask).softmax(-1), pattern)


def test_routing_adds_up_as_the_family_says(family: Model, family_name: str) -> None:
    sites = [site for site in every_site(family) if site.name == "routing"]
    config = family.hf.config
    chosen = getattr(config, "top_k_experts", None) or getattr(config, "num_experts_per_tok", 0)
    for value in forward(family, TOKENS, read=sites).values.values():
        assert ((value != 0).sum(-1) == chosen).all()
        if family_name in {"mixtral", "gpt_oss"}:
            torch.testing.assert_close(value.sum(-1), torch.ones(value.shape[:2]))


def test_one_site_read_alone_is_the_same_as_among_all(family: Model) -> None:
    together = forward(family, TOKENS, read=every_site(family), logits="all").values
    for site in every_site(family):
        alone = forward(family, TOKENS, read=[site]).values
        assert list(alone) == [site]
        assert torch.equal(alone[site], together[site])


@pytest.mark.parametrize("logits", ["last", "all"])
def test_the_logits_are_the_models_own_and_nothing_read_is_cut(family: Model, logits: Any) -> None:
    plain = family.hf(TOKENS).logits
    found = forward(family, TOKENS, read=every_site(family), logits=logits)
    assert found.logits is not None
    expected = plain[:, -1:] if logits == "last" else plain
    torch.testing.assert_close(found.logits, expected, rtol=0, atol=1e-5)
    for site, value in forward(family, TOKENS, read=every_site(family)).values.items():
        assert torch.equal(found.values[site], value)


def test_a_pass_stops_after_the_deepest_site_and_never_runs_the_head(random_llama: Model) -> None:
    ran: list[str] = []
    network = random_llama.hf
    paths = ("lm_head", "model.norm", "model.layers.1", "model.layers.0.mlp")
    handles = [
        network.get_submodule(path).register_forward_hook(lambda *_, path=path: ran.append(path))
        for path in paths
    ]
    forward(random_llama, TOKENS, read=[Site("attn_out", 0)])
    assert ran == []
    forward(random_llama, TOKENS, read=[Site("resid_pre", 1)])
    assert ran == ["model.layers.0.mlp"]
    forward(random_llama, TOKENS, read=[Site("resid_post", 1)])
    assert "lm_head" not in ran
    assert "model.norm" not in ran
    for handle in handles:
        handle.remove()


# Replacing


def test_what_is_replaced_by_itself_changes_nothing(family: Model) -> None:
    plain = forward(family, TOKENS, logits="all").logits
    for site in replaceable(family):
        found = forward(family, TOKENS, edit={site: torch.clone}, logits="all").logits
        assert found is not None
        assert plain is not None
        # What is between attention and MLP is put back through attention, and rounded.
        torch.testing.assert_close(found, plain, rtol=0, atol=1e-5, msg=str(site))


def test_what_is_replaced_changes_what_follows_and_nothing_before(family: Model) -> None:
    before = forward(family, TOKENS, read=every_site(family), logits="all")
    order = list(VOCABULARY)
    for site in replaceable(family):
        change = {site: lambda value: value.roll(1, dims=-1)}
        after = forward(family, TOKENS, read=every_site(family), edit=change, logits="all")
        assert before.logits is not None
        assert after.logits is not None
        assert (after.logits - before.logits).abs().max() > 1e-7, site
        for other, value in before.values.items():
            earlier = (other.layer, order.index(other.name)) < (site.layer, order.index(site.name))
            if earlier and not family.anatomy.is_parallel(site.layer):
                assert torch.equal(after.values[other], value), (site, other)


def test_the_clean_value_at_each_site_of_a_layer_restores_the_clean_run(family: Model) -> None:
    """Patching everything restores the clean run; so does the whole stream at any layer."""
    other = TOKENS.flip(0).roll(1, dims=1)
    for layer in range(family.n_layers):
        site = Site("resid_pre", layer)
        clean = forward(family, TOKENS, read=[site], logits="all")
        if hasattr(family.anatomy.layers[layer], "per_layer_input_gate"):
            continue  # it also reads the tokens themselves
        if getattr(family.anatomy.part(layer, "self_attn"), "skip_topk", False):
            continue  # it also reads where an earlier layer attended
        patched = forward(
            family, other, edit={site: lambda _, value=clean.values[site]: value}, logits="all"
        )
        assert patched.logits is not None
        torch.testing.assert_close(patched.logits, clean.logits, rtol=0, atol=1e-5)


def test_a_read_gives_the_replacement_and_gradients_reach_it(random_llama: Model) -> None:
    site = Site("attn_out", 0)
    leaf = torch.zeros(2, 8, 32, requires_grad=True)
    with torch.enable_grad():
        run = forward(random_llama, TOKENS, read=[site], edit={site: lambda _: leaf}, logits="last")
        assert run.values[site].data_ptr() == leaf.data_ptr()
        assert run.logits is not None
        (gradient,) = torch.autograd.grad(run.logits.sum(), [run.values[site]])
    assert gradient.abs().sum() > 0


def test_edits_hold_for_every_pass_while_they_are_entered(random_gpt2: Model) -> None:
    plain = random_gpt2.hf(TOKENS).logits
    with edited(random_gpt2, {Site("mlp_out", -1): torch.zeros_like}):
        changed = random_gpt2.hf(TOKENS).logits
        generated = random_gpt2.hf.generate(TOKENS, max_new_tokens=2, do_sample=False)
    direct = forward(
        random_gpt2, TOKENS, edit={Site("mlp_out", -1): torch.zeros_like}, logits="all"
    ).logits
    assert direct is not None
    torch.testing.assert_close(changed, direct)
    assert generated.shape == (2, 10)
    assert not torch.equal(changed, plain)
    assert torch.equal(random_gpt2.hf(TOKENS).logits, plain)


@pytest.mark.parametrize("site", [Site("pattern", 0), Site("resid_mid", 1), Site("head_out", 1)])
def test_an_error_inside_an_edit_leaves_no_hook_behind(random_gpt2: Model, site: Site) -> None:
    plain = random_gpt2.hf(TOKENS).logits

    def fail(_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        forward(random_gpt2, TOKENS, edit={site: fail}, logits="all")
    assert torch.equal(random_gpt2.hf(TOKENS).logits, plain)
    hooked = [m for m in random_gpt2.hf.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert hooked == []


# Bad input


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (torch.zeros(2, 0, dtype=torch.long), "expected .batch, pos. with at least one"),
        (torch.zeros(3, dtype=torch.long), "expected .batch, pos. with at least one"),
        (torch.zeros(1, 257, dtype=torch.long), "got 257 tokens; the model's context has 256"),
    ],
)
def test_tokens_that_do_not_fit(random_gpt2: Model, tokens: torch.Tensor, said: str) -> None:
    with pytest.raises(InputError, match=said):
        forward(random_gpt2, tokens, read=[FIRST])


def test_a_replacement_of_another_shape_is_refused(random_gpt2: Model) -> None:
    with pytest.raises(InputError, match=r"replacement for attn_out.0 has the shape .*pos, d_mode"):
        forward(random_gpt2, TOKENS, edit={Site("attn_out", 0): lambda value: value[:, :1]})


def test_what_can_only_be_read_is_not_replaced(random_gpt2: Model) -> None:
    with pytest.raises(InputError, match=r"router.0 can be read, but not replaced"):
        forward(random_gpt2, TOKENS, edit={Site("router", 0): torch.clone})


def test_keys_that_later_layers_share_are_not_replaced(tmp_path: Path) -> None:
    model = load(make_family("gemma4_text_per_layer", tmp_path / "shared"), reuse=False)
    shared = [site for site in every_site(model) if site not in replaceable(model)]
    assert {site.name for site in shared} == {"k", "v"}
    with pytest.raises(InputError, match="later layers share it"):
        forward(model, TOKENS, edit={shared[0]: torch.clone})


@pytest.mark.parametrize("layer", [2, -3])
def test_a_layer_that_does_not_exist(random_gpt2: Model, layer: int) -> None:
    with pytest.raises(InputError, match="this model has layers 0 to 1"):
        forward(random_gpt2, TOKENS, read=[Site("resid_post", layer)])


def test_a_site_that_no_layer_has(random_gpt2: Model) -> None:
    assert sites_in(random_gpt2, "neurons") == (Site("neurons", 0), Site("neurons", 1))
    with pytest.raises(ModelError, match="this layer has no router"):
        sites_in(random_gpt2, "router")
    with pytest.raises(InputError, match="There is no site"):
        sites_in(random_gpt2, "neuron")
