"""Scores of multiple-choice tasks: lm-eval on a loaded model, one row for each item."""

from __future__ import annotations

import contextlib
import io
import logging
import math
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import yaml

from workbench.errors import InputError, did_you_mean
from workbench.evaluate.suites import DEFAULT_SUITE, Suite, load_suite
from workbench.tables import Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from workbench.model import Model

__all__ = ["score"]

BATCH_SIZE = 64


def score(
    model: Model,
    tasks: Iterable[str],
    *,
    suite: str = DEFAULT_SUITE,
    limit: int | None = None,
) -> dict[str, Result]:
    """Each task's items, with how likely the model finds each of their choices.

    Every result has one row for each item: `item`, `cluster`, `arm`, `pair`, `prompt`, `target` and
    `picked` (texts), `correct`, `probability` (of the target among the choices), `log_probability`
    (of the target's text, in nats), `greedy` (whether the target is the model's own greedy
    continuation), `choices`, `log_probabilities`, and a column for each label of the item. Scores
    are missing where they are not finite numbers, and for items longer than the model's context
    (their number is `too_long` in the result's provenance): nothing is cut.

    Args:
        model: a loaded model.
        tasks: names of tasks in the suite's folder.
        suite: the suite that they belong to.
        limit: the first items of each task only.

    Raises:
        InputError: for an unknown task (with the closest name) or a limit below 1.
    """
    chosen = load_suite(suite)
    names = list(tasks)
    for name in names:
        if name not in chosen.task_names():
            hint = did_you_mean(name, chosen.task_names())
            raise InputError(f'The suite "{suite}" has no task "{name}". {hint}')
    if limit is not None and limit < 1:
        raise InputError(f"got limit={limit}; expected at least one item for each task.")
    answers = _evaluate(model, [_config(chosen, name) for name in names], limit)
    return {name: _result(model, chosen, name, limit, answers[name]) for name in names}


def _config(suite: Suite, task: str) -> dict[str, Any]:
    """The task's YAML with the path of its items made absolute: lm-eval reads it from anywhere."""
    config: dict[str, Any] = yaml.safe_load(
        (suite.folder / f"{task}.yaml").read_text(encoding="utf-8")
    )
    files = config["dataset_kwargs"]["data_files"]
    config["dataset_kwargs"]["data_files"] = {
        split: str(suite.folder / name) for split, name in files.items()
    }
    return config


@dataclass(frozen=True)
class _Answer:
    """An item, and for each choice its log-probability and whether it is the greedy one.

    `scores` is None for an item that is longer than the model's context.
    """

    doc: Mapping[str, Any]
    scores: list[tuple[float, bool]] | None


def _evaluate(
    model: Model, configs: list[dict[str, Any]], limit: int | None
) -> dict[str, list[_Answer]]:
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    with _quiet():
        scorer = HFLM(
            pretrained=model.hf,
            tokenizer=model.tokenizer,
            batch_size=BATCH_SIZE,
            max_length=model.context_length,
        )
        loaded = TaskManager(include_defaults=False).load(configs)
        tasks = loaded["tasks"]
        docs = {name: list(islice(task.test_docs(), limit)) for name, task in tasks.items()}
        # lm-eval would cut what is too long, with no more than a log line.
        fitting = {
            name: [place for place, doc in enumerate(items) if _fits(model, doc)]
            for name, items in docs.items()
        }
        loaded["tasks"] = {name: task for name, task in tasks.items() if fitting[name]}
        for task in loaded["tasks"].values():
            task.set_config(key="num_fewshot", value=0)
        samples: Mapping[str, list[dict[str, Any]]] = {}
        if loaded["tasks"]:
            samples = evaluate(
                scorer, loaded, samples=fitting, bootstrap_iters=1, log_samples=True
            )["samples"]
    scores = {
        (name, sample["doc"]["id"]): sample["filtered_resps"]
        for name, scored in samples.items()
        for sample in scored
    }
    return {
        name: [_Answer(doc, scores.get((name, doc["id"]))) for doc in items]
        for name, items in docs.items()
    }


def _fits(model: Model, doc: Mapping[str, Any]) -> bool:
    """Whether the item fits into the context; its last token is only predicted, never read."""
    if model.context_length is None:
        return True
    texts = [doc["prompt"] + choice for choice in doc["choices"]]
    return max(map(len, model.tokenizer(texts).input_ids)) - 1 <= model.context_length


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """lm-eval and datasets without their log lines and progress bars, which write to stderr."""
    import datasets

    loggers = [logging.getLogger(name) for name in ("lm_eval", "datasets", "lm-eval")]
    levels = [logger.level for logger in loggers]
    bars = datasets.is_progress_bar_enabled()
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        datasets.disable_progress_bars()
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            datasets.enable_progress_bars()


def _result(
    model: Model, suite: Suite, task: str, limit: int | None, answers: list[_Answer]
) -> Result:
    provenance = {
        "task": task,
        "suite": suite.name,
        "suite_version": suite.version,
        "limit": limit,
        "too_long": sum(answer.scores is None for answer in answers),
        "weights_digest": model.provenance.weights_digest,
        "scorer": "lm-eval, multiple choice, log-probabilities summed over the answer's tokens",
    }
    return Result.of(task, map(_row, answers), provenance)


def _row(answer: _Answer) -> dict[str, Any]:
    doc = answer.doc
    target = int(doc["target"])
    row = {
        "item": doc["id"],
        "cluster": doc["cluster"],
        "arm": doc["arm"],
        "pair": doc["pair"],
        "prompt": doc["prompt"],
        "target": doc["choices"][target],
        "choices": list(doc["choices"]),
        **doc["labels"],
        "picked": None,
        "correct": None,
        # NaN, not None: the column stays one of numbers where all of it is missing.
        "probability": math.nan,
        "log_probability": math.nan,
        "greedy": None,
        "log_probabilities": None,
    }
    logs = [float(log) for log, _ in answer.scores or ()]
    if answer.scores is None or not all(map(math.isfinite, logs)):
        return row
    picked = max(range(len(logs)), key=logs.__getitem__)
    return {
        **row,
        "picked": doc["choices"][picked],
        "correct": picked == target,
        "probability": _share(logs, target),
        "log_probability": logs[target],
        "greedy": bool(answer.scores[target][1]),
        "log_probabilities": logs,
    }


def _share(logs: list[float], target: int) -> float:
    """The target's part of the probability that all choices have together."""
    highest = max(logs)
    weights = [math.exp(log - highest) for log in logs]
    return weights[target] / sum(weights)
