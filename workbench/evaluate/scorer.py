"""Scores of tasks and benchmarks on a loaded model, one row for each item."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.errors import InputError
from workbench.evaluate.benchmarks.catalogue import NAMES, benchmark, find_files, of_kind
from workbench.evaluate.choices import score_together
from workbench.evaluate.items import Setup
from workbench.evaluate.sources import load_sources
from workbench.evaluate.suites import DEFAULT_SUITE, load_suite
from workbench.evaluate.tasks import task_file, task_items
from workbench.markup import visible
from workbench.progress import say
from workbench.provenance import sha256

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from workbench.evaluate.benchmarks.benchmark import Benchmark
    from workbench.evaluate.suites import Suite
    from workbench.model import Model
    from workbench.tables import Result

__all__ = ["KINDS", "names_of", "score"]

_log = logging.getLogger(__name__)

KINDS = ("bias", "safety")
"""Names that stand for every benchmark of a kind."""


def score(  # noqa: PLR0913 - what is asked, from where, and how
    model: Model,
    tasks: Iterable[str],
    *,
    suite: str = DEFAULT_SUITE,
    data: Path | None = None,
    include: Path | None = None,
    few_shot: int | None = None,
    limit: int | None = None,
    setup: Setup | None = None,
) -> dict[str, Result]:
    """Each task's items, with what the model answers.

    For tasks with choices the columns are those of `score_items`; benchmarks add their own.

    Args:
        model: a loaded model.
        tasks: names of tasks of the suite, of benchmarks (`bbq`), of lm-eval's own tasks
            (`hellaswag`), or `bias` and `safety` for every benchmark of the kind that can be run
            with what is given; the others are named in the log.
        suite: whose tasks are meant first.
        data: folder with the benchmarks' files, as their authors publish them.
        include: folder with further tasks for lm-eval (its `--include_path`).
        few_shot: examples before each item of lm-eval's own tasks; their own number where None.
        limit: items of each task, drawn at random (`Setup.limit`).
        setup: how the items are asked.

    Raises:
        InputError: for an unknown task (with the closest name), a limit below 1, or data that
            cannot be read.
    """
    setup = setup or Setup(progress=False)
    setup = setup if limit is None else replace(setup, limit=limit)
    chosen = load_suite(suite)
    scores: dict[str, Result] = {}
    tasks = tasks if isinstance(tasks, str) else list(tasks)
    wanted = names_of(tasks)
    tasks_of_suite = chosen.task_names()
    benchmarks, unready = _sorted_out(
        [name for name in wanted if name in NAMES and name not in tasks_of_suite],
        data,
        setup,
        named=frozenset(tasks),
    )
    wanted = [name for name in wanted if name not in unready]
    if not wanted and unready:
        raise next(iter(unready.values()))
    for name, reason in unready.items():
        _log.warning("%s is not run: %s", name, reason)
        if setup.progress:
            say(f"{name} is not run: {visible(str(reason), None)}")
    own = [*tasks_of_suite, *NAMES]
    # What is not ours is looked up first: a misspelt name is said before anything is scored.
    if foreign := [name for name in wanted if name not in own]:
        from workbench.evaluate.capability import score_capability

        scores |= score_capability(
            model, foreign, setup, include=include, few_shot=few_shot, also=[*own, *KINDS]
        )
    scores |= _score_tasks(
        model, chosen, [name for name in wanted if name in tasks_of_suite], setup
    )
    for name, ready in benchmarks.items():
        scores[name] = _score_benchmark(model, *ready, setup)
    return {name: scores[name] for name in (*wanted, *scores) if name in scores}


def names_of(tasks: Iterable[str]) -> list[str]:
    """Each name once, with the benchmarks in the place of their kind.

    Raises:
        InputError: for one text in the place of several.
    """
    if isinstance(tasks, str):
        raise InputError(f'got the text "{tasks}"; expected a list of names, such as ["{tasks}"].')
    return list(
        dict.fromkeys(
            name for task in tasks for name in (of_kind(task) if task in KINDS else [task])
        )
    )


def _score_tasks(model: Model, suite: Suite, tasks: list[str], setup: Setup) -> dict[str, Result]:
    if not tasks:
        return {}
    asked = {task: (task_items(suite, task), _stated(suite, task)) for task in tasks}
    return score_together(model, asked, setup)


def _stated(suite: Suite, task: str) -> dict[str, Any]:
    """Where a task's items come from: what a reader needs to ask the very same."""
    path = task_file(suite, task)
    return {
        "suite": suite.name,
        "suite_version": suite.version,
        "licence": suite.licence,
        "data": {path.name: sha256(path)},
    }


def _sorted_out(
    names: list[str], data: Path | None, setup: Setup, *, named: frozenset[str]
) -> tuple[dict[str, tuple[Benchmark, list[Path]]], dict[str, InputError]]:
    """Benchmarks with their files, and why others, of which the kind was named, cannot be run."""
    ready: dict[str, tuple[Benchmark, list[Path]]] = {}
    unready: dict[str, InputError] = {}
    for name in names:
        try:
            ready[name] = _ready(name, data, setup)
        except InputError as error:
            if name in named:
                raise
            unready[name] = error
    return ready, unready


def _ready(name: str, data: Path | None, setup: Setup) -> tuple[Benchmark, list[Path]]:
    """The benchmark and its files: what is missing is said before anything is scored."""
    wanted = benchmark(name)
    for need in wanted.needs:
        if getattr(setup, need) is None:
            raise InputError(f"{wanted.title} needs a {need}: give one with --{need}.")
    return wanted, find_files(wanted, data)


def _score_benchmark(model: Model, wanted: Benchmark, files: list[Path], setup: Setup) -> Result:
    found = wanted.measure(model, wanted.read(files), setup)
    stated = {
        "benchmark": wanted.name,
        "cluster": wanted.cluster,
        "licence": _licence(wanted.name),
        "data": {path.name: sha256(path) for path in files},
    }
    return replace(found, provenance={**found.provenance, **stated})


def _licence(name: str) -> str | None:
    """Of a benchmark's published files, as their authors state it; None for files of one's own."""
    source = load_sources().get(name)
    return None if source is None else source.licence
