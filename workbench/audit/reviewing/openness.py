"""How open a model is: the freedoms of the Open Source AI Definition 1.0, and its MOF class.

The definition (opensource.org/ai/open-source-ai-definition) asks for four freedoms, and for data
information, code and parameters as the preferred form to modify a model. The Model Openness
Framework (White et al. 2024, arXiv 2403.13784; required components as in the repository
lfai/model_openness_tool, `mof.settings.yml`) sorts a release into three classes by its components.
What neither the files show nor the auditor states is "not assessed".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.audit.records.facts import model_of, statements_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.audit.records.evidence import Evidence

__all__ = [
    "MOF",
    "OSI_APPROVED",
    "Component",
    "Freedom",
    "Openness",
    "Release",
    "assess",
    "components",
]

# Licences that the Open Source Initiative has approved, as model cards write them.
OSI_APPROVED = frozenset(
    "apache-2.0 mit bsd bsd-2-clause bsd-3-clause gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 "
    "agpl-3.0 mpl-2.0 isc eupl-1.1 eupl-1.2 artistic-2.0 epl-2.0 zlib unlicense afl-3.0 "
    "bsl-1.0 osl-3.0 ncsa postgresql".split()
)

# Parts of a licence's name, and what its terms keep back.
_RESTRICTED = (
    ("-nc", "not for commercial use"),
    ("-nd", "no changed copy may be shared"),
    ("llama", "its terms exclude some uses and some users"),
    ("gemma", "its terms exclude some uses"),
    ("rail", "its terms exclude some uses"),
)

MOF = {
    "III": (
        "model architecture",
        "final model parameters",
        "technical report",
        "evaluation results",
        "model card",
        "data card",
    ),
    "II": ("training code", "inference code", "evaluation code", "evaluation data"),
    "I": (
        "research paper",
        "datasets",
        "data preprocessing code",
        "intermediate model parameters",
    ),
}
"""Class -> the components that it requires beside those of the class before it."""

OPTIONAL = {
    "sample model outputs": "III",
    "supporting libraries and tools": "II",
    "model metadata": "I",
}

PRESENT, STATED, NONE_FOUND = "present", "stated by the auditor", "none found"
NOT_ASSESSED, NOT_CLASSIFIED = "not assessed", "not classified"
GRANTED, NOT_GRANTED, IN_PART = "granted", "not granted", "in part"


@dataclass(frozen=True)
class Release:
    """What is known of a model as it was given to the public.

    Attributes:
        files: names of those that were read.
        architecture: the class that its config names.
        licence: as the model states it.
        statements: the auditor's, by line of the checklist. A line `component: where it is` of the
            statement on openness says that a component is there.
    """

    files: tuple[str, ...]
    architecture: str | None
    licence: str | None
    statements: Mapping[str, str]


@dataclass(frozen=True)
class Freedom:
    """One freedom of the Open Source AI Definition.

    Attributes:
        name: `use`, `study`, `modify` or `share`.
        answer: `granted`, `not granted`, `in part` or `not assessed`.
        reason: a sentence.
    """

    name: str
    answer: str
    reason: str


@dataclass(frozen=True)
class Component:
    """One component of the Model Openness Framework, or of the preferred form to modify a model.

    Attributes:
        mof_class: the class that first asks for it: `I`, `II` or `III`; empty for the other kind.
        answer: `present`, `none found`, `stated by the auditor` or `not assessed`.
        evidence: where that is seen.
    """

    name: str
    mof_class: str
    answer: str
    evidence: str

    @property
    def there(self) -> bool:
        """Whether it is shown or stated."""
        return self.answer in {PRESENT, STATED}


@dataclass(frozen=True)
class Openness:
    """What can be said of a model's openness.

    Attributes:
        preferred_form: data information, code and parameters, as the definition asks for them.
        components: those of the framework.
        mof: `I`, `II`, `III` or `not classified`.
        reason: why this class, and what is missing of the next one.
    """

    freedoms: tuple[Freedom, ...]
    preferred_form: tuple[Component, ...]
    components: tuple[Component, ...]
    mof: str
    reason: str


def assess(evidence: Evidence) -> Openness:
    """How open the model of a run is, from its files, licence and the auditor's statements."""
    model = model_of(evidence)
    release = Release(
        files=() if model is None else tuple(file.name for file in model.files),
        architecture=None if model is None else model.architecture,
        licence=None if model is None else model.licence,
        statements=statements_of(evidence),
    )
    found = components(release)
    form = _preferred_form(found, release)
    mof, reason = _classify(found, release.licence)
    return Openness(_freedoms(form, release.licence), form, found, mof, reason)


def components(release: Release) -> tuple[Component, ...]:
    """Every component of the framework, those of class III first."""
    classes = {name: level for level, names in MOF.items() for name in names} | OPTIONAL
    ordered = sorted(classes, key=lambda name: (-len(classes[name]), name in OPTIONAL))
    stated = _stated_components(release.statements)
    seen = _seen_components(release)
    found = []
    for name in ordered:
        if name in seen:
            answer, where = seen[name]
        elif name in stated:
            answer, where = STATED, stated[name]
        else:
            answer, where = NOT_ASSESSED, "no file of the model can answer it"
        if answer == NONE_FOUND and name in stated:
            answer, where = STATED, stated[name]
        found.append(Component(name, classes[name], answer, where))
    return tuple(found)


def _seen_components(release: Release) -> dict[str, tuple[str, str]]:
    """What the files answer themselves."""
    if not release.files:
        return {}
    weights = [name for name in release.files if name.endswith((".safetensors", ".bin", ".pt"))]
    card = "README.md" in release.files
    seen = {"model card": (PRESENT, "README.md") if card else (NONE_FOUND, "there is no README.md")}
    if weights:
        more = f" and {len(weights) - 1} more" if len(weights) > 1 else ""
        seen["final model parameters"] = (PRESENT, f"{weights[0]}{more}")
    if release.architecture:
        code = f"{release.architecture}, as the library transformers has it"
        seen["model architecture"] = seen["inference code"] = (PRESENT, code)
    return seen


def _stated_components(statements: Mapping[str, str]) -> dict[str, str]:
    """Component -> where it is, as the auditor's statement on openness has it line by line."""
    lines = str(statements.get("openness", "")).splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.strip(" -*").lower(): where.strip() for name, _, where in pairs if where.strip()}


def _preferred_form(
    found: tuple[Component, ...], release: Release
) -> tuple[Component, Component, Component]:
    """Data information, code and parameters."""
    by_name = {component.name: component for component in found}
    documents = [by_name[name] for name in ("datasets", "data card") if by_name[name].there]
    if documents:
        data = Component("data information", "", documents[0].answer, documents[0].evidence)
    elif release.statements.get("training_data"):
        data = Component("data information", "", STATED, str(release.statements["training_data"]))
    else:
        data = Component("data information", "", NOT_ASSESSED, "no file of the model can answer it")
    training = by_name["training code"]
    code = Component("code", "", training.answer, training.evidence)
    final = by_name["final model parameters"]
    return data, code, Component("parameters", "", final.answer, final.evidence)


def _freedoms(form: tuple[Component, ...], licence: str | None) -> tuple[Freedom, ...]:
    terms, why = _terms(licence)
    missing = [component.name for component in form if not component.there]
    if terms == GRANTED and missing:
        partly = f"{why} Of what it takes, this is not assessed: {', '.join(missing)}."
        inner = (IN_PART, partly)
    elif terms == GRANTED and any(component.answer == STATED for component in form):
        inner = (GRANTED, f"{why} It rests on what the auditor states.")
    else:
        inner = (terms, why)
    shared = (IN_PART, why) if terms == NOT_GRANTED else (terms, why)
    answers = {"use": (terms, why), "study": inner, "modify": inner, "share": shared}
    return tuple(Freedom(name, *answer) for name, answer in answers.items())


def _terms(licence: str | None) -> tuple[str, str]:
    """Whether a licence lets anybody use a model for any purpose."""
    if licence is None:
        return NOT_ASSESSED, "No licence was found among the files that were read."
    name = licence.lower()
    if name in OSI_APPROVED:
        return GRANTED, f"{licence} is approved by the OSI."
    for part, kept_back in _RESTRICTED:
        if part in name:
            return NOT_GRANTED, f"{licence}: {kept_back}."
    return NOT_ASSESSED, f"{licence} is not on the list of approved licences."


def _classify(found: tuple[Component, ...], licence: str | None) -> tuple[str, str]:
    """The highest class all of whose components are there, and what the next one lacks."""
    there = {component.name for component in found if component.there}
    stated = [component.name for component in found if component.answer == STATED]
    reached, missing = NOT_CLASSIFIED, []
    for level, names in MOF.items():
        missing = [name for name in names if name not in there]
        if missing:
            lacks = f"Class {level} also asks for: {', '.join(missing)}."
            break
        reached = level
    else:
        lacks = ""
    if licence is None or licence.lower() not in OSI_APPROVED:
        return NOT_CLASSIFIED, f"No open licence was found. {lacks}".strip()
    rests = f"It rests on what the auditor states of: {', '.join(stated)}." if stated else ""
    return reached, " ".join(filter(None, (lacks, rests if reached != NOT_CLASSIFIED else "")))
