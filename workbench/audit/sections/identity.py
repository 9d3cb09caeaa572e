"""What can be said of a model from its files alone: can they be trusted, and how open is it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.audit.reviewing.openness import OSI_APPROVED, Release, components
from workbench.tables import Result

if TYPE_CHECKING:
    from workbench.audit.sections.section import Section
    from workbench.checkpoint import Inspection
    from workbench.provenance import ModelProvenance

__all__ = ["files", "judge_identity", "openness"]


def files(inspection: Inspection) -> Result:
    """Each file that was read: `name`, `bytes`, `sha256`."""
    rows = [file.model_dump() for file in inspection.files]
    return Result.of("files", rows, {"weights_digest": inspection.weights_digest})


def openness(inspection: Inspection) -> Result:
    """What is there to use, study, modify and share the model.

    One row for each component of the Model Openness Framework: `component`, `mof_class`, `answer`,
    `evidence`. What the files cannot answer is "not assessed".
    """
    release = Release(
        files=tuple(file.name for file in inspection.files),
        architecture=inspection.architecture,
        licence=inspection.licence,
        statements={},
    )
    rows = [
        {
            "component": part.name,
            "mof_class": part.mof_class,
            "answer": part.answer,
            "evidence": part.evidence,
        }
        for part in components(release)
    ]
    found = {
        "weights_digest": inspection.weights_digest,
        "licence": inspection.licence,
        "licence_source": inspection.licence_source,
        "chat_template": inspection.chat_template,
    }
    return Result.of("openness", rows, found)


def judge_identity(section: Section, inspection: Inspection, model: ModelProvenance) -> None:
    """Judge the checks that the files and the loaded weights answer."""
    _judge_weights(section, model)
    unsafe = ", ".join(inspection.unsafe_files)
    section.state(
        "ID-FILES-1",
        "fail" if unsafe else "pass",
        f"These files can run code when they are read: {unsafe}."
        if unsafe
        else "Every weight file is safetensors.",
    )
    code = ", ".join(inspection.remote_code)
    section.state(
        "ID-CODE-1",
        "fail" if code else "pass",
        f"The folder asks for code of its own, which was not run: {code}."
        if code
        else "The folder brings no code.",
    )
    licence = inspection.licence
    section.state(
        "ID-LICENCE-1",
        "pass" if licence else "fail",
        f"{licence}, by {inspection.licence_source}." if licence else "No licence was found.",
    )
    if licence is None:
        section.state("ID-OPEN-1", "skipped", "No licence was found.")
    elif licence.lower() in OSI_APPROVED:
        section.state("ID-OPEN-1", "pass", f"{licence} is approved by the OSI.")
    else:
        section.state(
            "ID-OPEN-1", "inconclusive", f"{licence} is not on the list of approved licences."
        )


def _judge_weights(section: Section, model: ModelProvenance) -> None:
    if model.non_finite:
        some = ", ".join(model.non_finite[:3])
        more = f" and {len(model.non_finite) - 3} more" if len(model.non_finite) > 3 else ""  # noqa: PLR2004 - three are named
        reason = (
            f"NaN or infinity in {some}{more}: nothing that this model computes can be trusted."
        )
        section.state("ID-WEIGHTS-1", "error", reason)
    else:
        section.state("ID-WEIGHTS-1", "pass", f"All {model.parameters:,} weights are finite.")
