"""Texts as tokens: whole or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from workbench.errors import InputError
from workbench.tokens import by_length, encode, encode_all, token_texts

if TYPE_CHECKING:
    from workbench.model import Model


def test_a_texts_tokens_are_the_tokenizers_own(planted: Model) -> None:
    text = "The nurse from Calvay was late"
    assert encode(planted, text) == planted.tokenizer(text).input_ids
    assert "".join(token_texts(planted, encode(planted, text))) == "<s>" + text


@pytest.mark.parametrize(("text", "said"), [("", "got an empty text")])
def test_an_empty_text_is_refused(planted: Model, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        encode(planted, text)


def test_a_text_longer_than_the_context_is_refused_and_never_cut(planted: Model) -> None:
    longest = "The" + " nurse" * 126
    assert len(encode(planted, longest)) == 128
    with pytest.raises(InputError, match=r"129 tokens .* context has 128.*Nothing is cut off"):
        encode(planted, longest + " nurse")


def test_the_refused_one_of_many_is_named(planted: Model) -> None:
    with pytest.raises(InputError, match="text 2: got an empty text"):
        encode_all(planted, ["The nurse", "The pilot", ""])


@pytest.mark.parametrize(("texts", "said"), [([], "got no text"), ("one", "expected a list")])
def test_what_is_no_list_of_texts(planted: Model, texts: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        encode_all(planted, texts)


def test_texts_of_equal_length_come_together_without_padding(planted: Model) -> None:
    texts = ["The nurse was late", "The nurse", "The pilot was late", "The nurse was"]
    encoded = encode_all(planted, texts)
    groups = by_length(planted, encoded)
    assert [numbers for numbers, _ in groups] == [[1], [3], [0, 2]]
    for numbers, tokens in groups:
        assert tokens.tolist() == [encoded[number] for number in numbers]
