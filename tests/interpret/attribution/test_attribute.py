"""Direct logit attribution: the parts add up, and each is what it is said to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hand_built as known
import induction_toy
import pytest
import torch
from families import make_family

from workbench.errors import InputError, ModelError
from workbench.forward import forward
from workbench.interpret.attribution.contributions import contributions, needed_sites, values_at_end
from workbench.interpret.attribution.direct import Attribution, attribute
from workbench.interpret.pairs import EncodedPairs, MinimalPair, encode_pairs, logit_difference
from workbench.model import load
from workbench.sites import Site

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.model import Model
    from workbench.tables import Result

TEXTS = ("the nurse said that", "any engineer", "one nurse said that she said")


def pairs_of(model: Model, *starts: str) -> EncodedPairs:
    pairs = [
        MinimalPair(f"{start} nurse said that", f"{start} nurse said he", " she", " he")
        for start in starts
    ]
    return encode_pairs(model, pairs, answers="first")


def by_place(result: Result | None, *keys: str) -> dict[tuple[Any, ...], float]:
    assert result is not None
    frame = result.frame()
    return dict(
        zip(zip(*(frame[key] for key in keys), strict=True), frame["estimate"], strict=True)
    )


# Invariances, on every family


def test_the_parts_add_up_to_the_models_own_logit_difference(family: Model) -> None:
    found = attribute(family, TEXTS)
    prompts = found.prompts.frame()
    softcap = family.anatomy.softcap
    for number, text in enumerate(TEXTS):
        with torch.no_grad():
            own = family.plain()(torch.tensor([family.tokenizer(text).input_ids])).logits[0, -1]
        best = own.topk(2)
        # The cap's inverse: what is attributed are the logits before it.
        logits = best.values if softcap is None else torch.atanh(best.values / softcap) * softcap
        assert prompts["difference"][number] == pytest.approx(
            (logits[0] - logits[1]).item(), abs=1e-4
        )
        says = [family.tokenizer.decode([token]) for token in best.indices]
        assert prompts.loc[number, ["answer", "foil"]].tolist() == says
    added = found.parts.frame()["estimate"].sum()
    assert added == pytest.approx(prompts["difference"].mean(), abs=1e-5)
    assert found.difference.value == pytest.approx(prompts["difference"].mean(), abs=1e-6)
    assert prompts["gap"].max() < 1e-4
    assert found.parts.provenance["largest_gap"] < 1e-4


def test_heads_and_neurons_add_up_to_their_layers(family: Model) -> None:
    """With the biases behind them; every neuron is asked for."""
    found = attribute(family, TEXTS, neurons=1_000_000)
    parts, biases = (by_place(one, "part", "layer") for one in (found.parts, found.biases))
    sites = {layer: family.anatomy.sites_of(layer) for layer in range(family.n_layers)}
    for part, site, shares in (
        ("attention", "head_out", found.heads),
        ("MLP", "neurons", found.neurons),
    ):
        layers = [layer for layer, names in sites.items() if site in names]
        assert (shares is None) == (not layers)
        if shares is None:
            continue
        added = shares.frame().groupby("layer")["estimate"].sum()
        assert sorted(added.index) == layers
        for layer in layers:
            whole = added[layer] + biases[part, layer]
            assert whole == pytest.approx(parts[part, layer], abs=1e-4)


def test_what_a_layer_adds_besides_is_its_own_modules_output(tmp_path: Path) -> None:
    """Gemma 4 adds per-layer inputs, and multiplies the stream at each layer's end."""
    model = load(make_family("gemma4_text_per_layer", tmp_path / "gemma4"), reuse=False)
    assert all(float(layer.layer_scalar) != 1 for layer in model.anatomy.layers)
    ids = torch.tensor([model.tokenizer(TEXTS[0]).input_ids])
    seen: list[torch.Tensor] = []
    handles = [
        layer.post_per_layer_input_norm.register_forward_hook(
            lambda _, __, output: seen.append(output[0, -1])
        )
        for layer in model.anatomy.layers
    ]
    with torch.no_grad():
        end = forward(model, ids, read=[Site("resid_post", -1)]).values[Site("resid_post", 3)]
    for handle in handles:
        handle.remove()
    direction = direction_at(model, end[0, -1])
    parts = by_place(attribute(model, [TEXTS[0]]).parts, "part", "layer")
    for layer in reversed(range(model.n_layers)):
        direction = direction * model.anatomy.layers[layer].layer_scalar
        own = (seen[layer] @ direction).item()
        assert parts["per-layer input", layer] == pytest.approx(own, abs=1e-4)


def direction_at(model: Model, residual: torch.Tensor) -> torch.Tensor:
    """What is read from the stream after the layers: the RMSNorm written out."""
    with torch.no_grad():
        best = model.anatomy.unembed(residual).topk(2).indices
        rows = model.anatomy.head.weight
        scale = torch.rsqrt(residual.square().mean() + model.anatomy.final_norm.eps)
        return (rows[best[0]] - rows[best[1]]) * model.anatomy.final_norm.weight * scale


# Where RMSNorm stands between attention and the residual stream; None where nothing does.
POST_NORMS = {
    "llama": None,
    "qwen3_moe": None,
    "gpt_oss": None,
    "gemma2": "post_attention_layernorm",
    "gemma3_text": "post_attention_layernorm",
    "gemma4_text": "post_attention_layernorm",
    "glm4": "post_self_attn_layernorm",
    "olmo2": "post_attention_layernorm",
}


@pytest.mark.parametrize("name", list(POST_NORMS))
def test_a_heads_contribution_is_what_is_missing_without_it(name: str, tmp_path: Path) -> None:
    """Taken out by hand, each norm's size put back to what it was with the head."""
    model = load(make_family(name, tmp_path / name), reuse=False)
    layer, head = 2, 1
    ids = torch.tensor([model.tokenizer(TEXTS[0]).input_ids])
    site, last = Site("head_out", layer), Site("resid_post", 3)
    with torch.no_grad():
        values = forward(model, ids, read=[site, last]).values
        z, end = values[site][0, -1], values[last][0, -1]
        block = model.anatomy.layers[layer]
        whole = block.self_attn.o_proj(z.flatten())
        alone = torch.zeros_like(z)
        alone[head] = z[head]
        part = block.self_attn.o_proj.weight @ alone.flatten()
        path = POST_NORMS[name]
        if path is not None:
            part = missing(block.get_submodule(path), whole, part)
        for later in model.anatomy.layers[layer:]:
            part = part * getattr(later, "layer_scalar", 1.0)
        logits = model.anatomy.head(missing(model.anatomy.final_norm, end, part))
        best = model.anatomy.unembed(end).topk(2).indices
    heads = by_place(attribute(model, [TEXTS[0]]).heads, "layer", "head")
    known_difference = (logits[best[0]] - logits[best[1]]).item()
    assert heads[layer, head] == pytest.approx(known_difference, abs=1e-4)


def missing(norm: Any, whole: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
    """What an RMSNorm's output lacks without a part, at the size that the whole has."""
    eps = getattr(norm, "variance_epsilon", getattr(norm, "eps", None))
    rest = whole - part
    sizes = [(one.square().mean() + eps).sqrt() for one in (rest, whole)]
    found: torch.Tensor = norm(whole) - norm(rest) * sizes[0] / sizes[1]
    return found


# TransformerLens' own


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_all_contributions_are_those_of_transformer_lens(name: str, tmp_path: Path) -> None:
    """Random weights in which gains and biases matter.

    TransformerLens leaves out the final norm's gain unless it is folded into the head; that changes
    the weights in place, and so is done to another copy of them.
    """
    directory = make_family(name, tmp_path / name)
    peer = load(directory, reuse=False)
    bridge = load(directory, reuse=False).bridge
    bridge.enable_compatibility_mode(disable_warnings=True, fold_value_biases=False)
    pairs = pairs_of(peer, "one", "any", "now")
    with torch.no_grad():
        _, cache = bridge.run_with_cache(pairs.clean)
        stacks = {
            "parts": cache.decompose_resid(return_labels=True, pos_slice=-1),
            "heads": cache.stack_head_results(return_labels=True, pos_slice=-1),
            "neurons": cache.stack_neuron_results(-1, return_labels=True, pos_slice=-1),
        }
        theirs = {
            name: dict(
                zip(
                    labels,
                    cache.logit_attrs(stack, pairs.answers, pairs.foils, pos_slice=-1)
                    .mean(dim=1)
                    .tolist(),
                    strict=True,
                )
            )
            for name, (stack, labels) in stacks.items()
        }
    own = attribute(peer, pairs, neurons=1_000_000)
    parts = by_place(own.parts, "part", "layer")
    for layer in range(peer.n_layers):
        for part, label in (("attention", "attn_out"), ("MLP", "mlp_out")):
            assert parts[part, layer] == pytest.approx(
                theirs["parts"][f"{layer}_{label}"], abs=1e-5
            )
    embedding = theirs["parts"]["embed"] + theirs["parts"].get("pos_embed", 0.0)
    frame = own.parts.frame().set_index("part")["estimate"]
    assert frame["embedding"] == pytest.approx(embedding, abs=1e-5)
    for kind, result, letter, key in (
        ("heads", own.heads, "H", "head"),
        ("neurons", own.neurons, "N", "neuron"),
    ):
        found = {f"L{a}{letter}{b}": v for (a, b), v in by_place(result, "layer", key).items()}
        assert found == pytest.approx(theirs[kind], abs=1e-5)


# Known answers


def contrast(model: Model, name: str) -> EncodedPairs:
    found = known.CONTRASTS[name]
    return encode_pairs(
        model, [MinimalPair(found.clean, found.corrupted, found.answer, found.foil)]
    )


@pytest.mark.parametrize("name", ["said", "asked", "noted"])
def test_the_induction_head_says_it_all(hand_built: Model, name: str) -> None:
    found = attribute(hand_built, contrast(hand_built, name))
    heads = by_place(found.heads, "layer", "head")
    assert heads.pop(tuple(known.INDUCTION)) == pytest.approx(known.SAYS, rel=0.01)
    assert max(map(abs, heads.values())) < 0.01
    assert found.difference.value == pytest.approx(known.SAYS, rel=0.01)


def test_the_neuron_says_what_it_is_there_for(hand_built: Model) -> None:
    found = attribute(hand_built, contrast(hand_built, "fired"), neurons=3)
    assert found.neurons is not None
    rows = found.neurons.frame()
    assert (rows["layer"][0], rows["neuron"][0]) == tuple(known.NEURON)
    assert rows["estimate"][0] == pytest.approx(known.SAYS * known.PUSHES, rel=0.01)
    assert rows["estimate"][1:].abs().max() < 1e-6
    assert "one of the largest of 48" in rows["method"][0]
    corrupted = attribute(hand_built, contrast(hand_built, "fired"), prompt="corrupted")
    assert corrupted.neurons is not None
    assert corrupted.neurons.frame()["estimate"].abs().max() < 0.1


def test_learnt_induction_heads_say_the_repeated_word(induction: Model) -> None:
    """They are in layer 1, and say more for it than all that is not a head of this layer."""
    texts = [" ".join(induction_toy.repeated_text(10, seed).split()[:15]) for seed in range(12)]
    found = attribute(induction, texts)
    says = [text.split()[5] for text in texts]
    assert sum(found.prompts.frame()["answer"] == says) >= 11
    assert found.heads is not None
    heads = found.heads.frame().groupby("layer")["estimate"].sum()
    assert heads[1] > 0.5 * found.difference.value
    best = found.heads.frame().sort_values("estimate").iloc[-1]
    assert best["layer"] == 1
    assert best["low"] > 0


# What it is given, and what it says


def test_pairs_are_attributed_at_their_own_answers(planted: Model) -> None:
    pairs = pairs_of(planted, "In Calvay the late", "In Lorn the proud", "In Garrow the angry")
    for prompt in ("clean", "corrupted"):
        found = attribute(planted, pairs, prompt=prompt)  # type: ignore[arg-type]
        with torch.no_grad():
            own = logit_difference(planted.plain()(getattr(pairs, prompt)).logits, pairs)
        rows = found.prompts.frame()
        assert rows["difference"].tolist() == pytest.approx(own.tolist(), abs=1e-4)
        assert set(rows["answer"].str.strip()) == {"she"}
        assert found.difference.n == 3


def complete(found: Attribution) -> dict[str, Result]:
    assert found.heads is not None
    assert found.neurons is not None
    return {"parts": found.parts, "heads": found.heads, "neurons": found.neurons}


def test_the_results_can_be_drawn_and_say_what_they_are(planted: Model) -> None:
    results = complete(attribute(planted, ["the nurse said", "the engineer"], seed=3))
    for result in results.values():
        assert result.figure().data
        provenance = result.provenance
        assert provenance["weights_digest"] == planted.provenance.weights_digest
        assert provenance["seed"] == 3
        assert {"resid_pre.0", "attn_out.0", "head_out.3", "neurons.2"} <= set(provenance["sites"])
        assert result.frame()["n"].eq(2).all()
    assert results["parts"].provenance["logits"] == "as they are"
    assert len(results["heads"]) == 16
    assert len(results["neurons"]) == 20


def test_a_single_prompt_has_no_interval(planted: Model) -> None:
    assert attribute(planted, ["the nurse said"]).parts.frame()["low"].isna().all()


def test_what_is_not_asked_for_is_not_computed(planted: Model) -> None:
    found = attribute(planted, ["the nurse said"], heads=False, neurons=0)
    assert found.heads is None
    assert found.neurons is None
    assert found.biases.frame()["part"].tolist() == ["final norm and head"]


def test_broken_weights_leave_what_they_break_undefined(broken_gpt2: Model) -> None:
    found = attribute(broken_gpt2, pairs_of(broken_gpt2, "one", "any"))
    rows = found.parts.frame().set_index("part")["estimate"]
    assert rows[["embedding", "attention", "MLP"]].isna().all()
    assert found.difference.value is None


def test_answers_in_full_are_refused(random_gpt2: Model) -> None:
    pair = MinimalPair("one nurse", "any nurse", " she", " he")
    pairs = encode_pairs(random_gpt2, [pair], answers="sum")
    with pytest.raises(InputError, match='encode them with answers="first"'):
        attribute(random_gpt2, pairs)


def test_bad_input_is_refused(planted: Model) -> None:
    with pytest.raises(InputError, match="text 0: got an empty text"):
        attribute(planted, [""])
    with pytest.raises(InputError, match="got one text; expected a list"):
        attribute(planted, "the nurse")
    with pytest.raises(InputError, match='Did you mean "clean"'):
        attribute(planted, ["the nurse"], prompt="cleen")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="got neurons=-1"):
        attribute(planted, ["the nurse"], neurons=-1)


class Quantised(torch.nn.Module):
    """A linear module as a quantising library leaves it: whole numbers and a scale."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.scale = linear.weight.detach().abs().max() / 127
        self.weight = torch.nn.Parameter(
            (linear.weight.detach() / self.scale).round().to(torch.int8), requires_grad=False
        )
        self.bias = None

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs @ (self.weight.float() * self.scale).T


def test_quantised_weights_are_refused_where_they_are_needed(llama_directory: Path) -> None:
    model = load(llama_directory, reuse=False)
    attention = model.hf.model.layers[1].self_attn
    attention.o_proj = Quantised(attention.o_proj)
    texts = ["the nurse said"]
    with pytest.raises(ModelError, match="Load the model without quantisation"):
        attribute(model, texts)
    whole = attribute(model, texts, heads=False)
    assert whole.parts.provenance["largest_gap"] < 1e-4
    model.hf.lm_head = Quantised(model.hf.lm_head)
    del model.__dict__["anatomy"]
    with pytest.raises(ModelError, match="Load the model without quantisation"):
        attribute(model, texts, heads=False, neurons=0)


def test_a_part_that_is_missing_is_noticed(llama_directory: Path) -> None:
    """A layer that adds something of its own: the sum is off, and nothing is reported."""
    model = load(llama_directory, reuse=False)
    model.anatomy.layers[1].register_forward_hook(lambda _, __, output: output + output.flip(-1))
    with pytest.raises(ModelError, match="do not add up: a sum is off by"):
        attribute(model, TEXTS)


def test_batches_of_any_size_give_the_same(random_llama: Model) -> None:
    """Prompts of different lengths, one by one and together."""
    together = attribute(random_llama, TEXTS, neurons=0)
    for number, text in enumerate(TEXTS):
        alone = attribute(random_llama, [text], neurons=0)
        assert together.prompts.frame()["answer"][number] == alone.prompts.frame()["answer"][0]
        assert together.prompts.frame()["difference"][number] == pytest.approx(
            alone.difference.value, abs=1e-5
        )


def test_only_the_end_of_the_prompt_is_kept(random_gpt2: Model) -> None:
    sites = needed_sites(random_gpt2.anatomy, heads=True, neurons=True)
    tokens = torch.tensor([random_gpt2.tokenizer(TEXTS[0]).input_ids])
    with torch.no_grad():
        values = values_at_end(random_gpt2, tokens, sites)
        read = forward(random_gpt2, tokens, read=sites).values
    assert set(values) == set(sites)
    for site, value in values.items():
        assert torch.equal(value, read[site][:, -1])
    found = contributions(random_gpt2.anatomy, values, torch.tensor([5]), torch.tensor([6]))
    assert found.gap().max() < 1e-4
