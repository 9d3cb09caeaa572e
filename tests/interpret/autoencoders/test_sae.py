"""Sparse autoencoders: formats as published, exact and empty ones, and files made to harm."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import hand_built as known
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from workbench.errors import InputError, ModelError, UnsafeWeightsError
from workbench.forward import forward
from workbench.interpret.autoencoders.features import feature_frequencies, features_on_texts
from workbench.interpret.autoencoders.files import load_sae
from workbench.interpret.autoencoders.hooks import site_of_hook
from workbench.interpret.autoencoders.loss import loss_recovered
from workbench.interpret.autoencoders.reconstruction import reconstruction
from workbench.interpret.examples.top import top_examples
from workbench.model import load
from workbench.sites import Site
from workbench.tokens import encode

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from workbench.interpret.autoencoders.autoencoder import SparseAutoencoder
    from workbench.model import Model
    from workbench.tables import Result

TEXTS = (
    "the nurse said that she",
    "the engineer said that he",
    "he said that the nurse said",
    "she said",
    "the engineer and the nurse",
)
D = 32
Tensors = dict[str, torch.Tensor]


def write(
    folder: Path, tensors: Tensors, *, file: str = "sae_weights.safetensors", **cfg: Any
) -> Path:
    """A folder as SAELens saves it; settings that are None are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / file)
    settings = {
        "architecture": "standard",
        "hook_name": "blocks.1.hook_resid_pre",
        "apply_b_dec_to_input": False,
    } | cfg
    kept = {name: value for name, value in settings.items() if value is not None}
    (folder / "cfg.json").write_text(json.dumps(kept))
    return folder


def drawn(d: int = D, features: int = 80, seed: int = 0, **more: int) -> Tensors:
    """Random weights; further vectors of so many numbers."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random)

    found = {
        "W_enc": normal(d, features) / d**0.5,
        "b_enc": 0.1 * normal(features),
        "W_dec": normal(features, d) / features**0.5,
        "b_dec": 0.1 * normal(d),
    }
    return found | {name: 0.3 * normal(size) for name, size in more.items()}


def exact(d: int) -> Tensors:
    """Both ends of each axis of a rotated basis: ReLU loses nothing."""
    basis, _ = torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(1)))
    both = torch.cat([basis, -basis], dim=1)
    return {"W_enc": both, "b_enc": torch.zeros(2 * d), "W_dec": both.T, "b_dec": torch.zeros(d)}


def empty(d: int) -> Tensors:
    return {name: torch.zeros_like(tensor) for name, tensor in exact(d).items()}


def by(result: Result) -> pd.DataFrame:
    return result.frame().set_index("measure")


# Formats, against the formulas of those who publish them


X = torch.randn(3, 5, D, generator=torch.Generator().manual_seed(9))


def test_a_standard_autoencoder_is_a_relu(tmp_path: Path) -> None:
    w = drawn()
    sae = load_sae(write(tmp_path / "a", w, d_in=D, d_sae=80))
    features = torch.relu(X @ w["W_enc"] + w["b_enc"])
    torch.testing.assert_close(sae.encode(X), features)
    torch.testing.assert_close(sae.reconstruct(X), features @ w["W_dec"] + w["b_dec"])
    torch.testing.assert_close(sae.decode(features), features @ w["W_dec"] + w["b_dec"])
    assert (sae.d_in, sae.d_sae, sae.site) == (D, 80, Site("resid_pre", 1))


def test_the_decoders_bias_is_taken_away_first_unless_it_is_not(tmp_path: Path) -> None:
    w = drawn()
    for settings in ({"apply_b_dec_to_input": True}, {"apply_b_dec_to_input": None}):
        sae = load_sae(write(tmp_path / "a", w, **settings))
        features = torch.relu((X - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
        torch.testing.assert_close(sae.encode(X), features)


@pytest.mark.parametrize(
    "settings",
    [
        {"architecture": "topk", "k": 7},
        {"architecture": None, "activation_fn_str": "topk", "activation_fn_kwargs": {"k": 7}},
        {"architecture": "topk", "activation_fn": "topk", "activation_fn_kwargs": {"k": 7}},
    ],
)
def test_topk_keeps_the_largest(tmp_path: Path, settings: dict[str, Any]) -> None:
    w = drawn()
    sae = load_sae(write(tmp_path / "a", w, **settings))
    before = X @ w["W_enc"] + w["b_enc"]
    cut = before.sort(dim=-1, descending=True).values[..., 6:7]
    torch.testing.assert_close(sae.encode(X), torch.relu(before) * (before >= cut))


def test_topk_by_what_is_decoded(tmp_path: Path) -> None:
    """rescale_acts_by_decoder_norm: the largest of activation times length of the decoder's row."""
    w = drawn()
    sae = load_sae(
        write(tmp_path / "a", w, architecture="topk", k=7, rescale_acts_by_decoder_norm=True)
    )
    length = w["W_dec"].norm(dim=-1)
    scaled = (X @ w["W_enc"] + w["b_enc"]) * length
    cut = scaled.sort(dim=-1, descending=True).values[..., 6:7]
    features = torch.relu(scaled) * (scaled >= cut)
    torch.testing.assert_close(sae.encode(X), features)
    torch.testing.assert_close(sae.reconstruct(X), (features / length) @ w["W_dec"] + w["b_dec"])


def test_jumprelu_lets_through_what_is_above_its_threshold(tmp_path: Path) -> None:
    w = drawn(threshold=80)
    sae = load_sae(write(tmp_path / "a", w, architecture="jumprelu"))
    before = X @ w["W_enc"] + w["b_enc"]
    known_features = torch.where(before > w["threshold"].relu(), before, 0.0)
    torch.testing.assert_close(sae.encode(X), known_features)
    assert 0 < (known_features > 0).sum() < (before > 0).sum()


def test_gated_has_a_gate_and_a_magnitude(tmp_path: Path) -> None:
    w = drawn(b_gate=80, b_mag=80, r_mag=80)
    del w["b_enc"]
    sae = load_sae(write(tmp_path / "a", w, architecture="gated"))
    opened = (X @ w["W_enc"] + w["b_gate"] > 0).float()
    magnitude = torch.relu(X @ (w["W_enc"] * w["r_mag"].exp()) + w["b_mag"])
    torch.testing.assert_close(sae.encode(X), opened * magnitude)


def test_each_vector_can_be_normalised(tmp_path: Path) -> None:
    w = drawn()

    def inner(x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x @ w["W_enc"] + w["b_enc"]) @ w["W_dec"] + w["b_dec"]

    scale = D**0.5 / X.norm(dim=-1, keepdim=True)
    sae = load_sae(write(tmp_path / "a", w, normalize_activations="constant_norm_rescale"))
    torch.testing.assert_close(sae.reconstruct(X), inner(X * scale) / scale)
    mean, std = X.mean(dim=-1, keepdim=True), X.std(dim=-1, keepdim=True)
    sae = load_sae(write(tmp_path / "b", w, normalize_activations="layer_norm"))
    known_output = inner((X - mean) / (std + 1e-5)) * std + mean
    torch.testing.assert_close(sae.reconstruct(X), known_output)


def test_version_six_keeps_the_hook_in_its_metadata(tmp_path: Path) -> None:
    metadata = {"hook_name": "blocks.0.hook_mlp_out", "model_name": "tiny", "prepend_bos": True}
    sae = load_sae(write(tmp_path / "a", drawn(), hook_name=None, metadata=metadata))
    assert sae.site == Site("mlp_out", 0)
    assert sae.provenance["sae_model_name"] == "tiny"
    assert sae.provenance["sae_prepend_bos"] == "True"
    assert sae.provenance["sae_format"] == "SAELens"
    assert len(sae.provenance["sae_weights"]) == 64


def test_version_one_names_a_hook_point_and_saves_a_factor(tmp_path: Path) -> None:
    w = drawn() | {"scaling_factor": torch.ones(80)}
    old = {"hook_name": None, "hook_point": "blocks.1.hook_resid_post", "architecture": None}
    sae = load_sae(write(tmp_path / "a", w, normalize_activations=False, **old))
    assert sae.site == Site("resid_post", 1)
    w["scaling_factor"][3] = 2
    with pytest.raises(ModelError, match="hold scaling_factor beyond what is read"):
        load_sae(write(tmp_path / "b", w, **old))


def sparsify(folder: Path, w: Tensors, **cfg: Any) -> Path:
    named = {
        "encoder.weight": w["W_enc"].T,
        "encoder.bias": w["b_enc"],
        "W_dec": w["W_dec"],
        "b_dec": w["b_dec"],
    }
    usual = {"architecture": None, "hook_name": None, "apply_b_dec_to_input": None}
    settings = {"d_in": D, "k": 5, "activation": "topk", "num_latents": 0, "transcode": False}
    return write(folder, named, file="sae.safetensors", **(usual | settings | cfg))


def test_sparsifys_files_are_read(tmp_path: Path) -> None:
    w = drawn()
    sae = load_sae(sparsify(tmp_path / "layers.1", w))
    before = torch.relu((X - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
    top = before.topk(5, dim=-1)
    features = torch.zeros_like(before).scatter(-1, top.indices, top.values)
    torch.testing.assert_close(sae.encode(X), features)
    torch.testing.assert_close(sae.reconstruct(X), features @ w["W_dec"] + w["b_dec"])
    assert sae.site == Site("resid_post", 1)


@pytest.mark.parametrize(
    ("hook", "site"),
    [
        ("blocks.3.hook_resid_pre", Site("resid_pre", 3)),
        ("blocks.11.hook_resid_mid", Site("resid_mid", 11)),
        ("blocks.0.attn.hook_z", Site("head_out", 0)),
        ("blocks.0.mlp.hook_post", Site("neurons", 0)),
        ("blocks.2.hook_out", Site("resid_post", 2)),
        ("layers.7", Site("resid_post", 7)),
        ("model.layers.7", Site("resid_post", 7)),
        ("transformer.h.7", Site("resid_post", 7)),
        ("layers.7.mlp", None),
        ("blocks.3.ln2.hook_normalized", None),
        ("blocks.x.hook_resid_pre", None),
        ("../../etc", None),
    ],
)
def test_hooks_are_sites(hook: str, site: Site | None) -> None:
    assert site_of_hook(hook) == site


# Known ends


@pytest.mark.parametrize("name", ["random_gpt2", "random_llama", "planted"])
def test_an_exact_autoencoder_loses_nothing(
    request: pytest.FixtureRequest, name: str, tmp_path: Path
) -> None:
    model: Model = request.getfixturevalue(name)
    d = model.hf.config.hidden_size
    sae = load_sae(write(tmp_path / "exact", exact(d)))
    found = by(reconstruction(model, sae, TEXTS))
    assert found.loc[["explained variance", "cosine"], "estimate"].tolist() == pytest.approx([1, 1])
    assert found.loc["active features", "count"] == pytest.approx(d)
    losses = loss_recovered(model, sae, TEXTS)
    recovered = by(losses.recovered)
    assert recovered["estimate"].tolist() == pytest.approx([1, 1], abs=1e-4)
    runs = by(losses.losses)["estimate"]
    assert runs["reconstructed"] == pytest.approx(runs["clean"], abs=1e-5)


@pytest.mark.parametrize("name", ["random_gpt2", "planted"])
def test_an_empty_autoencoder_is_an_ablation(
    request: pytest.FixtureRequest, name: str, tmp_path: Path
) -> None:
    model: Model = request.getfixturevalue(name)
    d = model.hf.config.hidden_size
    sae = load_sae(write(tmp_path / "empty", empty(d)))
    found = by(reconstruction(model, sae, TEXTS))
    assert found.loc["explained variance", "estimate"] < 0
    assert np.isnan(found.loc["cosine", "estimate"])
    assert found.loc["active features", "count"] == 0
    assert found.loc["dead features", ["estimate", "count"]].tolist() == [1, 2 * d]
    losses = loss_recovered(model, sae, TEXTS)
    runs = by(losses.losses)["estimate"]
    assert runs["reconstructed"] == runs["zero ablation"]
    assert by(losses.recovered).loc["zero", "estimate"] == 0


def test_one_that_says_the_mean_is_a_mean_ablation(random_llama: Model, tmp_path: Path) -> None:
    values = [
        forward(
            random_llama, torch.tensor([encode(random_llama, text)]), read=[Site("resid_pre", 1)]
        )
        for text in TEXTS
    ]
    mean = torch.cat([found.values[Site("resid_pre", 1)][0] for found in values]).mean(dim=0)
    sae = load_sae(write(tmp_path / "mean", empty(D) | {"b_dec": mean.detach()}))
    found = by(reconstruction(random_llama, sae, TEXTS))
    assert found.loc["explained variance", "estimate"] == pytest.approx(0, abs=1e-5)
    losses = loss_recovered(random_llama, sae, TEXTS)
    runs = by(losses.losses)["estimate"]
    assert runs["reconstructed"] == pytest.approx(runs["mean ablation"], abs=1e-5)
    assert by(losses.recovered).loc["mean", "estimate"] == pytest.approx(0, abs=1e-3)


def test_losses_are_those_of_hooks_written_by_hand(random_gpt2: Model, tmp_path: Path) -> None:
    w = drawn()
    sae = load_sae(write(tmp_path / "a", w))
    network = random_gpt2.plain()
    change = None

    def hook(_: Any, args: Any) -> Any:
        return None if change is None else (change(args[0]), *args[1:])

    def total() -> float:
        loss = 0.0
        for text in TEXTS:
            ids = torch.tensor([encode(random_gpt2, text)])
            with torch.no_grad():
                logits = network(ids).logits[0, :-1]
            loss += torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
        return loss

    tokens = sum(len(encode(random_gpt2, text)) - 1 for text in TEXTS)
    with network.transformer.h[1].register_forward_pre_hook(hook):
        clean = total()
        change = torch.zeros_like
        zero = total()
        change = lambda x: (  # noqa: E731 - what the hook does next
            torch.relu(x @ w["W_enc"] + w["b_enc"]) @ w["W_dec"] + w["b_dec"]
        )
        spliced = total()
    found = loss_recovered(random_gpt2, sae, TEXTS)
    runs = by(found.losses)
    assert runs["estimate"].tolist()[:3] == pytest.approx(
        [clean / tokens, spliced / tokens, zero / tokens], rel=1e-5
    )
    assert runs["n"].tolist() == [tokens] * 4
    row = by(found.recovered).loc["zero"]
    assert row["estimate"] == pytest.approx((zero - spliced) / (zero - clean), rel=1e-3)
    assert row["n"] == len(TEXTS)
    assert found.recovered.figure().data
    assert found.losses.figure().data


def test_explained_variance_by_hand(random_llama: Model, tmp_path: Path) -> None:
    w = drawn()
    sae = load_sae(write(tmp_path / "a", w, architecture="topk", k=9))
    site = Site("resid_pre", 1)

    def explained(texts: tuple[str, ...]) -> tuple[float, torch.Tensor]:
        with torch.no_grad():
            x = torch.cat(
                [
                    forward(random_llama, torch.tensor([encode(random_llama, text)]), read=[site])
                    .values[site][0]
                    .double()
                    for text in texts
                ]
            )
        made = sae.reconstruct(x.float()).double()
        total = (x - x.mean(dim=0)).square().sum()
        return 1 - ((x - made).square().sum() / total).item(), sae.encode(x.float())

    value, features = explained(TEXTS)
    found = reconstruction(random_llama, sae, TEXTS)
    row = by(found).loc["explained variance"]
    assert row["estimate"] == pytest.approx(value, rel=1e-4)
    left = [explained(TEXTS[:n] + TEXTS[n + 1 :])[0] for n in range(5)]
    error = np.sqrt(4 / 5 * ((left - np.mean(left)) ** 2).sum())
    assert row["estimate"] - row["low"] == pytest.approx(2.776 * error, rel=1e-2)
    assert by(found).loc["active features", "count"] == pytest.approx(9)
    dead = (features == 0).all(dim=0).sum().item()
    assert by(found).loc["dead features", "count"] == pytest.approx(dead)
    assert found.figure().data


# Features on texts


@pytest.fixture
def words(tmp_path: Path) -> SparseAutoencoder:
    """One feature for each word of the hand-built model: it fires by 1 where the word stands."""
    channels = known._channels()["word"]
    count = len(known.VOCABULARY)
    tensors = {
        "W_enc": channels.T,
        "b_enc": torch.zeros(count),
        "W_dec": channels,
        "b_dec": torch.zeros(known.D_MODEL),
    }
    folder = write(tmp_path / "words", tensors, hook_name="blocks.0.hook_resid_pre")
    return load_sae(folder)


def test_hand_made_features_fire_on_their_words(
    hand_built: Model, words: SparseAutoencoder
) -> None:
    texts = ["red sun cat", "cat key"]
    found = features_on_texts(hand_built, words, texts, most=1)
    frame = found.frame()
    assert frame["activation"].tolist() == pytest.approx([1] * 7, abs=1e-5)
    spoken = [known.VOCABULARY[number] for number in frame["feature"]]
    assert spoken == ["<s>", "red", "sun", "cat", "<s>", "cat", "key"]
    assert frame["text"].tolist() == [0] * 4 + [1] * 3
    assert frame["position"].tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert found.figure().data


def test_features_that_fire_are_counted(hand_built: Model, words: SparseAutoencoder) -> None:
    thresholded = write_threshold(words)
    texts = ["red sun cat", "cat key", "cat cat cat"]
    frame = feature_frequencies(hand_built, thresholded, texts, skip=1).frame()
    counts = dict(zip(frame["feature"], frame["estimate"], strict=True))
    assert counts[known.VOCABULARY.index("cat")] == pytest.approx(5 / 8)
    assert counts[known.VOCABULARY.index("key")] == pytest.approx(1 / 8)
    assert frame["rank"].tolist() == list(range(1, len(frame) + 1))
    assert frame.iloc[0]["feature"] == known.VOCABULARY.index("cat")
    assert frame.iloc[0]["strength"] == pytest.approx(1, abs=1e-4)
    never = frame[frame["estimate"] == 0]
    assert never["strength"].isna().all()
    assert (never["high"] > 0.5).all()  # three texts say little
    quality = by(reconstruction(hand_built, thresholded, texts, skip=1))
    assert quality.loc["active features", "count"] == pytest.approx(1)
    assert quality.loc["dead features", "count"] == pytest.approx(len(known.VOCABULARY) - 4)


def write_threshold(words: SparseAutoencoder) -> SparseAutoencoder:
    """The same, deaf to rounding errors."""
    from dataclasses import replace

    threshold = torch.full((words.d_sae,), 0.5)
    return replace(
        words, architecture="jumprelu", tensors={**words.tensors, "threshold": threshold}
    )


def test_a_feature_has_its_examples(hand_built: Model, words: SparseAutoencoder) -> None:
    feature = words.feature(hand_built, known.VOCABULARY.index("key"))
    found = top_examples(hand_built, ["red sun", "sun key red", "cat"], feature, count=1)
    frame = found.examples.frame()
    top = frame[frame["end"] == "largest"].iloc[0]
    assert (top["text"], top["position"], top["token"].strip()) == (1, 2, "key")
    with pytest.raises(InputError, match="got feature 24; there are features 0 to 23"):
        words.feature(hand_built, 24)


def test_texts_without_a_feature_have_an_empty_table(random_gpt2: Model, tmp_path: Path) -> None:
    sae = load_sae(write(tmp_path / "empty", empty(D)))
    found = features_on_texts(random_gpt2, sae, TEXTS)
    assert len(found) == 0
    assert "feature" in found.frame().columns


# Models


def test_every_family_takes_an_autoencoder(family: Model, tmp_path: Path) -> None:
    sae = load_sae(write(tmp_path / "exact", exact(D), hook_name="blocks.2.hook_resid_post"))
    found = by(reconstruction(family, sae, TEXTS))
    assert found.loc["explained variance", "estimate"] == pytest.approx(1, abs=1e-5)
    runs = by(loss_recovered(family, sae, TEXTS).losses)["estimate"]
    assert runs["reconstructed"] == pytest.approx(runs["clean"], abs=1e-3)
    assert abs(runs["zero ablation"] - runs["clean"]) > 1e-3


def test_heads_are_read_side_by_side(random_llama: Model, tmp_path: Path) -> None:
    hook = {"hook_name": "blocks.0.attn.hook_z", "reshape_activations": "hook_z"}
    sae = load_sae(write(tmp_path / "z", exact(D), **hook))
    assert sae.site == Site("head_out", 0)
    found = by(reconstruction(random_llama, sae, TEXTS))
    assert found.loc["explained variance", "estimate"] == pytest.approx(1, abs=1e-5)
    runs = by(loss_recovered(random_llama, sae, TEXTS).losses)["estimate"]
    assert runs["reconstructed"] == pytest.approx(runs["clean"], abs=1e-5)


def test_first_tokens_can_keep_their_value(random_gpt2: Model, tmp_path: Path) -> None:
    sae = load_sae(write(tmp_path / "empty", empty(D)))
    most = max(len(encode(random_gpt2, text)) for text in TEXTS)
    kept = loss_recovered(random_gpt2, sae, TEXTS, skip=most - 1)
    runs = by(kept.losses)["estimate"]
    # Only the last token of the longest text is changed: it predicts nothing.
    assert runs["reconstructed"] == runs["clean"]
    assert by(kept.recovered)["estimate"].isna().all()
    assert reconstruction(random_gpt2, sae, TEXTS, skip=2).provenance["skip"] == 2


def test_a_centred_autoencoder_reads_what_transformer_lens_shows(
    gpt2_directory: Path, random_llama: Model, tmp_path: Path
) -> None:
    """TransformerLens takes the mean out of the residual stream where norms do not see it."""
    cfg = {"model_from_pretrained_kwargs": {"center_writing_weights": True}}
    sae = load_sae(write(tmp_path / "a", drawn(), **cfg))
    assert sae.centred
    assert not sae.ready_for(random_llama).centred
    assert not load_sae(write(tmp_path / "b", drawn())).centred
    model = load(gpt2_directory, reuse=False)
    ids = torch.tensor([encode(model, TEXTS[0])])
    with torch.no_grad():
        plain = forward(model, ids, read=[sae.site]).values[sae.site].clone()
        model.bridge.enable_compatibility_mode()
        _, cache = model.bridge.run_with_cache(ids)
        centred = cache["blocks.1.hook_resid_pre"]
    assert not torch.allclose(plain, centred, atol=1e-3)
    ready = sae.ready_for(model)
    uncentred = load_sae(tmp_path / "b")
    torch.testing.assert_close(ready.encode(plain), uncentred.encode(centred), atol=1e-4, rtol=1e-3)
    mean = plain.mean(dim=-1, keepdim=True)
    torch.testing.assert_close(
        ready.reconstruct(plain), uncentred.reconstruct(centred) + mean, atol=1e-4, rtol=1e-3
    )
    assert load_sae(tmp_path / "b", centred=True).centred


def test_half_precision_stays_half_precision(tmp_path: Path) -> None:
    w = {name: tensor.bfloat16() for name, tensor in drawn().items()}
    sae = load_sae(write(tmp_path / "a", w))
    made = sae.reconstruct(X.bfloat16())
    assert made.dtype == torch.bfloat16
    assert sae.encode(X.bfloat16()).dtype == torch.float32


def test_an_autoencoder_of_another_model_is_refused(random_gpt2: Model, tmp_path: Path) -> None:
    wide = load_sae(write(tmp_path / "wide", drawn(48)))
    deep = load_sae(write(tmp_path / "deep", drawn(), hook_name="blocks.9.hook_resid_pre"))
    for method in (reconstruction, loss_recovered, features_on_texts, feature_frequencies):
        with pytest.raises(InputError, match=r"reads vectors of 48 .* this model has 32"):
            method(random_gpt2, wide, TEXTS)
        with pytest.raises(InputError, match="got layer 9 for resid_pre; this model has layers 0"):
            method(random_gpt2, deep, TEXTS)
        with pytest.raises(InputError, match="text 1: got an empty text"):
            method(random_gpt2, wide, ["a", ""])
    router = load_sae(tmp_path / "wide", site="router.0")
    with pytest.raises(ModelError, match="no router"):
        reconstruction(random_gpt2, router, TEXTS)


def test_texts_that_leave_nothing_are_refused(random_gpt2: Model, tmp_path: Path) -> None:
    sae = load_sae(write(tmp_path / "a", drawn()))
    with pytest.raises(
        InputError, match="texts of 1 tokens at most; expected one with more than 1"
    ):
        loss_recovered(random_gpt2, sae, ["a", "b"])
    with pytest.raises(InputError, match=r"expected one with more than 99"):
        reconstruction(random_gpt2, sae, TEXTS, skip=99)
    with pytest.raises(InputError, match="got most=0"):
        features_on_texts(random_gpt2, sae, TEXTS, most=0)


# Files that cannot be trusted


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (print, ("opened",))

    folder = tmp_path / "pickled"
    folder.mkdir()
    (folder / "cfg.json").write_text("{}")
    (folder / "sae_weights.pt").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UnsafeWeightsError, match=r"only there as sae_weights\.pt"):
        load_sae(folder)
    with pytest.raises(UnsafeWeightsError, match=r"only there as sae_weights\.pt"):
        load_sae(folder / "sae_weights.pt")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no such folder; expected one with cfg\.json"):
        load_sae(tmp_path / "nowhere")
    (tmp_path / "bare").mkdir()
    with pytest.raises(ModelError, match=r"found nothing; expected cfg\.json"):
        load_sae(tmp_path / "bare")
    (tmp_path / "bare" / "params.npz").write_bytes(b"")
    with pytest.raises(ModelError, match=r"found params\.npz; .*Gemma Scope's"):
        load_sae(tmp_path / "bare")
    folder = write(tmp_path / "a", drawn())
    (folder / "cfg.json").unlink()
    with pytest.raises(ModelError, match=r"found sae_weights\.safetensors; expected cfg\.json"):
        load_sae(folder)
    (folder / "cfg.json").write_text("{")
    with pytest.raises(ModelError, match="not valid JSON"):
        load_sae(folder)


def test_a_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", drawn())
    path = folder / "sae_weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        load_sae(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"W_enc": torch.zeros(D, 79)}, r"encoder has the shape \[32, 79\]; expected \[32, 80\]"),
        ({"W_enc": torch.zeros(80, D)}, r"encoder has the shape \[80, 32\]; expected \[32, 80\]"),
        ({"b_enc": torch.zeros(1)}, r"encoder bias has the shape \[1\]; expected \[80\]"),
        ({"b_dec": torch.zeros(())}, r"decoder bias has the shape \[\]; expected \[32\]"),
        ({"W_dec": torch.zeros(80)}, r"decoder has the shape \[80\]; expected \[d_sae, d_in\]"),
        ({"W_dec": torch.zeros(0, D)}, r"decoder has the shape \[0, 32\]"),
        ({"b_enc": torch.full((80,), float("nan"))}, "b_enc holds NaN or infinity"),
        ({"W_dec": torch.full((80, D), float("inf"))}, "W_dec holds NaN or infinity"),
        ({"b_enc": torch.zeros(80, dtype=torch.int64)}, r"b_enc holds torch\.int64"),
        ({"surprise": torch.zeros(1)}, "hold surprise beyond what is read"),
    ],
)
def test_wrong_tensors_are_refused(tmp_path: Path, change: Tensors, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_sae(write(tmp_path / "a", drawn() | change, d_in=D, d_sae=80))


def test_missing_tensors_are_named(tmp_path: Path) -> None:
    w = drawn()
    with pytest.raises(ModelError, match="its weights lack threshold"):
        load_sae(write(tmp_path / "a", w, architecture="jumprelu"))
    with pytest.raises(ModelError, match="lack b_gate, b_mag, r_mag, and hold b_enc beyond"):
        load_sae(write(tmp_path / "b", w, architecture="gated"))


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ({"architecture": "matryoshka"}, "architecture is 'matryoshka', which is not read"),
        ({"architecture": ["topk"]}, r"architecture is \['topk'\], which is not read"),
        ({"architecture": "jumprelu_transcoder"}, 'not read. Did you mean "jumprelu"'),
        ({"activation_fn_str": "tanh-relu"}, "activation function is 'tanh-relu'"),
        ({"activation_fn_str": ["relu"]}, r"activation function is \['relu'\]"),
        ({"architecture": "topk"}, r"keeps the k=None largest features; expected 1 to 80"),
        ({"architecture": "topk", "k": 81}, r"keeps the k=81 largest"),
        ({"architecture": "topk", "k": -1}, r"keeps the k=-1 largest"),
        ({"architecture": "topk", "k": "7"}, r"keeps the k='7' largest"),
        ({"architecture": "topk", "k": True}, r"keeps the k=True largest"),
        ({"normalize_activations": "expected_average_only_in"}, "fold it into the weights first"),
        ({"normalize_activations": {"by": 3}}, "activations are normalised by"),
        ({"reshape_activations": "other"}, "activations are reshaped by 'other'"),
        ({"reshape_activations": ["hook_z"]}, "activations are reshaped by"),
        ({"hook_head_index": 3}, r"reads one head \(3\) of its hook"),
        ({"hook_name_out": "blocks.1.hook_mlp_out"}, "it is a transcoder"),
        ({"apply_b_dec_to_input": "false"}, r"apply_b_dec_to_input='false'; expected true or"),
        ({"rescale_acts_by_decoder_norm": 2, "architecture": "topk"}, "rescale_acts_by_decoder_n"),
        (
            {"model_from_pretrained_kwargs": {"center_writing_weights": "no"}},
            "center_writing_weights='no'",
        ),
        ({"d_in": 31}, r"shape \[80, 32\]; its config says d_sae=None and d_in=31"),
        ({"d_sae": "many"}, "its config says d_sae='many'"),
    ],
)
def test_settings_that_are_not_read_are_refused(
    tmp_path: Path, cfg: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        load_sae(write(tmp_path / "a", drawn(), **cfg))


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ({"transcode": True}, "it is a transcoder"),
        ({"skip_connection": True}, "it is a transcoder"),
        ({"activation": "groupmax"}, "activation is 'groupmax'; read is topk alone"),
        ({"k": 0}, "keeps the k=0 largest"),
        ({"d_in": 7}, "its config says d_sae=None and d_in=7"),
    ],
)
def test_sparsifys_other_settings_are_refused(
    tmp_path: Path, cfg: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        load_sae(sparsify(tmp_path / "layers.1", drawn(), **cfg))


def test_a_decoder_with_a_row_of_nothing_is_not_divided_by(tmp_path: Path) -> None:
    w = drawn()
    w["W_dec"][3] = 0
    with pytest.raises(ModelError, match="features of length 0"):
        load_sae(
            write(tmp_path / "a", w, architecture="topk", k=7, rescale_acts_by_decoder_norm=True)
        )


def test_a_site_has_to_be_known_or_given(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", drawn(), hook_name="blocks.1.ln2.hook_normalized")
    with pytest.raises(InputError, match=r"names the hook 'blocks\.1\.ln2\.hook_normalized'"):
        load_sae(folder)
    assert load_sae(folder, site="mlp_in.1").site == Site("mlp_in", 1)
    assert load_sae(folder, site=Site("mlp_in", -1)).site == Site("mlp_in", -1)
    nameless = write(tmp_path / "b", drawn(), hook_name=None)
    with pytest.raises(InputError, match=r"names no hook\. Say what it reads"):
        load_sae(nameless)
    with pytest.raises(InputError, match='no site "resid_pots"'):
        load_sae(nameless, site="resid_pots.1")
    odd = write(tmp_path / "c", drawn(), hook_name={"a": 1})
    with pytest.raises(InputError, match="names no hook"):
        load_sae(odd)
