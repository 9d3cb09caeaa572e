"""What can be said of a model from its files alone: can they be trusted, and how open is it?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.tables import Result

if TYPE_CHECKING:
    from workbench.audit.section import Section
    from workbench.checkpoint import Inspection
    from workbench.provenance import ModelProvenance

__all__ = ["files", "judge_identity", "openness"]

# Licences that the Open Source Initiative has approved, as model cards write them.
OSI_APPROVED = frozenset(
    "apache-2.0 mit bsd bsd-2-clause bsd-3-clause gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 "
    "agpl-3.0 mpl-2.0 isc eupl-1.1 eupl-1.2 artistic-2.0 epl-2.0 zlib unlicense afl-3.0 "
    "bsl-1.0 osl-3.0 ncsa postgresql".split()
)


def files(inspection: Inspection) -> Result:
    """Each file that was read: `name`, `bytes`, `sha256`."""
    rows = [file.model_dump() for file in inspection.files]
    return Result.of("files", rows, {"weights_digest": inspection.weights_digest})


def openness(inspection: Inspection) -> Result:
    """What is there to use, study, change and share the model: `component`, `answer`, `evidence`.

    The components are those of the Open Source AI Definition 1.0 and the Model Openness Framework
    (arXiv 2403.13784) that files can answer; what they cannot is "not assessed".
    """
    names = [file.name for file in inspection.files]
    tokenizer = [name for name in names if "token" in name.lower() or "vocab" in name.lower()]
    rows = [
        _row("weights", "present", f"{inspection.parameters or 'unknown number of'} parameters"),
        _row("architecture", inspection.architecture or inspection.model_type, "config.json"),
        _row("tokenizer", "present", ", ".join(tokenizer) or "none"),
        _row("licence", inspection.licence or "none found", inspection.licence_source or ""),
        _row("model card", "present" if "README.md" in names else "none found", ""),
        _row("training data", "not assessed", "no file of the model can answer it"),
        _row("training code", "not assessed", "no file of the model can answer it"),
        _row("evaluation results", "not assessed", "this report has its own"),
    ]
    return Result.of("openness", rows, {"weights_digest": inspection.weights_digest})


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


def _row(component: str, answer: Any, evidence: str) -> dict[str, str]:
    return {"component": component, "answer": str(answer), "evidence": evidence}
