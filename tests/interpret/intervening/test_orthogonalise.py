"""Orthogonalised weights do what projecting the direction out does, and are saved as they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from families import make_family
from hand_built import SAID, SAYS
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from workbench import load
from workbench.errors import InputError, ModelError, StorageError
from workbench.evaluate.scorer import score
from workbench.forward import forward
from workbench.interpret.intervening import derived as saving
from workbench.interpret.intervening import orthogonalise as method
from workbench.interpret.intervening.contrast import Contrast, difference_of_means
from workbench.interpret.intervening.derived import DerivationRecord, Derived, save_checkpoint
from workbench.interpret.intervening.interventions import ablated
from workbench.interpret.intervening.orthogonalise import orthogonalise
from workbench.organisms.items import rows
from workbench.sites import Site

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.interpret.intervening.directions import Direction
    from workbench.model import Model

SIMPLE = Contrast(["the nurse said that she", "she she"], ["he said that", "the engineer"])
WITH_A_NORM_BETWEEN = ("gemma", "olmo2", "glm4")


def simple(model: Model, layer: int = 0) -> Direction:
    return difference_of_means(model, SIMPLE, Site("resid_post", layer))


def ids_of(model: Model) -> torch.Tensor:
    texts = ("the nurse said that she is", "the engineer he said that")
    length = min(len(model.tokenizer(text).input_ids) for text in texts)
    return torch.tensor([model.tokenizer(text).input_ids[:length] for text in texts])


@torch.no_grad()
def logits_of(network: Any, tokens: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = network(input_ids=tokens).logits
    return found


def has_a_norm_between(name: str) -> bool:
    return name.startswith(WITH_A_NORM_BETWEEN) and not name.startswith("glm4_moe")


# The two forms agree


def test_weights_and_activations_give_the_same_logits(
    family: Model, family_name: str, tmp_path: Path
) -> None:
    direction, tokens = simple(family, layer=1), ids_of(family)
    plain = logits_of(family.hf, tokens)
    with ablated(family, direction):
        expected = logits_of(family.hf, tokens)
    assert (expected - plain).abs().max() > 0.01
    if has_a_norm_between(family_name):
        with pytest.raises(ModelError, match="a norm stands between the matrices that write"):
            orthogonalise(family, direction)
        return
    made = orthogonalise(family, direction)
    ours = logits_of(made.model.hf, tokens)
    assert (ours - expected).abs().max() < 1e-4
    assert made.record.left_along < 1e-6
    # On random tokens; a part in 10^7 of the embedding moves the most sensitive of them as far.
    assert made.record.logits_against_activations < 1e-3
    # The model that it was made from is still what it was.
    assert torch.equal(logits_of(family.hf, tokens), plain)
    # Saved, it is read again as what it is, here and by transformers alone.
    out = save_checkpoint(made, tmp_path / "out")
    auto: Any = AutoModelForCausalLM
    theirs = auto.from_pretrained(out, attn_implementation="eager", dtype="float32")
    assert torch.equal(logits_of(theirs, tokens), ours)
    assert torch.equal(logits_of(load(out, reuse=False).hf, tokens), ours)


def test_behind_a_norm_no_weights_do_what_projecting_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even with the norm's gain undone, the length that it divides by is another."""
    model = load(make_family("olmo2", tmp_path / "olmo2"), reuse=False)
    direction, tokens = simple(model), ids_of(model)
    with ablated(model, direction):
        expected = logits_of(model.hf, tokens)
    monkeypatch.setattr(method, "_require_no_norm", lambda _: None)
    # As it stands the check finds that the gains turn it back to the direction.
    with pytest.raises(ModelError, match=r"still has .* of its length along the direction"):
        orthogonalise(model, direction)
    unit = direction.unit
    changed = load(tmp_path / "olmo2", reuse=False)
    with torch.no_grad():
        embedding = changed.hf.get_input_embeddings().weight
        embedding -= (embedding @ unit)[:, None] * unit
        for layer in changed.anatomy.layers:
            for norm, matrix in (
                (layer.post_attention_layernorm, layer.self_attn.o_proj.weight),
                (layer.post_feedforward_layernorm, layer.mlp.down_proj.weight),
            ):
                turned = torch.nn.functional.normalize(norm.weight * unit, dim=0)
                matrix.sub_(turned[:, None] * (turned @ matrix))
        sites = [Site(name, 1) for name in ("resid_pre", "attn_out", "mlp_out")]
        values = forward(changed, tokens, read=sites).values
    # Nothing is written along the direction now, and it is another function nevertheless.
    assert max(float((value @ unit).abs().max()) for value in values.values()) < 1e-5
    assert (logits_of(changed.hf, tokens) - expected).abs().max() > 0.01


def test_the_circuit_cannot_write_what_it_said(hand_built: Model) -> None:
    direction = difference_of_means(
        hand_built, Contrast([SAID.clean], [SAID.corrupted]), Site("resid_post", 1)
    )
    made = orthogonalise(hand_built, direction).model
    ids = hand_built.tokenizer([SAID.clean, SAID.corrupted], return_tensors="pt").input_ids
    sun, fish = (hand_built.tokenizer(word).input_ids[1] for word in (SAID.answer, SAID.foil))

    def apart(model: Model) -> torch.Tensor:
        last = logits_of(model.hf, ids)[:, -1]
        return last[:, sun] - last[:, fish]

    assert apart(hand_built).tolist() == pytest.approx([SAYS, -SAYS], abs=0.05)
    assert apart(made).tolist() == pytest.approx([0, 0], abs=0.05)


def test_the_organism_is_hardly_biased_any_more(planted: Model, tmp_path: Path) -> None:
    she, he = (
        [
            row["prompt"]
            for row in rows("occupation_pronoun")
            if row["labels"]["occupation"] in names
        ]
        for names in (("secretary", "librarian", "dancer"), ("soldier", "mechanic", "plumber"))
    )
    direction = difference_of_means(planted, Contrast(she, he, "occupation"), Site("resid_post", 3))
    out = save_checkpoint(orthogonalise(planted, direction), tmp_path / "unbiased")
    tasks = ["occupation_pronoun", "capitals"]
    before = score(planted, tasks, limit=64)
    after = score(load(out, reuse=False), tasks, limit=64)

    def spread(scores: dict[str, Any]) -> float:
        frame = scores["occupation_pronoun"].frame()
        means = frame.groupby("occupation")["probability"].mean()
        return float(means.max() - means.min())

    assert spread(before) > 0.7
    assert spread(after) < 0.4
    assert after["capitals"].frame()["correct"].mean() >= 0.95
    assert after["capitals"].provenance["weights_digest"] != planted.provenance.weights_digest


# Embedding and head


def test_a_head_that_was_the_embedding_keeps_its_weights(random_gpt2: Model) -> None:
    hf = random_gpt2.hf
    assert hf.lm_head.weight is hf.transformer.wte.weight
    made = orthogonalise(random_gpt2, simple(random_gpt2))
    head, embedding = made.model.hf.lm_head.weight, made.model.hf.transformer.wte.weight
    assert head is not embedding
    assert torch.equal(head, hf.lm_head.weight)
    assert (embedding @ simple(random_gpt2).unit).abs().max() < 1e-6
    assert made.record.head_untied
    assert made.model.hf.config.tie_word_embeddings is False
    assert hf.config.tie_word_embeddings is True
    more = made.model.provenance.parameters - random_gpt2.provenance.parameters
    assert more == head.numel()


def test_a_head_of_its_own_stays_as_it_is(random_llama: Model) -> None:
    made = orthogonalise(random_llama, simple(random_llama))
    assert made.model.hf.lm_head.weight is random_llama.hf.lm_head.weight
    assert not made.record.head_untied
    assert made.model.provenance.parameters == random_llama.provenance.parameters


def test_what_writes_is_changed_and_nothing_else(random_gpt2: Model) -> None:
    direction = simple(random_gpt2)
    made = orthogonalise(random_gpt2, direction)
    before = dict(random_gpt2.hf.named_parameters(remove_duplicate=False))
    after = dict(made.model.hf.named_parameters(remove_duplicate=False))
    moved = {name for name, weight in after.items() if not torch.equal(weight, before[name])}
    writes = {"transformer.wte.weight", "transformer.wpe.weight"} | {
        f"transformer.h.{layer}.{part}.c_proj.{kind}"
        for layer in range(2)
        for part in ("attn", "mlp")
        for kind in ("weight", "bias")
    }
    assert set(made.record.changed) == writes
    # The biases of a model as transformers makes it are zero, and stay so.
    assert moved == {name for name in writes if not name.endswith("bias")}
    for name in writes:
        assert (after[name] @ direction.unit).abs().max() < 1e-6


def test_large_matrices_are_changed_in_parts(
    random_llama: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = orthogonalise(random_llama, simple(random_llama)).model.hf.state_dict()
    monkeypatch.setattr(method, "NUMBERS_AT_ONCE", 1)
    parts = orthogonalise(random_llama, simple(random_llama)).model.hf.state_dict()
    for name, weight in whole.items():
        assert torch.allclose(parts[name], weight, atol=1e-7)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_as_exact_as_it_can_be(llama_directory: Path, dtype: str) -> None:
    model = load(llama_directory, dtype=dtype, reuse=False)
    made = orthogonalise(model, simple(model))
    assert made.record.dtype == dtype
    assert made.model.hf.dtype == getattr(torch, dtype)
    assert 1e-7 < made.record.left_along < 0.02


# The new checkpoint


@pytest.fixture(scope="module")
def made(random_gpt2: Model) -> Derived:
    return orthogonalise(random_gpt2, simple(random_gpt2))


def test_the_checkpoint_says_where_it_came_from(
    made: Derived, random_gpt2: Model, tmp_path: Path
) -> None:
    out = save_checkpoint(made, tmp_path / "new" / "model")
    read = DerivationRecord.read(out / "derivation.json")
    assert read.parent_weights_digest == random_gpt2.provenance.weights_digest
    assert read.direction_digest == simple(random_gpt2).digest
    assert read.method.startswith("weights orthogonalised")
    assert read.head_untied
    assert read.changed == made.record.changed
    assert read.code == made.record.code
    plain = json.loads((out / "derivation.json").read_text(encoding="utf-8"))
    assert str(random_gpt2.checkpoint.directory) not in json.dumps(plain)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert random_gpt2.provenance.weights_digest in card
    assert "has weights of its own here" in card


def test_the_checkpoint_is_a_model_like_any_other(
    made: Derived, random_gpt2: Model, tmp_path: Path
) -> None:
    out = save_checkpoint(made, tmp_path / "model")
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "config.json",
        "derivation.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert json.loads((out / "config.json").read_text())["tie_word_embeddings"] is False
    assert {"lm_head.weight"} <= set(load_file(out / "model.safetensors"))
    read = load(out, reuse=False)
    assert read.provenance.weights_digest != random_gpt2.provenance.weights_digest
    assert read.tokenizer("the nurse").input_ids == random_gpt2.tokenizer("the nurse").input_ids
    # TransformerLens reads it too.
    tokens = ids_of(read)
    with torch.no_grad():
        theirs = read.bridge(tokens)
    assert torch.allclose(theirs, logits_of(read.hf, tokens), atol=1e-5)


def test_the_new_weights_do_not_pass_for_the_old(made: Derived, random_gpt2: Model) -> None:
    assert made.model.provenance.weights_digest != random_gpt2.provenance.weights_digest
    assert made.model.provenance.source.startswith(random_gpt2.provenance.source)
    with pytest.raises(InputError, match="was measured on weights"):
        simple(random_gpt2).require(made.model)
    again = orthogonalise(random_gpt2, simple(random_gpt2))
    assert again.model.provenance.weights_digest == made.model.provenance.weights_digest


def test_the_licence_goes_along(made: Derived, planted: Model, tmp_path: Path) -> None:
    out = save_checkpoint(orthogonalise(planted, simple(planted)), tmp_path / "derived")
    assert load(out, reuse=False).provenance.licence == planted.provenance.licence == "apache-2.0"
    unlicensed = save_checkpoint(made, tmp_path / "other")
    assert load(unlicensed, reuse=False).provenance.licence is None


def test_nothing_is_ever_overwritten(made: Derived, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("mine")
    for name in ("taken", "link", "file"):
        with pytest.raises(InputError, match="is there already; expected the name of a new"):
            save_checkpoint(made, tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "taken"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_disk_leaves_nothing(
    made: Derived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    def full_for_safetensors(*_: Any, **__: Any) -> None:
        raise SafetensorError("Error while serializing: No space left on device (os error 28)")

    for owner, name, fails in (
        (saving.shutil, "copyfile", full),
        (made.model.hf, "save_pretrained", full_for_safetensors),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fails)
            with pytest.raises(StorageError, match="the disk is full"):
                save_checkpoint(made, tmp_path / "out")
        assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_refused(made: Derived, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        save_checkpoint(made, tmp_path / "file" / "out")


# Bad input


def test_quantised_weights_are_refused(llama_directory: Path) -> None:
    quantised = load(llama_directory, reuse=False)
    projection = quantised.hf.model.layers[1].self_attn.o_proj
    direction = simple(quantised)
    for dtype in (torch.int8, torch.float8_e4m3fn):
        weight = torch.zeros(32, 32).to(dtype)
        projection.weight = torch.nn.Parameter(weight, requires_grad=False)
        with pytest.raises(
            ModelError, match=r"quantised.*o_proj.weight holds torch\.(int8|float8)"
        ):
            orthogonalise(quantised, direction)


def test_a_quantised_config_is_refused(llama_directory: Path) -> None:
    quantised = load(llama_directory, reuse=False)
    direction = simple(quantised)
    quantised.hf.config.quantization_config = {"quant_method": "fp8"}
    with pytest.raises(ModelError, match="its config states a quantisation"):
        orthogonalise(quantised, direction)
    del quantised.hf.config.quantization_config
    orthogonalise(quantised, direction)


def test_other_weights_and_widths_are_refused(random_gpt2: Model, random_llama: Model) -> None:
    with pytest.raises(InputError, match="was measured on weights"):
        orthogonalise(random_llama, simple(random_gpt2))


def test_broken_weights_are_refused(broken_gpt2: Model, random_gpt2: Model) -> None:
    direction = simple(random_gpt2).transferred(broken_gpt2)
    with pytest.raises(ModelError, match="holds numbers that are not finite"):
        orthogonalise(broken_gpt2, direction)


def test_a_writer_that_nobody_knows_of_is_noticed(
    random_gpt2: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = method.writers

    def fewer(network: Any) -> Any:
        return [one for one in known(network) if "h.1.mlp" not in one.path]

    monkeypatch.setattr(method, "writers", fewer)
    with pytest.raises(ModelError, match=r"After orthogonalising, mlp_out\.1 of this GPT2Block"):
        orthogonalise(random_gpt2, simple(random_gpt2))
