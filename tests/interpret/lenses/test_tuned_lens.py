"""The tuned lens: the known map where there is one, and the identity where nothing is missing."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from small_tokenizer import save_tokenizer

from workbench.errors import InputError, ModelError
from workbench.interpret.lenses import lens_fit
from workbench.interpret.lenses.lens_comparison import compare_lenses
from workbench.interpret.lenses.lens_grid import lens_grid
from workbench.interpret.lenses.translators import TunedLens, load_tuned_lens
from workbench.interpret.lenses.tuned_lens import FittedLens, fit_tuned_lens
from workbench.model import load
from workbench.organisms.grammar import PLANTED, documents

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from workbench.model import Model
    from workbench.tables import Result

WIDTH, LAYERS = 32, 3


def letters(count: int, seed: int) -> list[str]:
    random = Random(seed)
    return [
        "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=12)) for _ in range(count)
    ]


def of(result: Result, lens: str, column: str = "estimate") -> pd.Series[Any]:
    frame = result.frame()
    found: pd.Series[Any] = frame[frame["lens"] == f"{lens} lens"].set_index("layer")[column]
    return found


# A model whose layers rotate the stream


def rotation() -> torch.Tensor:
    """An orthogonal matrix that leaves the mean of a vector as it is."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(
        torch.cat([torch.ones(WIDTH, 1), torch.randn(WIDTH, WIDTH - 1, generator=generator)], dim=1)
    ).Q
    turn = torch.eye(WIDTH)
    turn[1:, 1:] = torch.linalg.qr(torch.randn(WIDTH - 1, WIDTH - 1, generator=generator)).Q
    return basis @ turn @ basis.T


@pytest.fixture(scope="module")
def rotating(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A GPT-2 that turns the stream by the same rotation in each layer, and does nothing else.

    Its embeddings have mean 0 and variance 1, so that LayerNorm is the identity; the MLP is linear,
    for gelu(x) - gelu(-x) is x; and attention writes 0.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    directory = tmp_path_factory.mktemp("models") / "rotating"
    directory.mkdir()
    config = GPT2Config(
        vocab_size=save_tokenizer(directory),
        n_positions=64,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=2,
        n_inner=2 * WIDTH,
        bos_token_id=0,
        eos_token_id=0,
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        made = GPT2LMHeadModel(config)
        transformer: Any = made.transformer
        turn = rotation() - torch.eye(WIDTH)
        embedding = torch.randn(config.vocab_size, WIDTH)
        transformer.wte.weight.copy_(torch.nn.functional.layer_norm(embedding, (WIDTH,)))
        transformer.wpe.weight.zero_()
        made.lm_head.weight.copy_(torch.randn(config.vocab_size, WIDTH) * 0.7)
        for block in transformer.h:
            block.attn.c_proj.weight.zero_()
            block.mlp.c_fc.weight.copy_(torch.cat([turn, -turn], dim=1))
            block.mlp.c_proj.weight.copy_(torch.cat([torch.eye(WIDTH), -torch.eye(WIDTH)]))
    made.save_pretrained(directory)
    return load(directory, reuse=False)


def test_the_known_rotations_are_all_that_is_missing(rotating: Model) -> None:
    """The translator of a layer is the rotation that the layers after it make together."""
    fitted = fit_tuned_lens(rotating, letters(10, 0), steps=1)
    turn = rotation()
    powers = [torch.linalg.matrix_power(turn, LAYERS - layer) for layer in range(LAYERS)]
    exact = TunedLens(
        torch.stack(powers) - torch.eye(WIDTH),
        torch.zeros(LAYERS, WIDTH),
        fitted.lens.record,
    )
    found = compare_lenses(rotating, exact, letters(20, 1))
    assert of(found.kl, "tuned").max() < 1e-6
    assert of(found.kl, "logit")[:LAYERS].min() > 3
    assert of(found.cross_entropy, "tuned").to_numpy() == pytest.approx(
        of(found.cross_entropy, "tuned")[LAYERS], abs=1e-4
    )


def test_the_fit_recovers_what_the_logit_lens_cannot(rotating: Model) -> None:
    fitted = fit_tuned_lens(
        rotating, letters(120, 2), steps=200, learning_rate=4e-2, tokens_a_step=300
    )
    found = fitted.held_out
    logit, tuned = of(found.kl, "logit"), of(found.kl, "tuned")
    assert logit[:LAYERS].min() > 3
    assert tuned.max() < 0.02 * logit[:LAYERS].min()
    assert of(found.kl, "tuned", "gain_low")[:LAYERS].min() > 3


# A trained model


@pytest.fixture(scope="module")
def texts() -> list[str]:
    drawn = documents(Random(0), Random(1), PLANTED, count=150)
    return [prompt + answer for prompt, answer in drawn]


@pytest.fixture(scope="module")
def fitted(planted: Model, texts: list[str]) -> FittedLens:
    return fit_tuned_lens(planted, texts, steps=20, learning_rate=3e-3, tokens_a_step=512)


def test_it_is_better_than_the_logit_lens_on_texts_it_never_saw(fitted: FittedLens) -> None:
    kl = fitted.held_out.kl
    assert (of(kl, "tuned") <= of(kl, "logit")).all()
    assert (of(kl, "tuned", "gain_low")[:4] > 0.05).all()
    entropy = fitted.held_out.cross_entropy
    assert (of(entropy, "tuned", "gain_low")[:3] > 0.5).all()
    assert of(kl, "logit", "gain").isna().all()


def test_after_the_last_layer_it_is_the_identity(fitted: FittedLens) -> None:
    kl = fitted.held_out.kl
    assert of(kl, "tuned")[4] == 0
    assert of(kl, "tuned", "gain")[4] == 0
    stream = torch.randn(2, 3, 128, generator=torch.Generator().manual_seed(0))
    assert torch.equal(fitted.lens(4, stream), stream)
    assert not torch.equal(fitted.lens(3, stream), stream)
    with pytest.raises(InputError, match="got 5 layers run; this lens has translators for 0 to 3"):
        fitted.lens(5, stream)


def test_the_losses_are_those_of_plain_hugging_face(
    planted: Model, fitted: FittedLens, texts: list[str]
) -> None:
    some = texts[:3]
    found = compare_lenses(planted, fitted.lens, some)
    known: dict[str, list[list[float]]] = {"kl": [], "cross_entropy": []}
    network = planted.plain()
    for text in some:
        ids = torch.tensor([planted.tokenizer(text).input_ids])
        with torch.no_grad():
            out = network(ids, output_hidden_states=True)
            state = out.hidden_states[2][0]
            moved = state + state @ fitted.lens.matrices[2] + fitted.lens.biases[2]
            said = network.lm_head(network.model.norm(moved)).log_softmax(dim=-1)
            final = out.logits[0].log_softmax(dim=-1)
        known["kl"].append((final.exp() * (final - said)).sum(dim=-1).tolist())
        known["cross_entropy"].append((-said[:-1].gather(1, ids[0, 1:, None])[:, 0]).tolist())
    for name, values in known.items():
        result = getattr(found, name)
        together = np.concatenate(values)
        assert of(result, "tuned")[2] == pytest.approx(together.mean(), abs=1e-4)
        assert of(result, "tuned", "n")[2] == len(together)
    assert "3 clusters" in found.kl.frame()["method"][0]


def test_the_same_seed_gives_the_same_lens(planted: Model, texts: list[str]) -> None:
    made = [
        fit_tuned_lens(planted, texts[:20], steps=2, tokens_a_step=64, seed=seed).lens.record
        for seed in (0, 0, 1)
    ]
    assert made[0] == made[1]
    assert made[0].weights_sha256 != made[2].weights_sha256


def test_the_record_says_how_it_was_made(planted: Model, texts: list[str]) -> None:
    twice = [*texts[:20], *texts[:20]]
    lens = fit_tuned_lens(planted, twice, steps=3, tokens_a_step=64, held_out=0.25, seed=5).lens
    record = lens.record
    assert (record.training_texts, record.stopping_texts, record.held_out_texts) == (13, 2, 5)
    assert (record.steps, record.tokens_a_step, record.seed) == (3, 64, 5)
    assert record.weights_digest == planted.provenance.weights_digest
    assert record.model == "planted"
    assert all(0 <= step <= 3 for step in record.kept)


def test_a_fit_that_does_harm_is_not_kept(planted: Model, texts: list[str]) -> None:
    """Far too large a step: a layer keeps the identity, and so the logit lens' own losses."""
    found = fit_tuned_lens(planted, texts[:20], steps=1, learning_rate=1e4)
    # Without any layer run the logit lens is so wrong that nothing is worse.
    assert found.lens.record.kept[1:] == (0, 0, 0)
    assert not found.lens.matrices[1:].any()
    tuned, logit = of(found.held_out.kl, "tuned"), of(found.held_out.kl, "logit")
    assert tuned[1:].tolist() == logit[1:].tolist()


def test_the_gradients_do_not_depend_on_how_many_rows_fit(
    planted: Model, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"steps": 2, "tokens_a_step": 128}
    whole = fit_tuned_lens(planted, texts[:12], **options).lens
    monkeypatch.setattr(lens_fit, "LOGITS_AT_ONCE", 1)
    single = fit_tuned_lens(planted, texts[:12], **options).lens
    # Adam's first steps follow the signs: what is nearly 0 may turn over by rounding.
    close = torch.isclose(whole.matrices, single.matrices, atol=1e-5)
    assert close.float().mean() > 0.99


def test_the_results_can_be_drawn_and_say_what_they_are(fitted: FittedLens) -> None:
    for result in (fitted.held_out.kl, fitted.held_out.cross_entropy):
        assert result.figure().data
        assert result.provenance["texts"] == "30 held-out texts"
        assert result.provenance["lens"]["weights_sha256"] == fitted.lens.record.weights_sha256
        assert result.provenance["sites"][-1] == "resid_post.3"


# Through the lens


def test_a_grid_can_be_read_through_it(planted: Model, fitted: FittedLens) -> None:
    text = "In Calvay the late nurse said that"
    grids = {
        name: lens_grid(planted, text, lens=lens).cells
        for name, lens in (("logit", None), ("tuned", fitted.lens))
    }
    assert grids["tuned"].provenance["method"] == "tuned lens"
    frames = {name: grid.frame().set_index(["layer", "position"]) for name, grid in grids.items()}
    assert frames["tuned"].loc[4].equals(frames["logit"].loc[4])
    mean = {name: frame["kl"].groupby("layer").mean() for name, frame in frames.items()}
    assert (mean["tuned"][:4] < mean["logit"][:4]).all()
    layer2 = compare_lenses(planted, fitted.lens, [text]).kl
    assert mean["tuned"][2] == pytest.approx(of(layer2, "tuned")[2], abs=1e-5)


# Kept with the model's digest


def test_it_comes_back_as_it_was(planted: Model, fitted: FittedLens, tmp_path: Path) -> None:
    assert fitted.lens.save(tmp_path / "lens") == tmp_path / "lens"
    assert sorted(path.name for path in (tmp_path / "lens").iterdir()) == [
        "tuned_lens.json",
        "tuned_lens.safetensors",
    ]
    again = load_tuned_lens(planted, tmp_path / "lens")
    assert again.record == fitted.lens.record
    assert torch.equal(again.matrices, fitted.lens.matrices)
    assert torch.equal(again.biases, fitted.lens.biases)


def test_another_models_weights_are_refused(
    clean: Model, planted: Model, fitted: FittedLens, tmp_path: Path
) -> None:
    fitted.lens.save(tmp_path)
    with pytest.raises(ModelError, match=r'fitted on the weights .* of "planted"; .*"clean", has'):
        load_tuned_lens(clean, tmp_path)
    with pytest.raises(ModelError, match="fit one on this model"):
        compare_lenses(clean, fitted.lens, ["the nurse said"])
    with pytest.raises(ModelError, match="fit one on this model"):
        lens_grid(clean, "the nurse said", lens=fitted.lens)
    fitted.lens.require(planted)


def test_files_that_do_not_belong_together_are_refused(
    planted: Model, fitted: FittedLens, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"tuned_lens.json: cannot be read"):
        load_tuned_lens(planted, tmp_path)
    other = replace(fitted.lens, biases=fitted.lens.biases + 1)
    other.save(tmp_path)
    with pytest.raises(InputError, match="one of them was altered or replaced"):
        load_tuned_lens(planted, tmp_path)
    (tmp_path / "tuned_lens.safetensors").unlink()
    with pytest.raises(InputError, match="the translators are missing"):
        load_tuned_lens(planted, tmp_path)


# Every family, and bad input


def test_every_family_can_be_fitted(family: Model) -> None:
    found = fit_tuned_lens(family, letters(6, 3), steps=1, tokens_a_step=40)
    kl = found.held_out.kl
    assert of(kl, "logit")[family.n_layers] == 0
    assert of(kl, "tuned").notna().all()
    grid = lens_grid(family, letters(1, 4)[0], lens=found.lens)
    assert grid.cells.frame()["kl"].ge(-1e-5).all()


def test_broken_weights_have_undefined_losses(broken_gpt2: Model) -> None:
    found = fit_tuned_lens(broken_gpt2, letters(5, 0), steps=1)
    assert found.lens.record.kept == (0, 0)
    assert found.held_out.kl.frame()["estimate"].isna().all()


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        (["a b", "c d"], {}, "got 2 different texts, of which 1 are held out and 1 decide"),
        (["a b", "a b", "a b"], {}, "got 1 different texts"),
        (["a", "b", ""], {}, "text 2: got an empty text"),
        (["a", "b", "c"], {"steps": 0}, "got steps=0; expected at least 1"),
        (["a", "b", "c"], {"learning_rate": 0.0}, "got learning_rate=0.0"),
        (["a", "b", "c"], {"tokens_a_step": 0}, "got tokens_a_step=0"),
        (["a", "b", "c"], {"held_out": 1.0}, "got held_out=1.0; expected a share"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    random_gpt2: Model, texts: list[str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fit_tuned_lens(random_gpt2, texts, **options)
