"""The items of a suite's own tasks, from the files that lm-eval reads them from too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from workbench.errors import InputError, did_you_mean
from workbench.evaluate.items import Item
from workbench.evaluate.suites import read_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.evaluate.suites import Suite

__all__ = ["task_file", "task_items"]


def task_file(suite: Suite, task: str) -> Path:
    """The file with a task's items.

    Raises:
        InputError: for an unknown task, with the closest name.
    """
    if task not in suite.task_names():
        raise InputError(
            f'The suite "{suite.name}" has no task "{task}". '
            f"{did_you_mean(task, suite.task_names())}"
        )
    config = read_yaml(suite.folder / f"{task}.yaml")
    return suite.folder / str(config["dataset_kwargs"]["data_files"][config["test_split"]])


def task_items(suite: Suite, task: str) -> list[Item]:
    """The items of a task, in the order of its file.

    Raises:
        InputError: for an unknown task (with the closest name), or a line that is not an item.
    """
    path = task_file(suite, task)
    items = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            items.append(_item(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}, line {number}: not an item ({type(error).__name__}: {error}); expected "
                "a JSON object with id, cluster, arm, pair, prompt, choices, target and labels."
            ) from error
    return items


def _item(doc: dict[str, Any]) -> Item:
    return Item(
        id=doc["id"],
        prompt=doc["prompt"],
        choices=tuple(doc["choices"]),
        target=int(doc["target"]),
        cluster=doc["cluster"],
        arm=doc["arm"],
        pair=doc["pair"],
        labels=dict(doc["labels"]),
    )
