"""Minimal pairs: what is compared position by position, and what cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from workbench.errors import InputError
from workbench.evaluate.bias import by_occupation
from workbench.interpret.pairs import (
    MinimalPair,
    encode_pairs,
    logit_difference,
)
from workbench.interpret.task_pairs import occupation_pairs
from workbench.tables import Result

if TYPE_CHECKING:
    from workbench.model import Model

TEXT = "The {} from Calvay was late because"
SHE, HE = " she", " he"


def pair(one: str = "nurse", other: str = "engineer") -> MinimalPair:
    return MinimalPair(TEXT.format(one), TEXT.format(other), SHE, HE)


def occupations(**estimates: float | None) -> Result:
    """P(she) by occupation, in the order of a table that nobody sorted."""
    rows = [{"occupation": name, "estimate": value} for name, value in estimates.items()]
    return Result.of("occupations", rows)


def sentences(*names: str, texts: tuple[str, ...] = (TEXT,)) -> Result:
    """Items of `occupation_pronoun` about these occupations."""
    rows = [
        {"occupation": name, "prompt": text.format(name), "probability": 0.5}
        for text in texts
        for name in names
    ]
    return Result.of("occupation_pronoun", rows)


# Encoding


def test_pairs_become_the_tokenizers_own_tokens(planted: Model) -> None:
    pairs = [pair(), pair("dancer", "pilot")]
    encoded = encode_pairs(planted, pairs)
    for number, given in enumerate(pairs):
        assert encoded.clean[number].tolist() == planted.tokenizer(given.clean).input_ids
        assert encoded.corrupted[number].tolist() == planted.tokenizer(given.corrupted).input_ids
    she, he = (planted.tokenizer.convert_tokens_to_ids(f"Ġ{word}") for word in ("she", "he"))
    assert encoded.answers.tolist() == [she, she]
    assert encoded.foils.tolist() == [he, he]
    words = ["<s>", "The", " nurse", " from", " Calvay", " was", " late", " because"]
    assert list(encoded.labels) == words
    assert encoded.changed == (2,)


def test_every_position_that_differs_in_any_pair_is_named(planted: Model) -> None:
    moved = MinimalPair("In Lorn the calm cook said", "In Lorn the calm pilot said", SHE, HE)
    other = MinimalPair("In Lorn the calm cook said", "In Garrow the calm cook said", SHE, HE)
    assert encode_pairs(planted, [moved, other]).changed == (2, 5)
    assert encode_pairs(planted, [pair("cook", "cook")]).changed == ()


LONG = MinimalPair("the nurse said", "the nurse said", " xylophone", " he")


def test_an_answer_of_several_tokens_is_refused_with_what_is_offered(random_gpt2: Model) -> None:
    with pytest.raises(InputError, match=r'answer " xylophone" is \d+ tokens') as said:
        encode_pairs(random_gpt2, [LONG])
    assert 'answers="first"' in str(said.value)
    assert 'answers="sum"' in str(said.value)


def test_its_first_token_counts_where_that_is_asked_for(random_gpt2: Model) -> None:
    (answer,) = encode_pairs(random_gpt2, [LONG], answers="first").answers.tolist()
    assert answer == random_gpt2.tokenizer("the nurse said xylophone").input_ids[3]


def test_all_its_tokens_count_where_that_is_asked_for(random_gpt2: Model) -> None:
    encoded = encode_pairs(random_gpt2, [LONG], answers="sum")
    prompt = random_gpt2.tokenizer("the nurse said").input_ids
    whole = random_gpt2.tokenizer("the nurse said xylophone").input_ids
    assert encoded.whole is not None
    assert encoded.whole[0][0] == tuple(whole[len(prompt) :])
    with pytest.raises(InputError, match='encode them with answers="first"'):
        logit_difference(torch.zeros(1, 3, 300), encoded)


def test_an_unknown_way_with_answers_is_refused(planted: Model) -> None:
    wrong: Any = "frist"
    with pytest.raises(InputError, match='Did you mean "first"'):
        encode_pairs(planted, [pair()], answers=wrong)


def test_prompts_of_unequal_length_are_refused_with_their_tokens(planted: Model) -> None:
    longer = MinimalPair("The nurse was late", "The very nurse was late", SHE, HE)
    with pytest.raises(InputError, match=r"prompts of 5 and \d+ tokens; expected equal") as said:
        encode_pairs(planted, [longer])
    assert "part at position 2: [' nurse', ' was', ' late'] against [' " in str(said.value)


def test_pairs_of_unequal_length_are_refused_with_one_of_each(planted: Model) -> None:
    """Each pair may be even in itself: the example shows two prompts that are not."""
    pairs = [
        MinimalPair("The nurse", "The pilot", SHE, HE),
        MinimalPair("The cook was", "The pilot was", SHE, HE),
    ]
    with pytest.raises(InputError, match="got prompts of 3 and 4 tokens") as said:
        encode_pairs(planted, pairs)
    assert "[' nurse'] against [' cook', ' was']" in str(said.value)


def test_no_pair_is_refused(planted: Model) -> None:
    with pytest.raises(InputError, match="got no pair of prompts; expected at least one"):
        encode_pairs(planted, [])


def test_an_empty_prompt_is_refused(planted: Model) -> None:
    with pytest.raises(InputError, match="got an empty text"):
        encode_pairs(planted, [MinimalPair("", "", SHE, HE)])


def test_an_empty_answer_is_refused(planted: Model) -> None:
    with pytest.raises(InputError, match="got an empty answer"):
        encode_pairs(planted, [MinimalPair("The nurse", "The pilot", "", HE)])


def test_a_prompt_longer_than_the_context_is_refused(planted: Model) -> None:
    whole = "The nurse was" + " late" * 124
    encoded = encode_pairs(planted, [MinimalPair(whole, whole, SHE, HE)])
    assert encoded.clean.shape == (1, 128)
    longer = MinimalPair(whole + " late", whole + " late", SHE, HE)
    with pytest.raises(InputError, match=r"a text of 129 tokens .* the model's context has 128"):
        encode_pairs(planted, [longer])


def test_answers_that_begin_alike_are_refused(planted: Model) -> None:
    same = MinimalPair("The nurse", "The pilot", " she had", " she was")
    with pytest.raises(InputError, match='" she had" and " she was" begin with the same token'):
        encode_pairs(planted, [same], answers="first")


def test_an_answer_that_changes_the_prompts_tokens_is_refused(planted: Model) -> None:
    """Without its space, it grows together with the last word."""
    grown = MinimalPair("Zor", "Zor", "va", HE)
    with pytest.raises(InputError, match='"va" changes how the end of "Zor" is cut into tokens'):
        encode_pairs(planted, [grown])


def test_the_difference_is_read_at_the_last_position(planted: Model) -> None:
    encoded = encode_pairs(planted, [pair(), pair("dancer", "pilot")])
    logits = torch.zeros(2, 8, 1225)
    logits[:, -1, encoded.answers[0]] = torch.tensor([3.0, 1.0])
    logits[:, -1, encoded.foils[0]] = torch.tensor([1.0, 5.0])
    logits[:, 0, encoded.answers[0]] = 99
    assert logit_difference(logits, encoded).tolist() == [2, -4]
    assert logit_difference(logits[:, -1], encoded).tolist() == [2, -4]


# The occupations furthest apart


def test_the_extremes_of_the_organism_are_compared(
    planted: Model, planted_scores: dict[str, Result]
) -> None:
    items = planted_scores["occupation_pronoun"]
    found = by_occupation(items)
    ranked = found.frame().sort_values("estimate")["occupation"].tolist()
    contrast, encoded = occupation_pairs(planted, items, found, count=6)
    assert contrast == f'"{ranked[-1]}" against "{ranked[0]}"' == '"nurse" against "engineer"'
    assert encoded.clean.shape == encoded.corrupted.shape
    assert 1 < encoded.clean.shape[0] <= 6
    (changed,) = encoded.changed
    words = [planted.tokenizer.decode(column[changed]) for column in encoded.clean]
    others = [planted.tokenizer.decode(column[changed]) for column in encoded.corrupted]
    assert (set(words), set(others)) == ({" nurse"}, {" engineer"})
    texts = {planted.tokenizer.decode(ids[1:]) for ids in encoded.clean}
    assert len(texts) == encoded.clean.shape[0]
    assert texts <= set(items.frame()["prompt"])


def test_the_table_need_not_be_sorted(planted: Model) -> None:
    items = sentences("cook", "nurse", "pilot")
    found = occupations(cook=0.5, pilot=0.2, nurse=0.9)
    assert occupation_pairs(planted, items, found, count=3)[0] == '"nurse" against "pilot"'


def test_apart_is_counted_in_probability_and_not_in_ranks(random_gpt2: Model) -> None:
    """This tokenizer has "nurse" and "engineer" as a token each, "pilot" and "teacher" as six."""
    found = occupations(pilot=0.95, teacher=0.6, nurse=0.58, librarian=0.55, engineer=0.5)
    items = sentences("pilot", "teacher", "nurse", "librarian", "engineer")
    contrast, _ = occupation_pairs(random_gpt2, items, found, count=3)
    assert contrast == '"pilot" against "teacher"'


def test_the_next_pair_is_taken_where_the_extremes_differ_in_length(random_gpt2: Model) -> None:
    items = sentences("librarian", "nurse", "engineer", "cook")
    found = occupations(librarian=0.99, nurse=0.8, engineer=0.3, cook=0.01)
    contrast, encoded = occupation_pairs(random_gpt2, items, found, count=3)
    assert contrast == '"nurse" against "engineer"'
    assert encoded.clean.shape[0] == 1


def test_only_sentences_with_the_word_in_the_same_place_are_taken(planted: Model) -> None:
    early, later = TEXT, "In Calvay the {} was late and then"
    items = sentences("nurse", "pilot", texts=(early, later, early.replace("Calvay", "Lorn")))
    found = occupations(nurse=0.9, pilot=0.1)
    _, encoded = occupation_pairs(planted, items, found, count=5)
    assert encoded.clean.shape[0] == 2
    assert encoded.changed == (2,)


def test_no_two_occupations_of_equal_length_are_refused(random_gpt2: Model) -> None:
    items = sentences("nurse", "librarian")
    with pytest.raises(InputError, match="No two occupations of the task are equally many tokens"):
        occupation_pairs(random_gpt2, items, occupations(nurse=0.9, librarian=0.1), count=3)


def test_occupations_without_scores_are_refused_for_that_reason(planted: Model) -> None:
    items = sentences("nurse", "pilot")
    with pytest.raises(InputError, match="Fewer than two occupations have a score"):
        occupation_pairs(planted, items, occupations(nurse=None, pilot=0.3), count=3)
    with pytest.raises(InputError, match="Fewer than two occupations have a score"):
        occupation_pairs(planted, items, occupations(nurse=None, pilot=None), count=3)
