"""A small Llama that has learnt one thing: to continue a sequence of words that repeats itself.

Rows are different words, of which the last ones repeat over and over; how many they are, and where
they begin, is drawn for each row, so that no fixed distance helps. Only what can be known is
trained on: the words from the second of a repetition on. Within 400 steps, which take some seconds,
a previous-token head forms in layer 0 and induction heads in layer 1: the phase change of Olsson et
al. (2022), "In-context Learning and Induction Heads". Rotary positions are why it is quick. Which
head of a layer it is depends on the seed, and may depend on the machine: look it up by its score.

    python tests/induction_toy.py [--seed N]

trains it and prints accuracy and scores.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from word_tokenizer import BOS, UNKNOWN, word_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch
    from transformers import LlamaForCausalLM

VOCABULARY = (BOS, UNKNOWN, *(f"w{number}" for number in range(64)))
LAYERS, HEADS, D_MODEL, D_MLP, CONTEXT = 2, 3, 48, 96, 64
SHORTEST, LONGEST = 4, 16
"""How many words a repeated sequence has in training."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the trained weights, besides the library versions."""

    seed: int = 0
    steps: int = 400
    rows: int = 32
    length: int = 41
    learning_rate: float = 4e-3
    warmup: int = 50


def write(directory: Path, recipe: Recipe = Recipe()) -> Path:
    """Train it into an ordinary Hugging Face directory; the directory."""
    train(recipe).save_pretrained(directory)
    word_tokenizer(VOCABULARY, CONTEXT).save_pretrained(directory)
    return directory


def train(
    recipe: Recipe = Recipe(), *, on_step: Callable[[int, float], None] = lambda *_: None
) -> LlamaForCausalLM:
    """The trained model; `on_step` is told each step's number (from 1) and its loss in nats."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _train(recipe, on_step)
    finally:
        torch.set_num_threads(threads)


def repeated(length: int, rows: int, seed: int) -> torch.Tensor:
    """BOS and then different words twice: ids `[row, 1 + 2 * length]`."""
    import torch

    random = Random(seed)
    words = [random.sample(range(2, len(VOCABULARY)), length) for _ in range(rows)]
    return torch.tensor([[0, *row, *row] for row in words])


def repeated_text(length: int, seed: int) -> str:
    """Different words in a random order, twice."""
    return " ".join(VOCABULARY[token] for token in repeated(length, 1, seed)[0, 1:].tolist())


def _train(recipe: Recipe, on_step: Callable[[int, float], None]) -> LlamaForCausalLM:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=D_MODEL,
        intermediate_size=D_MLP,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    # The seed is this model's alone: the caller's random numbers go on as they were.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model: LlamaForCausalLM = LlamaForCausalLM(config)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, recipe))
    random = Random(recipe.seed)
    for step in range(1, recipe.steps + 1):
        ids, known = _batch(random, recipe)
        logits = model(input_ids=ids[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits[known[:, 1:]], ids[:, 1:][known[:, 1:]])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad(set_to_none=True)
        on_step(step, loss.item())
    model.eval()
    return model


def _batch(random: Random, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids, and which of them follow from what came before: both `[row, pos]`."""
    import torch

    rows, known = [], []
    for _ in range(recipe.rows):
        period = random.randint(SHORTEST, LONGEST)
        before = random.randint(0, recipe.length - 1 - 2 * period)
        words = random.sample(range(2, len(VOCABULARY)), before + period)
        again = words[before:] * recipe.length
        start = 1 + before + period
        rows.append([0, *words, *again][: recipe.length])
        known.append([position > start for position in range(recipe.length)])
    return torch.tensor(rows), torch.tensor(known)


def _rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up, level, then linearly down over the last third."""
    left = (recipe.steps - step) / (recipe.steps / 3)
    return min((step + 1) / recipe.warmup, 1.0, left)


def accuracy(model: LlamaForCausalLM, ids: torch.Tensor) -> float:
    """The share of right words in the second half of `repeated` ids, from its second word on."""
    import torch

    half = (ids.shape[1] - 1) // 2
    with torch.no_grad():
        said = model(input_ids=ids).logits[:, half + 1 : -1].argmax(dim=-1)
    return float((said == ids[:, half + 2 :]).float().mean())


def head_scores(model: LlamaForCausalLM, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Previous-token and induction scores `[layer, head]` on `repeated` ids.

    The mean attention to the position before; and, in the second half, to the word after the one
    where the current word stood before.
    """
    import torch

    half = (ids.shape[1] - 1) // 2
    model.set_attn_implementation("eager")
    with torch.no_grad():
        patterns = torch.stack(model(input_ids=ids, output_attentions=True).attentions)
    previous = patterns.diagonal(-1, dim1=-2, dim2=-1)
    # The diagonal begins at query half - 1; BOS and the first half are not its business.
    induction = patterns.diagonal(1 - half, dim1=-2, dim2=-1)[..., 2:]
    return previous.mean(dim=(1, 3)), induction.mean(dim=(1, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the induction model and print its scores.")
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    model = train(Recipe(seed=seed))
    for length in (6, 10, 16, 24):
        ids = repeated(length, 32, seed=1)
        previous, induction = head_scores(model, ids)
        print(f"{length} words: accuracy {accuracy(model, ids):.3f}")  # noqa: T201
        for name, scores in (("previous token", previous), ("induction", induction)):
            for layer, heads in enumerate(scores.tolist()):
                shown = " ".join(f"{score:.2f}" for score in heads)
                print(f"  {name:14} layer {layer}: {shown}")  # noqa: T201


if __name__ == "__main__":
    main()
