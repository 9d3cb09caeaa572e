"""The verdicts of the section that looks inside: are the hooks faithful, was the place found?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from workbench.stats import Estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.audit.section import Section
    from workbench.tables import Result

__all__ = ["judge_fidelity", "judge_place"]


def judge_fidelity(section: Section, certificate: Result) -> None:
    """Judge `INSIDE-FID-1` by the captured value that agrees least with the plain run.

    Values that agree, but whose parts do not add up to what the layer did, are those of a wrong
    place: they fail, too.
    """
    frame = certificate.frame()
    cosines = frame["cosine"].astype(float)
    if cosines.isna().any():
        section.state("INSIDE-FID-1", "error", "The activations are not finite numbers.")
        return
    distance = max(0.0, 1 - float(cosines.min()))
    agrees = distance <= section.threshold("INSIDE-FID-1")
    misplaced = frame[frame["verdict"] == "fail"] if agrees else frame[:0]
    prompts = int(frame["prompts"].iloc[0])
    estimate = Estimate(distance, None, None, prompts, "exact comparison, no sampling")
    largest = float(frame["largest_difference"].max())
    sites = ", ".join(dict.fromkeys(frame["site"]))
    reason = f"Checked: {sites}. The largest difference of any captured value is {largest:.2g}."
    if not misplaced.empty:
        places = ", ".join(dict.fromkeys(misplaced["site"]))
        reason = f"The parts do not add up to what the layer did: {places}. {reason}"
    section.state(
        "INSIDE-FID-1",
        "pass" if agrees and misplaced.empty else "fail",
        reason,
        estimate=estimate,
    )


def judge_place(
    section: Section, contrast: str, one_sided: Sequence[str], strongest: tuple[str, Estimate]
) -> None:
    """Judge `INSIDE-LOC-1`: there must be a bias that can be explained."""
    place, estimate = strongest
    if not one_sided:
        section.state("INSIDE-LOC-1", "skipped", "There is no bias finding to explain.")
    elif estimate.value is None or math.isnan(estimate.value):
        section.state(
            "INSIDE-LOC-1", "inconclusive", "No pair has an effect that could be restored."
        )
    else:
        share = f"{estimate.value:.0%} of the difference comes back with {place} alone."
        section.judge("INSIDE-LOC-1", estimate, note=f"{contrast}: {share}")
