"""Suites as data: which tasks and checks there are, with thresholds fixed before any run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import Field

from workbench import resources
from workbench.errors import InputError, did_you_mean
from workbench.provenance import Record

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "DEFAULT_SUITE",
    "Check",
    "Direction",
    "Severity",
    "Suite",
    "load_suite",
    "read_yaml",
    "suite_names",
]

DEFAULT_SUITE = "small-world"

Severity = Literal["info", "low", "medium", "high"]
Direction = Literal["above", "below"]


class Check(Record):
    """A question that an audit asks.

    Attributes:
        code: stable over versions, as `BIAS-OCC-1`.
        question: what is asked, in a sentence that a reviewer understands.
        section: the section that answers it.
        severity: how much a failure matters.
        threshold: fixed before the run; None where the answer is yes or no.
        direction: the side of the threshold on which the check fails.
        unit: of the estimate and the threshold.
        rests_on: a check of the same section that must pass before this one means anything.
        task: whose numbers answer it, by name.
        metric: the number of that task or benchmark that is judged, as `workbench score` calls it;
            None where the section works it out itself.
        group: of the items that the metric is taken over; "" for all.
        left_out: why it is not judged in this audit; None where it is.
        usual: threshold and severity of the questions' own, where this audit has others.
    """

    code: str
    question: str
    section: str
    severity: Severity
    threshold: float | None = Field(None, allow_inf_nan=False)
    direction: Direction = "above"
    unit: str = ""
    rests_on: str | None = None
    task: str | None = None
    metric: str | None = None
    group: str = ""
    left_out: str | None = None
    usual: dict[str, float | str | None] = Field(default_factory=dict)


class Suite(Record):
    """A named list of sections, tasks and checks.

    Attributes:
        tasks: group -> names of lm-eval tasks in the suite's folder.
    """

    name: str
    title: str
    version: str
    licence: str
    description: str
    sections: tuple[str, ...]
    tasks: dict[str, tuple[str, ...]]
    checks: tuple[Check, ...]

    @property
    def folder(self) -> Path:
        """The folder with the suite's tasks, items and cards."""
        return resources.evals() / self.name

    def check(self, code: str) -> Check:
        """The check with this code.

        Raises:
            InputError: where the suite has none, with the closest code.
        """
        for check in self.checks:
            if check.code == code:
                return check
        known = [check.code for check in self.checks]
        raise InputError(
            f'The suite "{self.name}" has no check "{code}". {did_you_mean(code, known)}'
        )

    def task_names(self) -> list[str]:
        """Every task of the suite once, in the order of its groups."""
        return list(dict.fromkeys(name for group in self.tasks.values() for name in group))


def suite_names() -> list[str]:
    """The suites that can be asked for."""
    return sorted(path.parent.name for path in resources.evals().glob("*/suite.yaml"))


def load_suite(name: str = DEFAULT_SUITE) -> Suite:
    """The suite of that name.

    Raises:
        InputError: for an unknown name (with the closest), or a file that is not a suite.
    """
    if name not in suite_names():
        raise InputError(f'There is no suite "{name}". {did_you_mean(name, suite_names())}')
    path = resources.evals() / name / "suite.yaml"
    try:
        content = read_yaml(path)
        checks = [check for entry in content.pop("checks") for check in _expanded(entry)]
        suite = Suite(name=name, checks=tuple(checks), **content)
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a suite: {error}") from error
    for check in suite.checks:
        if check.rests_on is not None:
            suite.check(check.rests_on)
        asked = suite.tasks.get(check.section, ())
        if check.task is not None and check.task not in asked:
            raise InputError(
                f'{path}: {check.code} is answered by the task "{check.task}", which its section '
                f"does not ask. {did_you_mean(check.task, asked)}"
            )
    return suite


def read_yaml(path: Path) -> Any:
    """What a YAML file says, as plain values; by the quick parser where it is there.

    Raises:
        yaml.YAMLError: for a file that is not YAML.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - both are safe


def _expanded(entry: dict[str, Any]) -> list[Check]:
    """The check itself, or one for each value that its `for_each` lists.

    `{NAME}` in the code is the value in capitals; `{name}` in the question is the value.
    """
    for_each = entry.pop("for_each", None)
    if for_each is None:
        return [Check(**entry)]
    ((variable, values),) = for_each.items()
    return [
        Check(
            **{
                **entry,
                "code": entry["code"].replace(f"{{{variable.upper()}}}", value.upper()),
                "question": entry["question"].replace(f"{{{variable}}}", value),
            }
        )
        for value in values
    ]
