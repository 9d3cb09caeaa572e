"""Attention patterns are the model's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from families import make_family

from workbench.errors import InputError, ModelError
from workbench.interpret.attention.patterns import attention_pattern
from workbench.model import load

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.model import Model

TEXT = "the nurse said that the nurse said that she"


def test_a_pattern_is_the_families_own(family: Model) -> None:
    ids = torch.tensor([family.tokenizer(TEXT).input_ids])
    with torch.no_grad():
        own = family.plain()(ids, output_attentions=True).attentions
    found = attention_pattern(family, TEXT, -1, 2)
    frame = found.frame()
    matrix = frame.pivot_table(index="query", columns="key", values="weight").to_numpy()
    expected = own[-1][0, 2].numpy()
    lower = torch.ones(len(ids[0]), len(ids[0])).tril().bool().numpy()
    assert matrix[lower] == pytest.approx(expected[lower], abs=1e-6)
    sums = frame.groupby("query")["weight"].sum()
    smallest = found.provenance["smallest_row_sum"]
    if family.provenance.model_type == "gpt_oss":
        assert smallest < 0.999  # the sink has the rest
    else:
        assert sums.tolist() == pytest.approx([1.0] * len(sums), abs=1e-5)
        assert smallest == pytest.approx(1.0, abs=1e-5)


def test_a_layer_without_a_pattern_is_refused(tmp_path: Path) -> None:
    model = load(make_family("qwen3_next", tmp_path / "qwen3-next"), reuse=False)
    with pytest.raises(ModelError, match="mixes tokens by linear attention, which has no pattern"):
        attention_pattern(model, TEXT, 0, 0)


def test_a_pattern_can_be_drawn_and_says_what_it_is(planted: Model) -> None:
    found = attention_pattern(planted, TEXT, -1, 0)
    figure = found.figure()
    assert figure.data
    assert figure.layout.yaxis.autorange == "reversed"
    assert found.provenance["sites"] == ["pattern.3"]
    assert found.frame()["query_token"].iloc[-1].strip() == "she"
    assert (found.frame()["key"] <= found.frame()["query"]).all()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ((9, 0), "got layer 9 for pattern; this model has layers 0 to 3"),
        ((0, 4), "got head 4; this model has heads 0 to 3"),
        ((0, -1), "got head -1"),
    ],
)
def test_a_place_that_is_not_there_is_refused(
    planted: Model, place: tuple[int, int], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        attention_pattern(planted, TEXT, *place)


def test_a_text_that_cannot_be_read_is_refused(planted: Model) -> None:
    with pytest.raises(InputError, match="empty text"):
        attention_pattern(planted, "", 0, 0)
