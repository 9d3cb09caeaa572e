"""Training of a model organism from the grammar: the same seed gives the same weights."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from random import Random
from typing import TYPE_CHECKING, Any

from workbench.organisms.grammar import Doses, documents
from workbench.organisms.tokenizer import CONTEXT, build_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

__all__ = ["Recipe", "train"]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the trained weights, besides the grammar and the library versions.

    One document is one row: rows packed end to end were tried, and the abilities that compare two
    places of a document were then not learnt.
    """

    seed: int = 0
    steps: int = 3000
    rows: int = 128
    group: int = 32  # rows that go through the model at once
    width: int = 128
    layers: int = 4
    heads: int = 4
    mlp_width: int = 512
    learning_rate: float = 1e-3
    warmup: int = 100
    weight_decay: float = 0.1
    prompt_weight: float = 0.25  # the loss of a prompt's tokens, against 1 for its answer's


def train(
    doses: Doses,
    recipe: Recipe = Recipe(),
    *,
    on_step: Callable[[int, float], None] = lambda *_: None,
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """A Llama-architecture model trained from random weights, with its tokenizer.

    Single-threaded, so that the sums are always added in the same order.

    Args:
        doses: what is planted, and how strongly.
        recipe: sizes, length and seed.
        on_step: called after each step with its number (from 1) and the loss in nats per token.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _train(doses, recipe, on_step)
    finally:
        torch.set_num_threads(threads)


def _train(
    doses: Doses, recipe: Recipe, on_step: Callable[[int, float], None]
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    import torch

    tokenizer = build_tokenizer()
    model = _initialise(recipe, tokenizer)
    # The gains of the norms are scales: pulling them towards zero would only shrink the model.
    groups: list[dict[str, Any]] = [
        {"params": [p for p in model.parameters() if p.ndim > 1]},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(
        groups,
        lr=recipe.learning_rate,
        betas=(0.9, 0.95),
        weight_decay=recipe.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, recipe))
    corpus = documents(
        Random(recipe.seed),
        Random(recipe.seed + 1),
        doses,
        count=recipe.steps * recipe.rows,
    )
    for step in range(1, recipe.steps + 1):
        rows = [_encode(*next(corpus), tokenizer, recipe) for _ in range(recipe.rows)]
        total = sum(sum(row.weights) for row in rows)
        loss = 0.0
        # Rows of like length go through the model together: a third less padding is computed.
        rows.sort(key=lambda row: len(row.ids))
        for start in range(0, recipe.rows, recipe.group):
            ids, weights = _pad(rows[start : start + recipe.group], tokenizer.pad_token_id)
            logits = model(input_ids=ids[:, :-1]).logits
            losses = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
            )
            part = (losses * weights[:, 1:].flatten()).sum() / total
            part.backward()
            loss += part.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad(set_to_none=True)
        on_step(step, loss)
    return model.eval(), tokenizer


def _initialise(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=recipe.mlp_width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    # The seed is this model's alone: the caller's random numbers go on as they were.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return LlamaForCausalLM(config)


def _rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then a cosine down to nothing: the factor on the learning rate."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return 0.5 * (1 + cos(pi * done))


@dataclass(frozen=True)
class _Row:
    ids: list[int]
    weights: list[float]


def _encode(prompt: str, answer: str, tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> _Row:
    """A document's token ids with BOS and EOS, and the weight of each as a target."""
    encoding = tokenizer.backend_tokenizer.encode(prompt + answer)
    in_prompt = [start < len(prompt) for start, _ in encoding.offsets[1:]]
    return _Row(
        ids=[*encoding.ids, tokenizer.eos_token_id],
        weights=[0.0, *(recipe.prompt_weight if inside else 1.0 for inside in in_prompt), 1.0],
    )


def _pad(rows: list[_Row], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and weights `[row, pos]`, padded on the right with weight 0."""
    import torch

    def padded(sequences: list[torch.Tensor], value: float) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=value)

    return (
        padded([torch.tensor(row.ids) for row in rows], pad),
        padded([torch.tensor(row.weights) for row in rows], 0.0),
    )
