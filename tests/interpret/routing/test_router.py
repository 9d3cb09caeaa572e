"""Routers: loads are those of plain Hugging Face, and a router set by hand sends as it was told."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from families import FAMILIES, make_family
from safetensors.torch import load_file, save_file
from small_tokenizer import save_tokenizer
from transformers import MixtralConfig, MixtralForCausalLM

from workbench.errors import InputError, ModelError
from workbench.interpret.routing.by_token import routing_by_token, token_class
from workbench.interpret.routing.experts import choices
from workbench.interpret.routing.load import router_load
from workbench.model import load
from workbench.tokens import encode

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.model import Model

MIXTURES = (
    "mixtral",
    "qwen3_moe",
    "qwen3_next",
    "llama4_text",
    "gpt_oss",
    "deepseek_v2",
    "deepseek_v3",
    "tiny_kimi",
    "glm4_moe",
    "glm_moe_dsa",
    "gemma4_text_moe",
)
TEXTS = (
    "the nurse said that she",
    "the engineer said",
    "he said 12 %",
    "she and he said that the nurse said",
    "an engineer and the nurse",
    "12 or 13",
)


@pytest.fixture(scope="module", params=MIXTURES)
def mixture(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    name: str = request.param
    return load(make_family(name, tmp_path_factory.mktemp("mixtures") / name), reuse=False)


# The same by other means


def given_to_experts(network: Any, ids: torch.Tensor) -> dict[int, tuple[Any, Any]]:
    """By layer, the experts' numbers and weights `[token, k]` that the experts are given.

    Llama 4 hands its experts weighted copies of the tokens: there the weights are computed again.
    """
    found: dict[int, tuple[Any, Any]] = {}
    handles = []
    for layer, block in enumerate(network.model.layers):
        for name, module in block.named_modules():
            if name.endswith("experts") and "shared" not in name:

                def hook(_: Any, args: Any, layer: int = layer) -> None:
                    if len(args) > 1:
                        found[layer] = args[1], args[2]

                handles.append(module.register_forward_pre_hook(hook))
            if type(module).__name__ == "Llama4Router":

                def by_hand(module: Any, args: Any, layer: int = layer) -> None:
                    largest = (args[0] @ module.weight.T).topk(module.top_k)
                    found[layer] = largest.indices, largest.values.sigmoid()

                handles.append(module.register_forward_pre_hook(by_hand))
    try:
        with torch.no_grad():
            network(input_ids=ids)
    finally:
        for handle in handles:
            handle.remove()
    return found


def test_loads_are_those_that_plain_hugging_face_gives_its_experts(mixture: Model) -> None:
    network = mixture.plain()
    chosen: dict[int, torch.Tensor] = {}
    weight: dict[int, torch.Tensor] = {}
    tokens = 0
    for text in TEXTS:
        ids = torch.tensor([encode(mixture, text)])
        tokens += ids.shape[1]
        for layer, (experts, weights) in given_to_experts(network, ids).items():
            count = 64
            empty = torch.zeros(count)
            flat = experts.flatten()
            chosen[layer] = chosen.get(layer, empty) + torch.bincount(flat, minlength=count)
            shares = (weights.abs() / weights.abs().sum(dim=-1, keepdim=True)).flatten().float()
            weight[layer] = weight.get(layer, empty) + torch.zeros(count).index_add(0, flat, shares)
    found = router_load(mixture, TEXTS)
    frame = found.load.frame()
    assert set(frame["layer"]) == set(chosen)
    assert found.load.provenance["tokens"] == tokens
    for layer, rows in frame.groupby("layer"):
        experts = len(rows)
        assert rows["expert"].tolist() == list(range(experts))
        assert not chosen[layer][experts:].any()
        known = (chosen[layer][:experts] / tokens).tolist()
        assert rows["estimate"].tolist() == pytest.approx(known, abs=1e-6)
        known = (weight[layer][:experts] / tokens).tolist()
        assert rows["weight"].tolist() == pytest.approx(known, abs=1e-5)
        assert rows["weight"].sum() == pytest.approx(1)
        loads = chosen[layer][:experts].double().numpy()
        balance = found.balance.frame().set_index(["layer", "measure"])["estimate"]
        assert balance[layer, "variation"] == pytest.approx(loads.std() / loads.mean())
        p = loads[loads > 0] / loads.sum()
        assert balance[layer, "entropy"] == pytest.approx(-(p * np.log(p)).sum() / np.log(experts))


def test_every_token_chooses_as_many_experts_as_the_config_says(mixture: Model) -> None:
    config = mixture.hf.config
    k = getattr(config, "num_experts_per_tok", None) or config.top_k_experts
    frame = router_load(mixture, TEXTS).load.frame()
    for _, rows in frame.groupby("layer"):
        assert rows["estimate"].sum() == pytest.approx(k)
        assert rows["uniform"].tolist() == pytest.approx([k / len(rows)] * len(rows))
        assert ((rows["low"] <= rows["estimate"]) & (rows["estimate"] <= rows["high"])).all()
        assert (rows["weight_low"] <= rows["weight"]).all()
        assert (rows["weight"] <= rows["weight_high"]).all()


def test_mixtrals_own_router_logits_agree(tmp_path: Path) -> None:
    model = load(make_family("mixtral", tmp_path / "mixtral"), reuse=False)
    ids = torch.tensor([encode(model, TEXTS[0])])
    with torch.no_grad():
        logits = model.plain()(input_ids=ids, output_router_logits=True).router_logits
    frame = router_load(model, TEXTS[:1]).load.frame()
    for layer, values in enumerate(logits):
        counts = torch.bincount(values.topk(2).indices.flatten(), minlength=4) / ids.shape[1]
        rows = frame[frame["layer"] == layer]
        assert rows["estimate"].tolist() == pytest.approx(counts.tolist())


# A router set by hand


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A Mixtral whose layers add nothing: each token meets each router as it was embedded.

    Tokens are embedded along an axis of their own kind. In layer 0 the router sends `he` to expert
    3 first, and all others to 1; in layer 1 every token to expert 0 and 2.
    """
    directory = tmp_path_factory.mktemp("models") / "by-hand"
    directory.mkdir()
    vocabulary = save_tokenizer(directory)
    config = MixtralConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_local_experts=4,
        num_experts_per_tok=2,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    network: Any = MixtralForCausalLM(config)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(directory)
    (he,) = tokenizer(" he").input_ids
    with torch.no_grad():
        network.model.embed_tokens.weight.zero_()[:, 0] = 1
        network.model.embed_tokens.weight[he] = torch.eye(16)[1]
        for layer in network.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.experts.down_proj.zero_()
            layer.mlp.gate.weight.zero_()
        first, second = (layer.mlp.gate.weight for layer in network.model.layers)
        # RMSNorm makes each embedding 4 long: the logits are 4 times what stands here.
        first[:, 0] = torch.tensor([0.0, 2.0, 1.0, -1.0])
        first[:, 1] = torch.tensor([1.0, 0.0, -1.0, 2.0])
        second[:, :2] = torch.tensor([3.0, 1.0, 2.0, 0.0])[:, None]
    network.save_pretrained(directory)
    return load(directory, reuse=False)


BY_HAND = ("the nurse said that he", "he said that he", "the nurse said", "that nurse said he")


def test_a_known_token_goes_to_its_expert(by_hand: Model) -> None:
    found = routing_by_token(by_hand, BY_HAND, 0)
    frame = found.frame().set_index(["token", "expert"])
    assert frame.loc[(" he", 3), "count"] == 3
    assert frame.loc[(" he", 3), ["estimate", "high"]].tolist() == [1, 1]
    assert frame.loc[(" he", 0), "estimate"] == 1
    assert set(frame.loc[" he"].index) == {0, 3}
    # softmax(8, 4) = 0.982, 0.018
    assert frame.loc[(" he", 3), "weight"] == pytest.approx(1 / (1 + np.exp(-4)), rel=1e-4)
    for token in {token for token, _ in frame.index} - {" he"}:
        assert set(frame.loc[token].index) == {1, 2}
    assert found.figure().data
    assert found.provenance["sites"] == ["routing.0"]


def test_the_load_is_that_of_the_tokens(by_hand: Model) -> None:
    found = router_load(by_hand, BY_HAND)
    frame = found.load.frame().set_index(["layer", "expert"])
    tokens = sum(len(encode(by_hand, text)) for text in BY_HAND)
    assert frame.loc[(0, 3), "estimate"] == pytest.approx(3 / tokens)
    assert frame.loc[(0, 1), "estimate"] == pytest.approx(1 - 3 / tokens)
    assert frame.loc[1, "estimate"].tolist() == [1, 0, 1, 0]
    # Four texts say little about what no token does.
    assert frame.loc[(1, 1), "high"] > 0.3
    assert frame.loc[(1, 1), "low"] == 0
    balance = found.balance.frame().set_index(["layer", "measure"])
    assert balance.loc[(1, "variation"), "estimate"] == pytest.approx(1)
    assert balance.loc[(1, "entropy"), "estimate"] == pytest.approx(0.5)
    assert balance.loc[(1, "variation"), ["low", "high"]].tolist() == pytest.approx([1, 1])
    assert found.load.figure().data
    assert found.balance.figure().data


def test_even_choices_are_as_uneven_as_chance_makes_them() -> None:
    """What `by_chance` says, against drawn choices of 2 of 8 experts by 400 tokens."""
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(300):
        loads = np.bincount(random.random((400, 8)).argsort(axis=1)[:, :2].ravel(), minlength=8)
        p = loads / loads.sum()
        drawn.append((loads.std() / loads.mean(), -(p * np.log(p)).sum() / np.log(8)))
    variation, entropy = np.mean(drawn, axis=0)
    p = 2 / 8
    expected = np.sqrt((1 - p) / (400 * p))
    assert variation == pytest.approx(expected, rel=0.05)
    assert 1 - entropy == pytest.approx(expected**2 / (2 * np.log(8)), rel=0.1)


# By token and by class


def test_routing_by_class_adds_tokens_up(mixture: Model) -> None:
    layer = router_load(mixture, TEXTS).load.frame()["layer"].max()
    by_class = routing_by_token(mixture, TEXTS, layer, kind=token_class).frame()
    by_token = routing_by_token(mixture, TEXTS, layer, most=1000).frame()
    tokens = sum(len(encode(mixture, text)) for text in TEXTS)
    assert by_class.drop_duplicates("token")["count"].sum() == tokens
    assert by_token.drop_duplicates("token")["count"].sum() == tokens
    for frame in (by_class, by_token):
        totals = (frame["estimate"] * frame["count"]).groupby(frame["expert"]).sum()
        loads = router_load(mixture, TEXTS).load.frame().set_index(["layer", "expert"])
        for expert, total in totals.items():
            assert total / tokens == pytest.approx(loads.loc[(layer, expert), "estimate"])
        counts = frame.drop_duplicates("token")["count"].tolist()
        assert counts == sorted(counts, reverse=True)


def test_only_the_most_frequent_tokens_have_rows(by_hand: Model) -> None:
    found = routing_by_token(by_hand, BY_HAND, 1, most=2)
    assert found.frame()["token"].nunique() == 2
    assert found.provenance["kinds"] > 2


def test_parts_of_a_letter_are_told_apart(by_hand: Model) -> None:
    """Both letters are two tokens, none of which is a text by itself."""
    frame = routing_by_token(by_hand, ["Ää Öö", "ÄÖ"], 0).frame()
    assert not frame["token"].str.contains("\ufffd").any()
    assert frame["token"].nunique() >= 4


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (" nurse", "word"),
        ("ing", "word"),
        ("Ärztin", "word"),
        ("医", "word"),
        (" 12", "number"),
        ("4th", "word"),
        ("%", "punctuation"),
        (" ", "space"),
        ("\n", "space"),
        ("", "space"),
        ("<|endoftext|>", "special"),
        ("<s>", "special"),
    ],
)
def test_token_classes(text: str, kind: str) -> None:
    assert token_class(text) == kind


def test_one_text_has_no_interval(by_hand: Model) -> None:
    frame = router_load(by_hand, BY_HAND[:1]).load.frame()
    assert frame["estimate"].notna().all()
    assert frame[["low", "high", "weight_low"]].isna().all().all()


def test_a_scale_may_be_negative_and_a_weight_nothing() -> None:
    routing = torch.tensor([[[0.5, -1.5, 0.0], [0.0, 0.0, 0.0], [float("nan"), 1.0, 0.0]]])
    chosen, shares = choices(routing)
    assert chosen[0, :2].tolist() == [[1, 1, 0], [0, 0, 0]]
    assert shares[0, 0].tolist() == [0.25, 0.75, 0]
    assert np.isnan(shares[0, 1:]).all()
    assert np.isnan(chosen[0, 2]).all()


# What cannot be looked at


@pytest.mark.parametrize("name", ["random_gpt2", "planted"])
def test_a_dense_model_is_refused_plainly(request: pytest.FixtureRequest, name: str) -> None:
    model: Model = request.getfixturevalue(name)
    with pytest.raises(ModelError, match=r"this layer has no router\. Sites that can: resid_pre"):
        router_load(model, TEXTS)
    with pytest.raises(ModelError, match=r"routing\.0 cannot be read .* no router"):
        routing_by_token(model, TEXTS, 0)


def test_a_dense_layer_and_a_layer_that_is_not_there_are_refused(tmp_path: Path) -> None:
    assert FAMILIES["qwen3_moe"]["mlp_only_layers"] == [1]
    model = load(make_family("qwen3_moe", tmp_path / "qwen3_moe"), reuse=False)
    with pytest.raises(ModelError, match=r"routing\.1 cannot be read"):
        routing_by_token(model, TEXTS, 1)
    with pytest.raises(InputError, match=r"got layer 4 for routing; this model has layers 0 to 3"):
        routing_by_token(model, TEXTS, 4)
    assert set(router_load(model, TEXTS).load.frame()["layer"]) == {0, 2, 3}


def test_texts_that_cannot_be_read_are_refused(by_hand: Model) -> None:
    with pytest.raises(InputError, match="got one text; expected several"):
        router_load(by_hand, "the nurse")
    with pytest.raises(InputError, match="text 1: got an empty text"):
        router_load(by_hand, ["the nurse", ""])
    with pytest.raises(InputError, match="text 0: got a text of"):
        routing_by_token(by_hand, ["he " * 100], 0)
    with pytest.raises(InputError, match="got no text"):
        router_load(by_hand, iter(()))


def test_broken_weights_are_missing_and_not_zero(by_hand: Model, tmp_path: Path) -> None:
    shutil.copytree(by_hand.checkpoint.directory, tmp_path / "broken")
    weights = load_file(tmp_path / "broken" / "model.safetensors")
    weights["model.layers.0.post_attention_layernorm.weight"][:] = float("nan")
    save_file(weights, tmp_path / "broken" / "model.safetensors", metadata={"format": "pt"})
    found = router_load(load(tmp_path / "broken", reuse=False), BY_HAND)
    assert found.load.frame()["estimate"].isna().all()
    assert found.balance.frame()["estimate"].isna().all()
