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


def judge_fidelity(section: Section, certificate: Result | None) -> None:
    """Judge `INSIDE-FID-1` by the layer where capture and plain run agree least.

    None is a certificate that could not be made: the plain model did not fit beside this one.
    """
    if certificate is None:
        reason = "There is no memory for the plain model beside this one: the hooks are unchecked."
        section.state("INSIDE-FID-1", "skipped", reason)
        return
    frame = certificate.frame()
    cosines = frame["cosine"].astype(float)
    if cosines.isna().any():
        section.state("INSIDE-FID-1", "error", "The activations are not finite numbers.")
        return
    distance = max(0.0, 1 - float(cosines.min()))
    passed = distance <= section.threshold("INSIDE-FID-1")
    prompts = int(frame["prompts"].iloc[0])
    estimate = Estimate(distance, None, None, prompts, "exact comparison, no sampling")
    largest = float(frame["largest_difference"].max())
    section.state(
        "INSIDE-FID-1",
        "pass" if passed else "fail",
        f"The largest difference of any captured value is {largest:.2g}.",
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
