"""Directions: the difference of means is what it says, and belongs to its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from hand_built import SAID, SAYS, VOCABULARY

from workbench.batches import in_batches
from workbench.errors import InputError, ModelError
from workbench.interpret.intervening import contrast as contrasts
from workbench.interpret.intervening.contrast import (
    Contrast,
    difference_of_means,
    differences_of_means,
)
from workbench.interpret.intervening.directions import Direction, random_direction
from workbench.sites import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workbench.model import Model

SHE = ["the nurse said", "she said that the nurse", "the nurse the nurse"]
HE = ["the engineer said that", "he said"]
TEXTS = Contrast(SHE, HE, "nurse - engineer")
LAST = Site("resid_post", 1)


def states(model: Model, text: str) -> tuple[torch.Tensor, ...]:
    """Before each layer, by plain Hugging Face alone `[pos, d_model]`."""
    ids = torch.tensor([model.tokenizer(text).input_ids])
    with torch.no_grad():
        found: Any = model.plain()(ids, output_hidden_states=True).hidden_states
    return tuple(state[0].double() for state in found)


def mean(model: Model, texts: list[str], layer: int, position: int | None) -> torch.Tensor:
    read = [states(model, text)[layer] for text in texts]
    ends = [state.mean(0) if position is None else state[position] for state in read]
    return torch.stack(ends).mean(0)


@pytest.mark.parametrize(
    ("name", "position"),
    [
        (name, position)
        for name in ("random_gpt2", "random_llama", "planted")
        for position in (-1, 0, 1, None)
        if (name, position) != ("planted", 0)  # BOS, on both sides
    ],
)
def test_it_is_the_difference_of_plain_hugging_faces_means(
    request: pytest.FixtureRequest, name: str, position: int | None
) -> None:
    model: Model = request.getfixturevalue(name)
    found = difference_of_means(model, TEXTS, Site("resid_pre", 1), position=position)
    expected = mean(model, SHE, 1, position) - mean(model, HE, 1, position)
    assert torch.allclose(found.vector.double(), expected, atol=1e-6)
    assert (found.site, found.record.position) == (Site("resid_pre", 1), position)
    assert (found.record.positive, found.record.negative) == (3, 2)
    lengths = torch.cat([states(model, text)[1].norm(dim=-1) for text in SHE + HE])
    assert found.record.stream_norm == pytest.approx(float(lengths.median()), rel=1e-5)


def test_every_layer_is_what_it_is_alone(random_llama: Model) -> None:
    together = differences_of_means(random_llama, TEXTS)
    assert [found.site for found in together] == [Site("resid_post", 0), Site("resid_post", 1)]
    for found in together:
        alone = difference_of_means(random_llama, TEXTS, found.site)
        assert torch.equal(found.vector, alone.vector)
        assert found.record == alone.record
        assert found.digest == alone.digest


def test_a_layer_may_be_counted_from_the_end(random_llama: Model) -> None:
    assert difference_of_means(random_llama, TEXTS, Site("resid_post", -1)).site == LAST


def test_the_normalised_one_has_the_length_one_and_says_so(random_gpt2: Model) -> None:
    plain = difference_of_means(random_gpt2, TEXTS, LAST)
    short = difference_of_means(random_gpt2, TEXTS, LAST, normalised=True)
    assert short.norm == pytest.approx(1, abs=1e-6)
    assert torch.allclose(short.vector, plain.vector / plain.norm, atol=1e-6)
    assert torch.allclose(short.vector, plain.unit, atol=1e-6)
    assert (short.record.normalised, plain.record.normalised) == (True, False)
    assert short.digest != plain.digest


def test_the_other_way_round_it_points_the_other_way(random_gpt2: Model) -> None:
    there = difference_of_means(random_gpt2, TEXTS, LAST)
    back = difference_of_means(random_gpt2, Contrast(HE, SHE), LAST)
    assert torch.allclose(there.vector, -back.vector, atol=1e-6)


def test_it_is_the_channel_that_the_circuit_writes(hand_built: Model) -> None:
    """After the induction head, the last tokens differ in what is said, and in nothing else."""
    found = difference_of_means(
        hand_built, Contrast([SAID.clean], [SAID.corrupted]), Site("resid_post", 1)
    )
    head = hand_built.hf.lm_head.weight
    said = head[VOCABULARY.index("sun")] - head[VOCABULARY.index("fish")]
    assert torch.allclose(found.vector, said / SAYS, atol=0.01)


def test_a_batch_that_does_not_fit_changes_nothing(
    random_gpt2: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = Contrast([f"the nurse said {word}" for word in ("that", "she", "the", "he")], HE)
    whole = difference_of_means(random_gpt2, texts, LAST)

    def scarce(work: Any, count: int, size: int) -> Iterator[Any]:
        def greedy(part: slice) -> Any:
            if part.stop - part.start > 1:
                raise MemoryError
            return work(part)

        return in_batches(greedy, count, size)

    monkeypatch.setattr(contrasts, "in_batches", scarce)
    halved = difference_of_means(random_gpt2, texts, LAST)
    assert torch.allclose(whole.vector, halved.vector, atol=1e-6)


# Saved and read again


@pytest.fixture
def direction(random_gpt2: Model) -> Direction:
    return difference_of_means(random_gpt2, TEXTS, LAST)


def test_it_is_read_back_as_it_was(direction: Direction, tmp_path: Path) -> None:
    direction.save(tmp_path / "one.safetensors")
    read = Direction.load(tmp_path / "one.safetensors")
    assert torch.equal(read.vector, direction.vector)
    assert read.record == direction.record
    read.save(tmp_path / "two.safetensors")
    one, two = (tmp_path / f"{name}.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_a_saved_one_says_which_weights_it_belongs_to(
    direction: Direction, random_gpt2: Model, tmp_path: Path
) -> None:
    direction.save(tmp_path / "one.safetensors")
    read = Direction.load(tmp_path / "one.safetensors")
    assert read.record.weights_digest == random_gpt2.provenance.weights_digest
    read.require(random_gpt2)


def test_what_is_no_direction_is_refused(
    direction: Direction, gpt2_directory: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Direction.load(tmp_path / "missing.safetensors")
    with pytest.raises(InputError, match="not a direction that the workbench saved"):
        Direction.load(gpt2_directory / "model.safetensors")
    direction.save(tmp_path / "whole.safetensors")
    cut = (tmp_path / "whole.safetensors").read_bytes()[:-8]
    (tmp_path / "cut.safetensors").write_bytes(cut)
    with pytest.raises(InputError, match="not a direction that the workbench saved"):
        Direction.load(tmp_path / "cut.safetensors")


def test_a_file_with_numbers_that_are_not_finite_is_refused(
    direction: Direction, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "one.safetensors"
    header = {"workbench.direction": direction.record.model_dump_json()}
    save_file({"vector": torch.full((32,), float("nan"))}, path, metadata=header)
    with pytest.raises(InputError, match="expected one row of finite numbers"):
        Direction.load(path)


# Whose it is


def test_a_model_of_another_width_refuses_it(direction: Direction, planted: Model) -> None:
    with pytest.raises(InputError, match=r"a direction of 32 numbers; .* planted has 128"):
        direction.require(planted)
    with pytest.raises(InputError, match="32 numbers"):
        direction.transferred(planted)


def test_other_weights_refuse_it_unless_it_is_carried_over(planted: Model, clean: Model) -> None:
    there = difference_of_means(planted, TEXTS, LAST)
    there.require(planted)
    with pytest.raises(InputError, match=r"was measured on weights .*pass direction.transferred"):
        there.require(clean)
    moved = there.transferred(clean)
    moved.require(clean)
    assert torch.equal(moved.vector, there.vector)
    assert moved.record.measured_on == planted.provenance.weights_digest
    back = moved.transferred(planted)
    assert back.record == there.record


def test_a_layer_that_the_other_model_does_not_have_is_refused(
    random_llama: Model, planted: Model
) -> None:
    deep = difference_of_means(planted, TEXTS, Site("resid_post", 3))
    record = deep.record.model_copy(
        update={"weights_digest": random_llama.provenance.weights_digest}
    )
    with pytest.raises(InputError, match="this model has layers 0 to 1"):
        Direction(deep.vector[:32], record).require(random_llama)


def test_the_control_is_as_long_and_points_elsewhere(direction: Direction) -> None:
    one, again, other = (random_direction(direction, seed=seed) for seed in (0, 0, 1))
    assert one.norm == pytest.approx(direction.norm, rel=1e-5)
    assert torch.equal(one.vector, again.vector)
    assert not torch.equal(one.vector, other.vector)
    assert abs(float(one.unit @ direction.unit)) < 0.7
    assert one.site == direction.site
    assert "seed 0" in one.record.method


def test_the_vector_cannot_be_changed_from_outside(direction: Direction) -> None:
    given = direction.vector.clone()
    made = Direction(given, direction.record)
    given.zero_()
    assert torch.equal(made.vector, direction.vector)


# Bad input


@pytest.mark.parametrize(
    ("contrast", "site", "position", "message"),
    [
        (Contrast([], HE), LAST, -1, "got no text"),
        (Contrast(SHE, ["he", ""]), LAST, -1, "text 1: got an empty text"),
        (Contrast("she", HE), LAST, -1, "got one text; expected a list"),
        (TEXTS, Site("resid_post", 2), -1, "this model has layers 0 to 1"),
        (TEXTS, Site("attn_out", 0), -1, "a direction is one of the residual stream"),
        (Contrast(SHE, SHE), LAST, -1, "is zero: both sides have the same mean"),
        (TEXTS, LAST, 3, r"got position 3; text 0 has 3 tokens, positions 0 to 2"),
        (TEXTS, LAST, -4, r"got position -4; text 0 has 3 tokens"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    random_gpt2: Model, contrast: Contrast, site: Site, position: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        difference_of_means(random_gpt2, contrast, site, position=position)


def test_a_token_that_is_bos_on_both_sides_has_no_direction(planted: Model) -> None:
    for normalised in (False, True):
        with pytest.raises(InputError, match="is zero: both sides have the same mean"):
            difference_of_means(planted, TEXTS, LAST, position=0, normalised=normalised)


def test_a_text_longer_than_the_context_is_refused(random_llama: Model) -> None:
    with pytest.raises(InputError, match="Nothing is cut off silently"):
        difference_of_means(random_llama, Contrast(["nurse " * 128], HE), LAST)


def test_broken_weights_give_no_direction(broken_gpt2: Model) -> None:
    with pytest.raises(InputError, match="expected one row of finite numbers"):
        difference_of_means(broken_gpt2, TEXTS, LAST)


def test_a_site_that_the_model_does_not_have_is_refused_by_name(random_gpt2: Model) -> None:
    record = difference_of_means(random_gpt2, TEXTS, LAST).record
    lost = Direction(torch.ones(32), record.model_copy(update={"site": "router.1"}))
    with pytest.raises(ModelError, match="this layer has no router"):
        lost.require(random_gpt2)
