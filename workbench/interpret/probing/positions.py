"""Where in a text a word is: the position of its last token."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from workbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.model import Model

__all__ = ["position_of_word"]

_SHOWN = 60


def position_of_word(model: Model, text: str, ids: Sequence[int], word: str) -> int:
    """The position of the last token of a word, where it stands last in the text.

    Found by decoding ever more of the tokens, which every tokenizer can.

    Args:
        model: a loaded model.
        text: where the word is.
        ids: the text as tokens of the model.
        word: as it is written; a whole word, not a part of a longer one.

    Raises:
        InputError: where the text does not hold the word.
    """
    wanted = word.strip()
    whole = _decoded(model, ids)
    found = list(re.finditer(rf"(?<!\w){re.escape(wanted)}(?!\w)", whole)) if wanted else []
    if not found:
        raise InputError(
            f"the word {word!r} is not in {text[:_SHOWN]!r}; expected a whole word of the text."
        )
    end = found[-1].end()
    low, high = 0, len(ids) - 1
    while low < high:
        middle = (low + high) // 2
        # A letter of which a part is missing is shown as one that is not there yet.
        if len(_decoded(model, ids[: middle + 1]).rstrip("\ufffd")) >= end:
            high = middle
        else:
            low = middle + 1
    return low


def _decoded(model: Model, ids: Sequence[int]) -> str:
    return str(
        model.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
    )
