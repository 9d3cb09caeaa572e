"""A list of tasks and benchmarks, of which those are asked that can be, and the others named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import InputError
from workbench.evaluate.benchmarks.catalogue import LM_EVAL
from workbench.evaluate.items import Setup
from workbench.evaluate.overview import overview
from workbench.evaluate.scorer import score
from workbench.evaluate.suites import DEFAULT_SUITE, load_suite
from workbench.stats import Estimate
from workbench.tables import Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from workbench.model import Model

__all__ = ["Battery", "battery_setup", "run_battery"]


@dataclass(frozen=True)
class Battery:
    """What came of a list of tasks and benchmarks.

    Attributes:
        scores: name -> a row for each item, as `score` gives them.
        numbers: each one's metrics by arm or group with their intervals (`overview`).
        not_run: `task` and `reason` of those that could not be asked.
    """

    scores: Mapping[str, Result]
    numbers: Result
    not_run: Result


def run_battery(  # noqa: PLR0913 - what is asked, of whom, how, and from where
    model: Model,
    tasks: Iterable[str],
    setup: Setup,
    *,
    suite: str = DEFAULT_SUITE,
    data: str | Path | None = None,
    few_shot: int | None = None,
) -> Battery:
    """Scores of everything that can be asked; one that cannot takes no other with it.

    Args:
        model: a loaded model.
        tasks: names of tasks of the suite, of benchmarks, or `lm-eval:NAME` of lm-eval's own.
        setup: how the items are asked.
        suite: whose tasks are meant.
        data: folder with the benchmarks' files, as their authors publish them.
        few_shot: examples before each item of lm-eval's own tasks; their own number where None.
    """
    import pandas as pd

    tasks = list(dict.fromkeys(tasks))
    own = [name for name in tasks if name in load_suite(suite).task_names()]
    # Tasks of the suite share their batches; each of the others may lack something of its own.
    parts = [own, *([name] for name in tasks if name not in own)]
    scores: dict[str, Result] = {}
    not_run: list[tuple[str, str]] = []
    for part in filter(None, parts):
        names = [name.removeprefix(LM_EVAL) for name in part]
        try:
            scores |= score(
                model,
                names,
                suite=suite,
                data=None if data is None else Path(data),
                few_shot=few_shot,
                setup=setup,
            )
        except InputError as error:
            not_run += [(name, str(error)) for name in names]
    missing = pd.DataFrame(not_run, columns=["task", "reason"], dtype=str)
    return Battery(scores, _numbers(scores), Result.of("not_run", missing))


def _numbers(scores: Mapping[str, Result]) -> Result:
    """The overview; with its columns also where there is nothing to look over."""
    import pandas as pd

    found = overview(scores)
    if scores:
        return found
    columns = ["label", "task", "arm", "metric", *Estimate(None, None, None, 0, "").row(), "items"]
    empty: dict[str, list[Any]] = {name: [] for name in columns}
    return Result.of(found.name, pd.DataFrame(empty), found.provenance, found.chart)


def battery_setup(judge: str, classifier: str | None, **settings: Any) -> Setup:
    """How a battery's items are asked.

    Args:
        judge: of what the model writes, as `open_judge` takes it.
        classifier: Hugging Face folder of a classifier of texts; None where there is none.
        **settings: the other fields of `Setup`.

    Raises:
        InputError: for an unknown judge, or a folder that holds no classifier.
    """
    from workbench.evaluate.judging.classifier import Classifier
    from workbench.evaluate.judging.judge import open_judge

    return Setup(
        judge=open_judge(judge),
        classifier=None if classifier is None else Classifier.load(classifier),
        progress=False,
        **settings,
    )
