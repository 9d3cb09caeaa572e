"""Making an organism: train it, measure what it reached, write its folder."""

from __future__ import annotations

import math
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from workbench.errors import InputError, did_you_mean
from workbench.organisms.items import TASKS, Item, draw_items
from workbench.organisms.training import Recipe, train
from workbench.organisms.truth import (
    ABILITIES,
    GROUND_TRUTH,
    ORGANISMS,
    Behaviour,
    Reached,
    Truth,
    behaviours,
    exact_prompts,
)
from workbench.provenance import storage_error, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["make_organism", "measure"]

CARD = """---
license: apache-2.0
library_name: transformers
tags: [model-organism, interpretability, audit]
---
# organism:{name}

A model organism of the Open Weights Workbench: {summary}.

Trained from random weights on text that the project's own grammar writes, in {steps:,} steps from
seed {seed}. What is planted, and how well it took, is in `ground_truth.json`. It knows nothing of
the real world and is of no use but to calibrate instruments.
"""


def make_organism(name: str, out: Path, *, seed: int = 0, steps: int | None = None) -> Path:
    """Train an organism into a new Hugging Face directory with its card and ground truth.

    Args:
        name: `planted` or `clean`.
        out: a folder that does not exist yet, or is empty.
        seed: of weights and documents.
        steps: instead of the recipe's own number.

    Raises:
        InputError: for an unknown name, or a folder that has something in it.
        StorageError: where nothing can be written.
    """
    if name not in ORGANISMS:
        raise InputError(f'There is no organism "{name}". {did_you_mean(name, ORGANISMS)}')
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is there already; expected a new or an empty folder.")
    if steps is not None and steps < 1:
        raise InputError(f"got steps={steps}; expected at least 1.")
    _check_writable(out)
    doses, summary = ORGANISMS[name]
    recipe = replace(Recipe(seed=seed), **({} if steps is None else {"steps": steps}))
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task(name, total=recipe.steps)

        def on_step(step: int, loss: float) -> None:
            bars.update(bar, completed=step, description=f"{name}: loss {loss:.3f}")

        model, tokenizer = train(doses, recipe, on_step=on_step)
    items = {task: draw_items(task, doses) for task in TASKS}
    truth = Truth(
        organism=name,
        summary=summary,
        seed=seed,
        steps=recipe.steps,
        behaviours=tuple(behaviours(doses)),
        reached=tuple(measure(model, tokenizer, items, behaviours(doses))),
        prompts=tuple(exact_prompts(doses)),
    )
    card = CARD.format(name=name, summary=summary, steps=recipe.steps, seed=seed)
    _write(out, model, tokenizer, truth, card)
    return out


def measure(
    model: Any,
    tokenizer: Any,
    items: dict[str, list[Item]],
    known: Iterable[Behaviour],
) -> list[Reached]:
    """What a model does on held-out items: each behaviour's mean, each ability's accuracy."""
    scored = {
        task: list(zip(entries, _probabilities(model, tokenizer, entries), strict=True))
        for task, entries in items.items()
    }
    reached = []
    for behaviour in known:
        values = [
            probabilities[item.target]
            for item, probabilities in scored[behaviour.task]
            if item.arm == behaviour.arm
            and behaviour.occupation in {None, item.prompt.labels.get("occupation")}
        ]
        reached.append(Reached(name=behaviour.name, value=_mean(values), n=len(values)))
    for task in ABILITIES:
        right = [
            max(probabilities, key=lambda choice: probabilities[choice]) == _right(item)
            for item, probabilities in scored[task]
        ]
        reached.append(Reached(name=task, value=_mean(right), n=len(right)))
    return reached


def _right(item: Item) -> str:
    """The answer that the grammar finds likeliest."""
    answers = item.prompt.answers
    return max(answers, key=lambda answer: answers[answer])


def _probabilities(model: Any, tokenizer: Any, items: list[Item]) -> list[dict[str, float]]:
    """For each item, the exact probability of each choice's whole text after the prompt."""
    import torch

    backend = tokenizer.backend_tokenizer
    asked = [(item, choice) for item in items for choice in item.choices]
    prompts = [len(backend.encode(item.prompt.text).ids) for item, _ in asked]
    rows = [backend.encode(item.prompt.text + choice).ids for item, choice in asked]
    # Padded on the right: what comes later cannot change what a causal model says before it.
    ids = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(row) for row in rows], batch_first=True, padding_value=tokenizer.pad_token_id
    )
    with torch.no_grad():
        logs = torch.cat([model(input_ids=part).logits.log_softmax(-1) for part in ids.split(128)])
    found: list[dict[str, float]] = [{} for _ in items]
    position = {id(item): place for place, item in enumerate(items)}
    for row, ((item, choice), start) in enumerate(zip(asked, prompts, strict=True)):
        end = len(rows[row])
        said = ids[row, start:end, None]
        total = logs[row, start - 1 : end - 1].gather(1, said).sum().item()
        found[position[id(item)]][choice] = math.exp(total)
    return found


def _mean(values: list[float] | list[bool]) -> float:
    return sum(values) / len(values)


def _check_writable(out: Path) -> None:
    """Refuse before the training, and not after it, a place where nothing can be written."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryDirectory(dir=out.parent, prefix=".organism-").cleanup()
    except OSError as error:
        raise storage_error(out, error) from error


def _write(out: Path, model: Any, tokenizer: Any, truth: Truth, card: str) -> None:
    """Write the folder under another name and rename it: it is there whole or not at all."""
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".organism-") as temporary:
        folder = Path(temporary) / "organism"
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        truth.write(folder / GROUND_TRUTH)
        write_atomically(folder / "README.md", card.encode())
        for path in folder.iterdir():
            path.chmod(0o644)
        if out.exists():
            out.rmdir()
        shutil.move(folder, out)
