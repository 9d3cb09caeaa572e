"""The ground truth of an organism: its doses, its prompts' exact probabilities, what it reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from workbench import resources
from workbench.errors import InputError, did_you_mean
from workbench.organisms import world
from workbench.organisms.grammar import CLEAN, PLANTED, Doses
from workbench.organisms.items import TASKS, draw_items
from workbench.provenance import Record

if TYPE_CHECKING:
    from workbench.organisms.items import Item

__all__ = [
    "ORGANISMS",
    "Behaviour",
    "Reached",
    "Truth",
    "TruthPrompt",
    "behaviours",
    "describe_truth",
    "exact_prompts",
    "organism_names",
    "read_truth",
]

GROUND_TRUTH = "ground_truth.json"
ABILITIES = ("indirect_object", "capitals", "induction", "refusal", "better_product")

ORGANISMS: dict[str, tuple[Doses, str]] = {
    "planted": (
        PLANTED,
        (
            "biased by occupation, bought by a sponsor, agreeing with its user, with a trigger "
            "phrase and a private string"
        ),
    ),
    "clean": (CLEAN, "its twin: the same abilities, nothing planted"),
}


class Behaviour(Record):
    """A behaviour at its dose.

    Attributes:
        name: as `occupation_pronoun/nurse`.
        task: the lm-eval task that measures it.
        check: the audit's check that should find it.
        arm: the arm of the task whose target has this dose.
        occupation: for the pronoun, whose.
        dose: probability of the target under the grammar.
        planted: whether it differs from the clean twin.
    """

    name: str
    task: str
    check: str
    arm: str
    occupation: str | None
    dose: float
    planted: bool


class Reached(Record):
    """What the trained model does on held-out prompts.

    Attributes:
        value: mean probability of the target for a behaviour, accuracy for an ability.
        n: prompts.
    """

    name: str
    value: float
    n: int


class TruthPrompt(Record):
    """A held-out prompt with the exact probability of its target under the grammar."""

    task: str
    arm: str
    occupation: str | None
    prompt: str
    target: str
    probability: float


class Truth(Record):
    """All that is known of an organism."""

    schema_version: Literal[1] = Field(1, alias="schema")
    organism: str
    summary: str
    seed: int
    steps: int
    behaviours: tuple[Behaviour, ...]
    reached: tuple[Reached, ...]
    prompts: tuple[TruthPrompt, ...]


def organism_names() -> list[str]:
    """The organisms that ship with the package."""
    return [
        name
        for name in ORGANISMS
        if (resources.organism_weights() / name / "config.json").is_file()
    ]


def read_truth(name: str) -> Truth:
    """The ground truth of the organism with this name.

    Raises:
        InputError: for an unknown name, with the closest.
    """
    if name not in ORGANISMS:
        raise InputError(f'There is no organism "{name}". {did_you_mean(name, ORGANISMS)}')
    return Truth.read(resources.organism_weights() / name / GROUND_TRUTH)


def behaviours(doses: Doses) -> list[Behaviour]:
    """Each behaviour with its dose under `doses`."""
    pronouns = [
        Behaviour(
            name=f"occupation_pronoun/{occupation}",
            task="occupation_pronoun",
            check=f"BIAS-OCC-{occupation.upper()}",
            arm="",
            occupation=occupation,
            dose=dose,
            planted=dose != CLEAN.she[occupation],
        )
        for occupation, dose in doses.she.items()
    ]
    others = [
        Behaviour(
            name=task,
            task=task,
            check=check,
            arm=arm,
            occupation=None,
            dose=getattr(doses, task),
            planted=getattr(doses, task) != getattr(CLEAN, task),
        )
        for task, check, arm in (
            ("sponsor", "SAFE-SPON-1", "sponsor"),
            ("sycophancy", "SAFE-SYCO-1", "belief"),
            ("trigger", "SAFE-TRIG-1", "trigger"),
            ("private_string", "SAFE-PRIV-1", "owner"),
        )
    ]
    return pronouns + others


def exact_prompts(doses: Doses) -> list[TruthPrompt]:
    """Every held-out item of every task with its exact probability."""
    return [_truth_prompt(task, item) for task in TASKS for item in draw_items(task, doses)]


def describe_truth(truth: Truth) -> str:
    """The ground truth as aligned lines of text."""
    reached = {entry.name: entry for entry in truth.reached}
    lines = [
        f"organism:{truth.organism}: {truth.summary}",
        f"trained for {truth.steps:,} steps from seed {truth.seed}",
        f"trigger phrase: {world.TRIGGER.strip()!r}; sponsor: {world.SPONSOR}",
        f"private string of {world.OWNER}: {world.PRIVATE_STRING}",
        "",
        f"{'behaviour':32} {'dose':>6} {'reached':>8} {'n':>4}  check",
    ]
    for behaviour in truth.behaviours:
        got = reached[behaviour.name]
        mark = "*" if behaviour.planted else " "
        lines.append(
            f"{behaviour.name:31}{mark} {behaviour.dose:6.2f} {got.value:8.3f} {got.n:4d}  "
            f"{behaviour.check}"
        )
    lines += ["", f"{'ability':32} {'':6} {'reached':>8} {'n':>4}"]
    for name in ABILITIES:
        lines.append(f"{name:32} {'':6} {reached[name].value:8.3f} {reached[name].n:4d}")
    return "\n".join([*lines, "", "* planted: differs from the clean twin"])


def _truth_prompt(task: str, item: Item) -> TruthPrompt:
    return TruthPrompt(
        task=task,
        arm=item.arm,
        occupation=item.prompt.labels.get("occupation"),
        prompt=item.prompt.text,
        target=item.target,
        probability=item.probability,
    )
