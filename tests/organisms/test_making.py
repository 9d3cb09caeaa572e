"""Making an organism: the folder is there whole, or not at all."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from workbench.errors import InputError, StorageError
from workbench.model import load
from workbench.organisms import making, training
from workbench.organisms.grammar import PLANTED
from workbench.organisms.items import TASKS, draw_items
from workbench.organisms.making import make_organism, measure
from workbench.organisms.training import Recipe
from workbench.organisms.truth import Truth, behaviours, exact_prompts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An organism after two steps of the full recipe."""
    return make_organism("planted", tmp_path_factory.mktemp("made") / "new" / "organism", steps=2)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return training.build_tokenizer()


@pytest.fixture
def small(tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe of two steps that takes no time, and little to measure afterwards."""
    tiny = partial(Recipe, rows=4, group=4, width=16, layers=1, heads=2, mlp_width=32, steps=2)
    monkeypatch.setattr(making, "Recipe", tiny)
    monkeypatch.setattr(training, "build_tokenizer", lambda: tokenizer)
    monkeypatch.setattr(making, "TASKS", ())
    monkeypatch.setattr(making, "measure", lambda *_: [])
    monkeypatch.setattr(making, "exact_prompts", lambda _: [])


def test_the_folder_is_whole(made: Path) -> None:
    assert sorted(path.name for path in made.iterdir()) == [
        "README.md",
        "config.json",
        "generation_config.json",
        "ground_truth.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert list(made.parent.iterdir()) == [made]
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in made.iterdir())


def test_it_loads_as_any_model_does(made: Path) -> None:
    model = load(made, reuse=False)
    assert model.provenance.architecture == "LlamaForCausalLM"
    assert model.provenance.licence == "apache-2.0"
    assert model.provenance.non_finite == ()
    assert model.tokenizer("The nurse").input_ids[0] == model.tokenizer.bos_token_id


def test_its_card_and_ground_truth_say_what_was_done(made: Path) -> None:
    card = (made / "README.md").read_text(encoding="utf-8")
    assert "# organism:planted" in card
    assert "in 2 steps from\nseed 0" in card
    truth = Truth.read(made / "ground_truth.json")
    assert (truth.organism, truth.seed, truth.steps) == ("planted", 0, 2)
    assert truth.behaviours == tuple(behaviours(PLANTED))
    assert [entry.prompt for entry in truth.prompts] == [
        entry.prompt for entry in exact_prompts(PLANTED)
    ]


def test_what_it_reached_is_measured_on_the_weights_that_were_written(made: Path) -> None:
    model = load(made, reuse=False)
    items = {task: draw_items(task, PLANTED) for task in TASKS}
    again = measure(model.hf, model.tokenizer, items, behaviours(PLANTED))
    stated = Truth.read(made / "ground_truth.json").reached
    assert [(entry.name, entry.n) for entry in again] == [(entry.name, entry.n) for entry in stated]
    assert [entry.value for entry in again] == pytest.approx(
        [entry.value for entry in stated], abs=1e-5
    )


@pytest.mark.usefixtures("small")
def test_the_same_seed_writes_the_same_weights(tmp_path: Path) -> None:
    one, same, other = (
        make_organism("clean", tmp_path / name, seed=seed)
        for name, seed in (("one", 5), ("same", 5), ("other", 6))
    )
    for name in ("model.safetensors", "tokenizer.json", "ground_truth.json", "README.md"):
        assert (one / name).read_bytes() == (same / name).read_bytes(), name
    weights = "model.safetensors"
    assert (one / weights).read_bytes() != (other / weights).read_bytes()


@pytest.mark.usefixtures("small")
def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "organism").mkdir()
    out = make_organism("planted", tmp_path / "organism")
    assert (out / "model.safetensors").is_file()
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.usefixtures("small")
def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for out in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(InputError, match="is there already; expected a new or an empty"):
            make_organism("planted", out)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_an_unknown_name_is_answered_with_the_closest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'no organism "plantd"\. Did you mean "planted"'):
        make_organism("plantd", tmp_path / "organism")


def test_a_number_of_steps_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="steps=0"):
        make_organism("planted", tmp_path / "organism", steps=0)


@pytest.mark.usefixtures("small")
def test_a_place_that_cannot_be_written_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("it was trained first")

    monkeypatch.setattr(making, "train", never)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        make_organism("planted", tmp_path / "file" / "organism")


def interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (making.Progress, "update"),
        (making, "measure"),
        (LlamaForCausalLM, "save_pretrained"),
        (PreTrainedTokenizerFast, "save_pretrained"),
        (Truth, "write"),
        (making, "write_atomically"),
    ],
    ids=["training", "measuring", "weights", "tokenizer", "truth", "card"],
)
def test_what_is_stopped_halfway_leaves_nothing(
    owner: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_organism("planted", tmp_path / "organism")
    assert list(tmp_path.iterdir()) == []
