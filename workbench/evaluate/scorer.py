"""Scores of multiple-choice tasks: lm-eval on a loaded model, one row for each item."""

from __future__ import annotations

import contextlib
import io
import logging
import math
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
    `picked` (texts), `correct`, `probability` (of the target among the choices; missing where a
    score is not finite), `log_probability` (of the target's text, in nats), `greedy` (whether
    the target is the model's own greedy continuation), `choices`, `log_probabilities`, and a
    column for each label of the item.

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
    samples = _evaluate(model, [_config(chosen, name) for name in names], limit)
    return {name: _result(model, chosen, name, limit, samples[name]) for name in names}


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


def _evaluate(
    model: Model, configs: list[dict[str, Any]], limit: int | None
) -> Mapping[str, list[dict[str, Any]]]:
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
        tasks = TaskManager(include_defaults=False).load(configs)
        for task in tasks["tasks"].values():
            task.set_config(key="num_fewshot", value=0)
        evaluated = evaluate(scorer, tasks, limit=limit, bootstrap_iters=1, log_samples=True)
    samples: Mapping[str, list[dict[str, Any]]] = evaluated["samples"]
    return samples


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
    model: Model, suite: Suite, task: str, limit: int | None, samples: list[dict[str, Any]]
) -> Result:
    provenance = {
        "task": task,
        "suite": suite.name,
        "suite_version": suite.version,
        "limit": limit,
        "weights_digest": model.provenance.weights_digest,
        "scorer": "lm-eval, multiple choice, log-probabilities summed over the answer's tokens",
    }
    ordered = sorted(samples, key=lambda sample: int(sample["doc_id"]))
    return Result.of(task, [_row(sample) for sample in ordered], provenance)


def _row(sample: Mapping[str, Any]) -> dict[str, Any]:
    doc = sample["doc"]
    logs = [float(log) for log, _ in sample["filtered_resps"]]
    target = int(sample["target"])
    finite = all(math.isfinite(log) for log in logs)
    picked = max(range(len(logs)), key=logs.__getitem__) if finite else None
    return {
        "item": doc["id"],
        "cluster": doc["cluster"],
        "arm": doc["arm"],
        "pair": doc["pair"],
        "prompt": doc["prompt"],
        "target": doc["choices"][target],
        "picked": None if picked is None else doc["choices"][picked],
        "correct": None if picked is None else picked == target,
        "probability": _share(logs, target) if finite else None,
        "log_probability": logs[target] if finite else None,
        "greedy": bool(sample["filtered_resps"][target][1]) if finite else None,
        "choices": list(doc["choices"]),
        "log_probabilities": logs if finite else None,
        **doc["labels"],
    }


def _share(logs: list[float], target: int) -> float:
    """The target's part of the probability that all choices have together."""
    highest = max(logs)
    weights = [math.exp(log - highest) for log in logs]
    return weights[target] / sum(weights)
