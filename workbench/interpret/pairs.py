"""Minimal pairs: two prompts that differ in one word, and the two answers that they pull apart."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

from workbench.errors import InputError, did_you_mean
from workbench.tokens import encode, token_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from workbench.model import Model

__all__ = [
    "AnswerTokens",
    "EncodedPairs",
    "MinimalPair",
    "comparable",
    "encode_pairs",
    "logit_difference",
]

AnswerTokens = Literal["single", "first", "sum"]

ANSWER_TOKENS: tuple[str, ...] = get_args(AnswerTokens)


@dataclass(frozen=True)
class MinimalPair:
    """Two prompts of equal length in tokens, and two answers.

    Attributes:
        clean: the prompt that pulls towards `answer`.
        corrupted: the same with one word changed, which pulls towards `foil`.
        answer, foil: texts that would follow, each with its leading space.
        also: a text that counts as the answer, too: what the corrupted prompt has in its place,
            where the changed word is one that is answered.
    """

    clean: str
    corrupted: str
    answer: str
    foil: str
    also: str | None = None


@dataclass(frozen=True)
class EncodedPairs:
    """Minimal pairs as tokens.

    Attributes:
        clean, corrupted: token ids `[pair, pos]`.
        answers, foils: the answers' first token ids `[pair]`.
        labels: one text for each position; where the pairs differ there, the first pair's.
        changed: positions at which clean and corrupted prompts differ.
        whole: all token ids of each pair's answer and foil, where they are measured in full.
        also: first token ids of what counts as the answer, too `[pair]`; None where nothing does.
    """

    clean: torch.Tensor
    corrupted: torch.Tensor
    answers: torch.Tensor
    foils: torch.Tensor
    labels: tuple[str, ...]
    changed: tuple[int, ...]
    whole: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] | None = None
    also: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.clean)

    def some(self, part: slice) -> EncodedPairs:
        """Some of the pairs, by number."""
        return replace(
            self,
            clean=self.clean[part],
            corrupted=self.corrupted[part],
            answers=self.answers[part],
            foils=self.foils[part],
            whole=None if self.whole is None else self.whole[part],
            also=None if self.also is None else self.also[part],
        )


def encode_pairs(
    model: Model, pairs: Sequence[MinimalPair], *, answers: AnswerTokens = "single"
) -> EncodedPairs:
    """The pairs as tokens of the model.

    Args:
        model: a loaded model.
        pairs: at least one.
        answers: what to do where an answer is several tokens: `single` refuses it, `first` measures
            its first token, `sum` the sum of the log-probabilities of all its tokens.

    Raises:
        InputError: where there is no pair, prompts are empty, differ in length or are longer than
            the context, an answer is empty, several tokens (unless `answers` allows it), or begins
            with the same token as its foil, or some pairs alone have two answers (or any, for
            `sum`).
    """
    import torch

    if answers not in ANSWER_TOKENS:
        raise InputError(f"got answers={answers!r}. {did_you_mean(str(answers), ANSWER_TOKENS)}")
    if not pairs:
        raise InputError("got no pair of prompts; expected at least one.")
    encoded = [_encode(model, pair) for pair in pairs]
    _require_equal_lengths(model, encoded)
    for pair, one in zip(pairs, encoded, strict=True):
        _require_answers(model, pair, one, answers)
    longest = max(len(ids) for one in encoded for ids in (one.answer, one.foil))
    if answers == "sum":
        _require_room(model, len(encoded[0].clean) + longest - 1)
    clean, corrupted = (
        torch.tensor(rows, device=model.device)
        for rows in ([one.clean for one in encoded], [one.corrupted for one in encoded])
    )
    first = torch.tensor([(one.answer[0], one.foil[0]) for one in encoded], device=model.device)
    whole = tuple((one.answer, one.foil) for one in encoded) if answers == "sum" else None
    also = [one.also[0] for one in encoded if one.also]
    if len(also) not in {0, len(encoded)} or (also and whole is not None):
        raise InputError(
            f"{len(also)} of {len(encoded)} pairs have two answers (also=...), with "
            f'answers="{answers}"; expected all or none, and none where answers are measured in '
            "full."
        )
    return EncodedPairs(
        clean=clean,
        corrupted=corrupted,
        answers=first[:, 0],
        foils=first[:, 1],
        labels=tuple(token_texts(model, encoded[0].clean)),
        changed=tuple((clean != corrupted).any(dim=0).nonzero().flatten().tolist()),
        whole=whole,
        also=torch.tensor(also, device=model.device) if also else None,
    )


def comparable(model: Model, pairs: Sequence[MinimalPair]) -> list[MinimalPair]:
    """The largest group of pairs with equal length that differ at the same positions.

    Pairs whose answers begin with the same token as the foil are left out.

    Raises:
        InputError: for an answer that is empty, or changes how the prompt's end is cut into tokens.
    """
    groups: dict[tuple[int, ...], list[MinimalPair]] = defaultdict(list)
    for pair in pairs:
        one = _encode(model, pair)
        if one.foil[0] in one.firsts:
            continue
        if len(one.clean) == len(one.corrupted):
            ids = zip(one.clean, one.corrupted, strict=True)
            changed = [at for at, (clean, corrupted) in enumerate(ids) if clean != corrupted]
            groups[len(one.clean), *changed].append(pair)
    return max(groups.values(), key=len, default=[])


def logit_difference(logits: torch.Tensor, pairs: EncodedPairs) -> torch.Tensor:
    """The answer's logit minus the foil's at the last position, `[pair]`, in nats.

    Where two texts count as the answer, theirs together: the logarithm of their summed odds.

    Raises:
        InputError: for pairs whose answers are measured in full: one position does not hold them.
    """
    if pairs.whole is not None:
        raise InputError(
            "this method reads the answer at one position, and these pairs were encoded with "
            'answers="sum"; encode them with answers="first".'
        )
    last = logits[:, -1] if logits.ndim == 3 else logits  # noqa: PLR2004 - [pair, pos, vocabulary]
    answer = last.gather(1, pairs.answers[:, None])
    if pairs.also is not None:
        answer = answer.float().logaddexp(last.gather(1, pairs.also[:, None]).float())
    foil = last.gather(1, pairs.foils[:, None])
    return (answer - foil).squeeze(1).float()


@dataclass(frozen=True)
class _Encoded:
    clean: list[int]
    corrupted: list[int]
    answer: tuple[int, ...]
    foil: tuple[int, ...]
    also: tuple[int, ...] = ()

    @property
    def firsts(self) -> set[int]:
        """The first tokens of what counts as the answer."""
        return {ids[0] for ids in (self.answer, self.also) if ids}


def _encode(model: Model, pair: MinimalPair) -> _Encoded:
    clean, corrupted = (encode(model, text) for text in (pair.clean, pair.corrupted))
    answer, foil = (
        _continuation(model, pair.clean, clean, text) for text in (pair.answer, pair.foil)
    )
    also = () if pair.also is None else _continuation(model, pair.corrupted, corrupted, pair.also)
    return _Encoded(clean, corrupted, answer, foil, also)


def _require_equal_lengths(model: Model, encoded: Sequence[_Encoded]) -> None:
    prompts = [ids for one in encoded for ids in (one.clean, one.corrupted)]
    # The two of one pair show best what to change; only then the pairs among each other.
    uneven = [one for one in encoded if len(one.clean) != len(one.corrupted)]
    shortest, longest = (
        sorted((uneven[0].clean, uneven[0].corrupted), key=len)
        if uneven
        else (min(prompts, key=len), max(prompts, key=len))
    )
    if len(shortest) == len(longest):
        return
    common = next(
        (at for at, (a, b) in enumerate(zip(shortest, longest, strict=False)) if a != b),
        len(shortest),
    )
    raise InputError(
        f"got prompts of {len(shortest)} and {len(longest)} tokens; expected equal lengths. They "
        f"part at position {common}: {token_texts(model, shortest[common:])} against "
        f"{token_texts(model, longest[common:])}. Choose words that are as many tokens."
    )


def _require_room(model: Model, length: int) -> None:
    if model.context_length is not None and length > model.context_length:
        raise InputError(
            f"got prompts that take {length} tokens with their answers; the model's context has "
            f"{model.context_length}. Shorten the prompts."
        )


def _require_answers(model: Model, pair: MinimalPair, one: _Encoded, answers: AnswerTokens) -> None:
    for text, ids in ((pair.answer, one.answer), (pair.foil, one.foil), (pair.also, one.also)):
        if len(ids) > 1 and answers == "single":
            raise InputError(
                f'the answer "{text}" is {len(ids)} tokens of this model: '
                f'{token_texts(model, ids)}. Pass answers="first" to measure its first token, or '
                'answers="sum" for the sum over its tokens.'
            )
    if one.answer == one.foil or (answers != "sum" and one.foil[0] in one.firsts):
        raise InputError(
            f'the answers "{pair.answer}" and "{pair.foil}" begin with the same token of this '
            "model; expected answers that differ in their first token."
        )


def _continuation(model: Model, prompt: str, ids: list[int], answer: str) -> tuple[int, ...]:
    """The tokens that follow the prompt's where the answer is written after it."""
    if not answer:
        raise InputError("got an empty answer; expected a text that would follow the prompt.")
    whole = [int(token) for token in model.tokenizer(prompt + answer).input_ids]
    if whole[: len(ids)] != ids:
        raise InputError(
            f'"{answer}" changes how the end of "{prompt}" is cut into tokens; expected an answer '
            "that begins with a space."
        )
    if len(whole) == len(ids):
        raise InputError("got an empty answer; expected a text that would follow the prompt.")
    return tuple(whole[len(ids) :])
