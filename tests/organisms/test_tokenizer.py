"""The tokenizer of the small world: a word is a token, and nothing is lost."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workbench import resources
from workbench.organisms import world
from workbench.organisms.items import TASKS, rows
from workbench.organisms.tokenizer import build_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TOKENIZER = build_tokenizer()
BOS = TOKENIZER.bos_token_id


def words_of_the_world() -> list[str]:
    found: set[str] = set()
    for name in world.__all__:
        value = getattr(world, name)
        if isinstance(value, str):
            found |= set(re.findall(r"\w+", value))
        elif isinstance(value, tuple):
            found |= {word for text in value for word in re.findall(r"\w+", text)}
        else:
            found |= {*value, *value.values()}
    return sorted(found)


def pieces(tokenizer: PreTrainedTokenizerFast, text: str) -> list[str]:
    return [tokenizer.decode([token]) for token in tokenizer(text).input_ids[1:]]


def test_every_word_of_the_world_is_one_token() -> None:
    words = words_of_the_world()
    assert len(words) > 200
    assert {"nurse", world.SPONSOR, "Tovik", "Eklund", "lantern", "9"} <= set(words)
    # The words of the openers begin a sentence, and each is read with the space before it.
    assert [word for word in words if pieces(TOKENIZER, f" {word}") != [f" {word}"]] == []


@pytest.mark.parametrize("task", TASKS)
def test_held_out_texts_are_cut_at_their_words(task: str) -> None:
    """None of them was in the sample that the tokenizer was made of."""
    for row in rows(task):
        for choice in row["choices"]:
            text = row["prompt"] + choice
            assert pieces(TOKENIZER, text) == re.findall(r" ?\w+| ?[^\w\s]+", text)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60))
@example(text="")
@example(text="  two spaces, a\ttab\r\nand a line ")
@example(text="Zürich 東京 🦉 e\u0301 \x00")
def test_any_text_comes_back_and_begins_with_one_bos(text: str) -> None:
    ids = TOKENIZER(text).input_ids
    assert ids[0] == BOS
    assert ids.count(BOS) == 1
    assert TOKENIZER.eos_token_id not in ids
    assert TOKENIZER.pad_token_id not in ids
    assert TOKENIZER.decode(ids[1:]) == text
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == text


def test_the_special_tokens_are_three() -> None:
    special = {BOS, TOKENIZER.eos_token_id, TOKENIZER.pad_token_id}
    assert len(special) == 3
    assert max(special) < len(TOKENIZER)


def test_it_is_the_same_on_every_call() -> None:
    assert build_tokenizer().backend_tokenizer.to_str() == TOKENIZER.backend_tokenizer.to_str()


@pytest.mark.parametrize("name", ["planted", "clean"])
def test_the_organisms_ship_with_it(name: str) -> None:
    shipped = json.loads((resources.organism_weights() / name / "tokenizer.json").read_text())
    made = json.loads(TOKENIZER.backend_tokenizer.to_str())
    for part in ("model", "pre_tokenizer", "post_processor", "decoder", "added_tokens"):
        assert shipped[part] == made[part], part
