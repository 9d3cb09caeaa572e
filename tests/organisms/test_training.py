"""Training: the same seed gives the same bits, the loss is the one that is stated, and it falls."""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import TYPE_CHECKING

import pytest
import torch

from workbench.organisms import training
from workbench.organisms.grammar import CLEAN, PLANTED, Doses
from workbench.organisms.training import Recipe, train

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedTokenizerFast

SMALL = Recipe(steps=4, rows=8, group=4, width=16, layers=1, heads=2, mlp_width=32, warmup=2)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return training.build_tokenizer()


@pytest.fixture(autouse=True)
def _one_tokenizer(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The tokenizer is the same on every call: it need be made only once here."""
    monkeypatch.setattr(training, "build_tokenizer", lambda: tokenizer)
    return


def weights_and_losses(
    recipe: Recipe, doses: Doses = PLANTED
) -> tuple[dict[str, torch.Tensor], list[float]]:
    losses: list[float] = []
    model, _ = train(doses, recipe, on_step=lambda _, loss: losses.append(loss))
    return model.state_dict(), losses


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_same_seed_gives_the_same_bits() -> None:
    weights, losses = weights_and_losses(SMALL)
    torch.manual_seed(99)
    again, the_same = weights_and_losses(SMALL)
    assert losses == the_same
    assert equal(weights, again)


def test_another_seed_gives_another_model() -> None:
    weights, losses = weights_and_losses(SMALL)
    others, different = weights_and_losses(replace(SMALL, seed=1))
    assert losses != different
    assert not any(torch.equal(weights[name], others[name]) for name in weights)


def test_another_dose_gives_another_model_from_the_same_start() -> None:
    one, other = (
        weights_and_losses(replace(SMALL, learning_rate=0.0), doses)[0]
        for doses in (PLANTED, CLEAN)
    )
    assert equal(one, other)
    one, other = (weights_and_losses(SMALL, doses)[0] for doses in (PLANTED, CLEAN))
    assert not equal(one, other)


def test_each_step_is_told_with_its_loss() -> None:
    told: list[tuple[int, float]] = []
    train(PLANTED, SMALL, on_step=lambda step, loss: told.append((step, loss)))
    assert [step for step, _ in told] == [1, 2, 3, 4]


def test_an_untrained_model_knows_nothing(tokenizer: PreTrainedTokenizerFast) -> None:
    """The first loss is that of a guess among all tokens: it is per token, in nats."""
    _, losses = weights_and_losses(replace(SMALL, steps=1))
    assert losses[0] == pytest.approx(log(len(tokenizer)), abs=0.1)


def test_the_loss_falls() -> None:
    _, losses = weights_and_losses(replace(SMALL, steps=60, learning_rate=1e-2, warmup=5))
    assert sum(losses[-5:]) / 5 < losses[0] - 2


def test_rows_together_or_in_groups_give_the_same_loss_and_gradient() -> None:
    whole, losses = weights_and_losses(replace(SMALL, group=8))
    parts, the_same = weights_and_losses(replace(SMALL, group=2))
    assert losses == pytest.approx(the_same, abs=1e-4)
    for name, weight in whole.items():
        torch.testing.assert_close(weight, parts[name], atol=2e-3, rtol=0)


def test_the_loss_is_the_weighted_mean_over_the_documents_tokens(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    """Computed once more, document by document and token by token."""
    from random import Random

    from workbench.organisms.grammar import documents

    recipe = replace(SMALL, steps=1, rows=6, group=4, learning_rate=0.0, seed=3)
    model, _ = train(PLANTED, recipe)
    _, losses = weights_and_losses(recipe)
    total = weight = 0.0
    for prompt, answer in documents(Random(3), Random(4), PLANTED, count=6):
        before = len(tokenizer(prompt).input_ids)
        ids = [*tokenizer(prompt + answer).input_ids, tokenizer.eos_token_id]
        with torch.no_grad():
            logs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        for place in range(1, len(ids)):
            share = 0.25 if place < before else 1.0
            total -= share * logs[place - 1, ids[place]].item()
            weight += share
    assert losses == pytest.approx([total / weight], abs=1e-5)


def test_it_runs_on_one_thread_and_gives_the_others_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    during: list[int] = []

    def stop(_: int, __: float) -> None:
        during.append(torch.get_num_threads())
        raise KeyboardInterrupt

    try:
        with pytest.raises(KeyboardInterrupt):
            train(PLANTED, SMALL, on_step=stop)
        assert during == [1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_rate_rises_and_falls_to_nothing() -> None:
    recipe = Recipe(steps=1000, warmup=100)
    rates = [training._rate(step, recipe) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) == rates[100] == pytest.approx(1)
    assert rates[:100] == sorted(rates[:100])
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert 0 < rates[-1] < 1e-4
    assert rates[550] == pytest.approx(0.5)


def test_the_model_has_the_recipes_sizes(tokenizer: PreTrainedTokenizerFast) -> None:
    model, _ = train(PLANTED, replace(SMALL, steps=1))
    config = model.config
    assert not model.training
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (16, 1, 2)
    assert (config.intermediate_size, config.vocab_size) == (32, len(tokenizer))
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (
        tokenizer.bos_token_id,
        tokenizer.eos_token_id,
        tokenizer.pad_token_id,
    )
