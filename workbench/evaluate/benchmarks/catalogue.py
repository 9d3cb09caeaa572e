"""The benchmarks by name, and where their files are."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from workbench import resources
from workbench.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.evaluate.benchmarks.benchmark import Benchmark, Predictions
    from workbench.tables import Result

__all__ = [
    "BIAS",
    "LM_EVAL",
    "NAMES",
    "SAFETY",
    "benchmark",
    "find_files",
    "of_kind",
    "published_predictions",
]

# Each is a module of this package, imported when it is asked for.
BIAS = ("bbq", "bold", "crows_pairs", "seat", "stereoset", "weat", "winobias", "winogender")
SAFETY = (
    "advbench",
    "do_not_answer",
    "harmbench",
    "injection",
    "jailbreaks",
    "memorisation",
    "strongreject",
    "sycophancy_on_views",
    "toxicity",
    "truthfulqa",
    "xstest",
)
NAMES = (*BIAS, *SAFETY)

LM_EVAL = "lm-eval:"
"""What a task of lm-eval's own begins with in a suite: its name is known to lm-eval alone."""

# Where there is a reader of the authors' own format of predictions.
_PREDICTIONS = {"bbq": "bbq_predictions", "crows_pairs": "crows_pairs", "stereoset": "stereoset"}


def benchmark(name: str) -> Benchmark:
    """The benchmark of that name.

    Raises:
        InputError: for an unknown one, with the closest.
    """
    if name not in NAMES:
        raise InputError(f'There is no benchmark "{name}". {did_you_mean(name, NAMES)}')
    found: Benchmark = import_module(f"{__package__}.{name}").BENCHMARK
    return found


def published_predictions(name: str, published: Predictions) -> Result:
    """The answers in files that the benchmark's authors published, as its `summarise` takes them.

    Raises:
        InputError: where their format is not known, or the files cannot be read.
    """
    if name not in _PREDICTIONS:
        raise InputError(
            f"There is no reader for what the authors of {name} publish of predictions (there is "
            f"for {', '.join(_PREDICTIONS)}). `workbench evals card {name}` names the columns that "
            "a table of your own needs."
        )
    found: Result = import_module(f"{__package__}.{_PREDICTIONS[name]}").predictions(published)
    return found


def of_kind(kind: str) -> tuple[str, ...]:
    """The names of the benchmarks of a kind."""
    return {"bias": BIAS, "safety": SAFETY}[kind]


def find_files(wanted: Benchmark, data: Path | None) -> list[Path]:
    """The benchmark's files, in the order of its patterns.

    Anywhere below the folder `<data>/<name>` where there is one, or else below `data`; those that
    ship with the workbench are taken from there, unless the data has others.

    Raises:
        InputError: where the folder or the files are not there.
    """
    if data is not None and not data.is_dir():
        raise InputError(f"{data}: no such folder; expected one with the benchmark's files.")
    own = None if data is None else data / wanted.name
    folder = own if own is not None and own.is_dir() else data
    found: dict[Path, None] = {}
    for pattern in wanted.files:
        given = [] if folder is None else sorted(folder.rglob(pattern))
        found |= dict.fromkeys(given or sorted(resources.evals().rglob(pattern)))
    if found:
        return list(found)
    get = f"Get it with: workbench evals fetch {wanted.name} --data {data or 'DIR'}"
    if data is None:
        raise InputError(
            f"The data of {wanted.title} is not part of the workbench. {get}, and give that folder "
            "with --data."
        )
    raise InputError(
        f"{data}: holds no file of {wanted.title} (looked for {', '.join(wanted.files)} in every "
        f"folder below). {get}"
    )
