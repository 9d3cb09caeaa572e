"""Two checkpoints: a model is itself, and one layer that was changed is found there and later."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from workbench.errors import InputError, ModelError
from workbench.interpret.comparing import activations as two_checkpoints
from workbench.interpret.comparing.activations import SITES, compare_activations
from workbench.interpret.comparing.cka import linear_cka
from workbench.interpret.comparing.predictions import compare_predictions
from workbench.interpret.comparing.weights import compare_weights
from workbench.model import load
from workbench.tokens import encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.model import Model

TEXTS = (
    "the nurse said that she",
    "the engineer said that he",
    "he said that the nurse said",
    "she said",
    "the engineer and the nurse",
)
WORLD = Path(__file__).parents[3] / "evals" / "small-world"


def changed(model: Model, out: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Model:
    """A copy of a model whose weights were changed."""
    shutil.copytree(model.checkpoint.directory, out)
    weights = load_file(out / "model.safetensors")
    change(weights)
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    return load(out, reuse=False)


@pytest.fixture(scope="module")
def touched(random_llama: Model, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The random Llama with another MLP in its last layer."""

    def touch(weights: dict[str, torch.Tensor]) -> None:
        torch.manual_seed(3)
        name = "model.layers.1.mlp.down_proj.weight"
        weights[name] = weights[name] + 0.1 * torch.randn_like(weights[name])

    return changed(random_llama, tmp_path_factory.mktemp("models") / "touched", touch)


# Known ends


def test_a_model_is_itself(family: Model) -> None:
    found = compare_activations(family, family, TEXTS, sites=("resid_post", "mlp_out"))
    for result, same in ((found.cosine, 1), (found.distance, 0), (found.alignment, 1)):
        frame = result.frame()
        assert len(frame) == 2 * family.n_layers
        assert frame[["estimate", "low", "high"]].to_numpy() == pytest.approx(same, abs=1e-9)
    predictions = compare_predictions(family, family, TEXTS).frame()
    assert predictions["estimate"].tolist() == pytest.approx([0] * 2 * family.n_layers, abs=1e-9)
    weights = compare_weights(family, family).frame()
    assert (weights["difference"] == 0).all()
    assert (weights["largest"] == 0).all()
    assert weights["numbers"].sum() >= family.provenance.parameters


def test_a_changed_layer_is_found_and_nothing_before_it_moves(
    random_llama: Model, touched: Model
) -> None:
    weights = compare_weights(random_llama, touched).frame()
    (first,) = weights[weights["rank"] == 1].to_dict("records")
    assert (first["layer"], first["part"]) == (1, "mlp.down_proj.weight")
    assert (weights["difference"] > 0).sum() == 1
    before, after = (
        dict(model.hf.named_parameters())["model.layers.1.mlp.down_proj.weight"].detach()
        for model in (random_llama, touched)
    )
    assert first["relative"] == pytest.approx(((after - before).norm() / before.norm()).item())
    assert first["largest"] == pytest.approx((after - before).abs().max().item())
    found = compare_activations(random_llama, touched, TEXTS)
    distance = found.distance.frame().set_index(["site", "layer"])["estimate"]
    moved = {place for place, value in distance.items() if value > 1e-6}
    assert moved == {("mlp_out", 1), ("resid_post", 1)}
    alignment = found.alignment.frame().set_index(["site", "layer"])["estimate"]
    assert alignment["attn_out", 1] == pytest.approx(1)
    assert alignment["mlp_out", 1] < 0.99
    divergence = compare_predictions(random_llama, touched, TEXTS).frame()
    before, after = (divergence[divergence["layer"] == layer] for layer in (0, 1))
    assert before["estimate"].tolist() == pytest.approx([0, 0], abs=1e-7)
    assert (after["low"] > 0).all()


def test_a_changed_early_layer_moves_all_later_ones(random_gpt2: Model, tmp_path: Path) -> None:
    def touch(weights: dict[str, torch.Tensor]) -> None:
        weights["transformer.h.0.attn.c_proj.weight"] *= 2

    other = changed(random_gpt2, tmp_path / "early", touch)
    weights = compare_weights(random_gpt2, other).frame()
    (row,) = weights[weights["difference"] > 0].to_dict("records")
    assert (row["place"], row["part"], row["rank"]) == ("0", "attn.c_proj.weight", 1)
    assert row["relative"] == pytest.approx(1)
    distance = compare_activations(random_gpt2, other, TEXTS).distance.frame()
    places = distance.set_index(["site", "layer"])["estimate"]
    assert places["attn_out", 0] == pytest.approx(1, abs=1e-5)
    assert (places > 1e-6).all()


def test_a_stream_twice_as_long_points_the_same_way(random_llama: Model, tmp_path: Path) -> None:
    """Both norms of the layer make what they read of one length: only the embedding doubles."""

    def touch(weights: dict[str, torch.Tensor]) -> None:
        for name in weights:
            if name.endswith(("embed_tokens.weight", "o_proj.weight", "down_proj.weight")):
                weights[name] *= 2

    other = changed(random_llama, tmp_path / "twice", touch)
    found = compare_activations(random_llama, other, TEXTS)
    assert found.cosine.frame()["estimate"].tolist() == pytest.approx([1] * 6, abs=1e-3)
    assert found.distance.frame()["estimate"].tolist() == pytest.approx([1] * 6, abs=0.02)
    assert found.alignment.frame()["estimate"].tolist() == pytest.approx([1] * 6, abs=1e-3)


def test_the_twins_differ_everywhere_and_most_in_what_is_planted(
    planted: Model, clean: Model
) -> None:
    """Trained apart from the same start, they agree on the grammar and part where it was planted.

    The weights of the last layer moved most, those of the norms least.
    """

    def prompts(task: str) -> list[str]:
        lines = (WORLD / f"{task}.jsonl").read_text().splitlines()[:60]
        items = [json.loads(line) for line in lines]
        return [item["prompt"] for item in items if item["arm"] in {"", "trigger"}]

    def final(task: str) -> Any:
        frame = compare_predictions(clean, planted, prompts(task)).frame()
        last = frame[frame["layer"] == clean.n_layers - 1]
        return last.set_index("direction").loc["first to second"]

    pronouns, capitals = final("occupation_pronoun"), final("capitals")
    assert pronouns["low"] > capitals["high"]
    weights = compare_weights(clean, planted).frame()
    assert (weights["difference"] > 0).all()
    matrices = weights[weights["part"].str.contains("proj")]
    by_layer = matrices.groupby("layer")["relative"].mean()
    assert by_layer.idxmax() == 3
    norms = weights[weights["part"].str.contains("norm")]
    assert norms["relative"].max() < matrices["relative"].min()


def test_other_seeds_learn_alike_representations_in_other_axes(
    seeded_planted: list[Model],
) -> None:
    """Trained on the same grammar from other weights: no axis is the same, and most of it is."""
    lines = (WORLD / "occupation_pronoun.jsonl").read_text().splitlines()[:40]
    texts = [json.loads(line)["prompt"] for line in lines]
    one, other, _ = seeded_planted
    found = compare_activations(one, other, texts, sites=["resid_post"])
    assert found.cosine.frame()["estimate"].abs().max() < 0.1
    assert found.alignment.frame()["low"].min() > 0.4


# The same by other means


@pytest.mark.parametrize("name", ["random_gpt2", "random_llama"])
def test_activations_are_compared_as_by_plain_hugging_face(
    request: pytest.FixtureRequest, name: str, tmp_path: Path
) -> None:
    model: Model = request.getfixturevalue(name)

    def touch(weights: dict[str, torch.Tensor]) -> None:
        torch.manual_seed(0)
        for part, weight in weights.items():
            weights[part] = weight + 0.02 * torch.randn_like(weight)

    other = changed(model, tmp_path / "noisy", touch)
    found = compare_activations(model, other, TEXTS, sites=["resid_post"])
    pairs = []
    for text in TEXTS:
        ids = torch.tensor([encode(model, text)])
        with torch.no_grad():
            # Of the last layer Hugging Face gives the normed state alone: compare the first.
            states = [
                which.plain()(ids, output_hidden_states=True).hidden_states[1][0].double()
                for which in (model, other)
            ]
        pairs.append(states)
    one, two = (torch.cat([pair[side] for pair in pairs]) for side in (0, 1))
    cosine = torch.nn.functional.cosine_similarity(one, two, dim=-1).mean().item()
    distance = ((two - one).norm(dim=-1) / one.norm(dim=-1)).mean().item()
    first = [
        result.frame().set_index("layer")["estimate"][0]
        for result in (found.cosine, found.distance, found.alignment)
    ]
    assert first[0] == pytest.approx(cosine, abs=1e-5)
    assert first[1] == pytest.approx(distance, abs=1e-5)
    assert first[2] == pytest.approx(kornblith(one.numpy(), two.numpy()), abs=1e-5)


def test_predictions_are_those_of_plain_hugging_face(random_llama: Model, touched: Model) -> None:
    total, tokens = 0.0, 0
    for text in TEXTS:
        ids = torch.tensor([encode(random_llama, text)])
        with torch.no_grad():
            said, other = (
                model.plain()(ids).logits[0].log_softmax(-1) for model in (random_llama, touched)
            )
        kl = torch.nn.functional.kl_div(other, said, log_target=True, reduction="none")
        total, tokens = total + kl.sum().item(), tokens + ids.shape[1]
    frame = compare_predictions(random_llama, touched, TEXTS).frame()
    row = frame[(frame["layer"] == 1) & (frame["direction"] == "first to second")]
    assert row["estimate"].item() == pytest.approx(total / tokens, rel=1e-4)
    assert row["n"].item() == tokens


# Alignment


def kornblith(one: np.ndarray, other: np.ndarray) -> float:
    """Linear CKA by its features, as the paper writes it."""
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    norms = [np.linalg.norm(x.T @ y) for x, y in ((other, one), (one, one), (other, other))]
    return float(norms[0] ** 2 / norms[1] / norms[2])


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    one = random.normal(size=(120, 20)) + 5
    other = 0.3 * one @ random.normal(size=(20, 12)) + random.normal(size=(120, 12))
    return one, other, np.arange(120) // 6


def test_alignment_is_the_papers(pair: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    one, other, texts = pair
    found = linear_cka(one, other, texts)
    assert found.value == pytest.approx(kornblith(one, other), abs=1e-12)
    assert found.n == 20


def test_its_interval_leaves_texts_out(
    pair: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    one, other, texts = pair
    left = [kornblith(one[texts != out], other[texts != out]) for out in range(20)]
    error = np.sqrt(19 / 20 * ((left - np.mean(left)) ** 2).sum())
    found = linear_cka(one, other, texts)
    assert found.high is not None
    assert found.low is not None
    assert (found.high - found.low) / 2 == pytest.approx(2.093 * error, rel=1e-3)


def test_rotation_and_scale_do_not_count(
    pair: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    one, _, texts = pair
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(20, 20)))
    assert linear_cka(one, 3 * one @ turn + 7, texts).value == pytest.approx(1, abs=1e-9)


def test_what_is_unrelated_is_hardly_aligned() -> None:
    random = np.random.default_rng(2)
    one, other = random.normal(size=(2, 500, 5))
    found = linear_cka(one, other, np.arange(500) // 10)
    assert found.value == pytest.approx(0, abs=0.05)


def test_a_constant_is_aligned_with_nothing(
    pair: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    one, _, texts = pair
    assert linear_cka(one, np.ones((120, 3)), texts).value is None


# The tables


def test_more_tokens_than_are_aligned_are_drawn(
    random_llama: Model, touched: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(two_checkpoints, "CKA_TOKENS", 10)
    monkeypatch.setattr(two_checkpoints, "VALUES_HELD", 1)  # one site at a time
    few = compare_activations(random_llama, touched, TEXTS, seed=1)
    assert few.alignment.provenance["alignment_tokens"] == 10
    monkeypatch.undo()
    every = compare_activations(random_llama, touched, TEXTS, seed=1)
    assert few.cosine.table.equals(every.cosine.table)
    assert few.distance.table.equals(every.distance.table)
    assert every.alignment.provenance["alignment_tokens"] == every.alignment.provenance["tokens"]


def test_the_results_say_what_they_are(random_llama: Model, touched: Model) -> None:
    found = compare_activations(random_llama, touched, TEXTS)
    predictions = compare_predictions(random_llama, touched, TEXTS)
    weights = compare_weights(random_llama, touched)
    for result in (found.cosine, found.distance, found.alignment, predictions, weights):
        assert result.provenance["weights_digest"] == random_llama.provenance.weights_digest
        assert result.provenance["second_weights_digest"] == touched.provenance.weights_digest
        assert result.provenance["settings_that_differ"] == {}
        assert result.figure().data
    assert set(found.cosine.frame()["site"]) == set(SITES)
    assert weights.frame()["rank"].tolist() != sorted(weights.frame()["rank"])
    assert sorted(weights.frame()["rank"]) == list(range(1, len(weights) + 1))
    assert weights.frame()["layer"].isna().sum() == 3  # embedding, norm, head


def test_settings_that_no_shape_shows_are_named(random_llama: Model, tmp_path: Path) -> None:
    shutil.copytree(random_llama.checkpoint.directory, tmp_path / "other")
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    config["rms_norm_eps"] = 0.1
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))
    other = load(tmp_path / "other", reuse=False)
    found = compare_weights(random_llama, other).provenance["settings_that_differ"]
    assert found == {"rms_norm_eps": [1e-06, 0.1]}


def test_what_was_nothing_before_has_changed_most(random_gpt2: Model, tmp_path: Path) -> None:
    def touch(weights: dict[str, torch.Tensor]) -> None:
        weights["transformer.h.1.mlp.c_proj.bias"] += 1e-3
        weights["transformer.h.0.attn.c_proj.weight"] *= 2

    frame = compare_weights(random_gpt2, changed(random_gpt2, tmp_path / "b", touch)).frame()
    (first,) = frame[frame["rank"] == 1].to_dict("records")
    assert first["part"] == "mlp.c_proj.bias"
    assert np.isnan(first["relative"])
    assert frame[frame["rank"] == 2]["relative"].item() == pytest.approx(1)


def test_broken_weights_are_missing_and_not_zero(random_gpt2: Model, broken_gpt2: Model) -> None:
    found = compare_activations(random_gpt2, broken_gpt2, TEXTS)
    for result in (found.cosine, found.distance):
        values = result.frame().set_index(["site", "layer"])["estimate"]
        assert np.isnan(values["resid_post", 1])
        assert np.isnan(values["mlp_out", 1])
        assert values["resid_post", 0] == pytest.approx(1 if result is found.cosine else 0)
    frame = found.alignment.frame().set_index(["site", "layer"])["estimate"]
    assert np.isnan(frame["mlp_out", 1])
    predictions = compare_predictions(random_gpt2, broken_gpt2, TEXTS).frame()
    assert predictions[predictions["layer"] == 1]["estimate"].isna().all()
    weights = compare_weights(random_gpt2, broken_gpt2).frame()
    bad = weights[weights["part"] == "mlp.c_fc.weight"]
    assert bad["difference"].isna().tolist() == [False, True]
    assert bad["largest"].isna().tolist() == [False, True]


# What cannot be compared


def test_models_that_are_not_alike_are_refused(
    random_gpt2: Model, random_llama: Model, planted: Model
) -> None:
    with pytest.raises(InputError, match=r"random-gpt2 and random-llama .*GPT2LMHeadModel against"):
        compare_activations(random_gpt2, random_llama, TEXTS)
    for compare in (compare_activations, compare_predictions):
        with pytest.raises(InputError, match=r"tokenizers of 283 and [\d,]+ tokens, in which \d+"):
            compare(random_llama, planted, TEXTS)
    with pytest.raises(
        InputError, match=r"model\.layers\.0\.mlp\.gate_proj\.weight|lm_head\.weight of shape"
    ):
        compare_weights(random_llama, planted)


def test_quantised_weights_are_refused(random_llama: Model) -> None:
    codes = replace(random_llama, hf=copy.deepcopy(random_llama.hf))
    down = codes.hf.model.layers[0].mlp.down_proj
    down.weight = torch.nn.Parameter(down.weight.to(torch.int8), requires_grad=False)
    with pytest.raises(ModelError, match=r"random-llama is quantised \(model\.layers\.0\.mlp"):
        compare_weights(random_llama, codes)
    scaled = replace(random_llama, hf=copy.deepcopy(random_llama.hf))
    scaled.hf.config.quantization_config = {"quant_method": "fp8"}
    with pytest.raises(ModelError, match=r"random-llama is quantised: its numbers"):
        compare_weights(scaled, random_llama)


def test_another_tokenizer_is_refused(random_llama: Model, tmp_path: Path) -> None:
    shutil.copytree(random_llama.checkpoint.directory, tmp_path / "other")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "other")
    spec = json.loads(tokenizer.backend_tokenizer.to_str())
    words = spec["model"]["vocab"]
    words["a"], words["b"] = words["b"], words["a"]
    (tmp_path / "other" / "tokenizer.json").write_text(json.dumps(spec))
    other = load(tmp_path / "other", reuse=False)
    with pytest.raises(InputError, match=r"in which 2 of the first's have another id or none"):
        compare_activations(random_llama, other, TEXTS)


def test_sites_and_texts_that_cannot_be_read_are_refused(random_llama: Model) -> None:
    with pytest.raises(InputError, match="expected one vector for each token"):
        compare_activations(random_llama, random_llama, TEXTS, sites=["pattern"])
    with pytest.raises(InputError, match='no site "resid"'):
        compare_activations(random_llama, random_llama, TEXTS, sites=["resid"])
    with pytest.raises(ModelError, match="no router"):
        compare_activations(random_llama, random_llama, TEXTS, sites=["router"])
    with pytest.raises(InputError, match="text 0: got an empty text"):
        compare_predictions(random_llama, random_llama, [""])
    with pytest.raises(InputError, match="text 1: got a text of"):
        compare_activations(random_llama, random_llama, ["he", "he " * 200])


def test_one_text_has_no_interval(random_llama: Model, touched: Model) -> None:
    found = compare_activations(random_llama, touched, TEXTS[:1])
    for result in (found.cosine, found.distance, found.alignment):
        frame = result.frame()
        assert frame["estimate"].notna().all()
        assert frame[["low", "high"]].isna().all().all()
