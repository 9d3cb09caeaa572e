"""Which hazards and risks the items of a run touch, by two public lists.

AILuminate v1.0's hazard categories (MLCommons, repository mlcommons/ailuminate; Ghosh et al. 2025,
arXiv 2503.05731) and the risks of NIST AI 600-1 (July 2024, section 2). "Tested" says that items of
the category were asked, not that they suffice; what nothing here maps to is not tested.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from workbench.audit.records.facts import Scored

__all__ = ["AILUMINATE", "NIST", "Coverage", "coverage"]

AILUMINATE = (
    "violent crimes",
    "sex-related crimes",
    "child sexual exploitation",
    "suicide and self-harm",
    "indiscriminate weapons",
    "intellectual property",
    "defamation",
    "non-violent crimes",
    "hate",
    "privacy",
    "specialised advice",
    "sexual content",
)

NIST = (
    "CBRN information or capabilities",
    "confabulation",
    "dangerous, violent or hateful content",
    "data privacy",
    "environmental impacts",
    "harmful bias and homogenisation",
    "human-AI configuration",
    "information integrity",
    "information security",
    "intellectual property",
    "obscene, degrading or abusive content",
    "value chain and component integration",
)

_BIAS = "harmful bias and homogenisation"
_DANGEROUS = "dangerous, violent or hateful content"

# Task or benchmark -> the categories that any of its items touches.
_WHOLE: dict[str, tuple[str, ...]] = {
    "occupation_pronoun": (_BIAS,),
    "bbq": (_BIAS,),
    "bold": (_BIAS,),
    "crows_pairs": (_BIAS,),
    "seat": (_BIAS,),
    "stereoset": (_BIAS,),
    "weat": (_BIAS,),
    "winobias": (_BIAS,),
    "winogender": (_BIAS,),
    "refusal": (_DANGEROUS,),
    "advbench": (_DANGEROUS,),
    "harmbench": (_DANGEROUS,),
    "strongreject": (_DANGEROUS,),
    "do_not_answer": (_DANGEROUS,),
    "jailbreaks": (_DANGEROUS, "information security"),
    "trigger": ("information security",),
    "injection": ("information security",),
    "private_string": ("data privacy",),
    "memorisation": ("data privacy",),
    "toxicity": ("obscene, degrading or abusive content",),
    "truthfulqa": ("confabulation",),
}

# Task or benchmark -> column -> value in it, in small letters -> the categories of such items.
_PARTS: dict[str, dict[str, dict[str, tuple[str, ...]]]] = {
    "harmbench": {
        "category": {
            "chemical_biological": ("indiscriminate weapons", "CBRN information or capabilities"),
            "cybercrime_intrusion": ("non-violent crimes", "information security"),
            "misinformation_disinformation": ("information integrity",),
            "copyright": ("intellectual property",),
        }
    },
    "strongreject": {
        "category": {
            "violence": ("violent crimes",),
            "non-violent crimes": ("non-violent crimes",),
            "hate, harassment and discrimination": ("hate",),
            "sexual content": ("sexual content", "obscene, degrading or abusive content"),
            "disinformation and deception": ("information integrity",),
        }
    },
    "jailbreaks": {
        "category": {
            "violence": ("violent crimes",),
            "fraud": ("non-violent crimes",),
            "theft": ("non-violent crimes",),
            "burglary": ("non-violent crimes",),
            "hacking": ("non-violent crimes",),
            "privacy": ("privacy",),
            "self-harm": ("suicide and self-harm",),
            "misinformation": ("information integrity",),
        }
    },
}


@dataclass(frozen=True)
class Coverage:
    """A category and what tested it.

    Attributes:
        tested_by: tasks, with how many items; empty where it was not tested.
        paths: of those items, inside the run.
    """

    category: str
    tested_by: tuple[str, ...]
    paths: tuple[str, ...]


def coverage(names: Iterable[str], scored: Iterable[Scored], run: Path) -> tuple[Coverage, ...]:
    """Each category of a list with the tasks of a run that have items of it."""
    touched: dict[str, dict[str, str]] = {}
    for task in scored:
        for category, items in _touched(task, run).items():
            said = f"{task.name} ({items:,} items{_world(task)})"
            touched.setdefault(category, {})[said] = task.path
    return tuple(
        Coverage(name, tuple(touched.get(name, {})), tuple(touched.get(name, {}).values()))
        for name in names
    )


def _world(task: Scored) -> str:
    return f" of {task.suite}" if task.suite else ""


def _touched(task: Scored, run: Path) -> dict[str, int]:
    """Category -> how many items of a task touch it."""
    whole = _WHOLE.get(task.name, ())
    parts: Counter[str] = Counter()
    for column, values in _PARTS.get(task.name, {}).items():
        for value in _harmful_values(run / task.path, column):
            parts.update(values.get(value.strip().lower(), ()))
    return {**parts, **dict.fromkeys(whole, task.rows)} if task.rows else {}


def _harmful_values(path: Path, column: str) -> list[str]:
    """A column's values, those of harmless items left out; none where they cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException):
        return []
    if column not in table.column_names:
        return []
    harm: list[Any] = (
        table.column("harm").to_pylist()
        if "harm" in table.column_names
        else [None] * table.num_rows
    )
    values: list[Any] = table.column(column).to_pylist()
    return [
        value
        for value, kind in zip(values, harm, strict=True)
        if isinstance(value, str) and kind != "harmless"
    ]
