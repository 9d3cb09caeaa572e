"""Steering and direction ablation, measured: the wanted effect, and what else changes.

Steering adds a direction to the residual stream (Turner et al. 2023, arXiv 2308.10248; Rimsky et
al. 2023, arXiv 2312.06681); direction ablation projects it out (Arditi et al. 2024, arXiv
2406.11717). Either is worth little where it harms everything else as much.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from workbench.interpret.intervening.interventions import Unit, ablated, steered, unit_in_words
from workbench.interpret.intervening.outcomes import Arm, Outcome, side_effects, wanted_effect
from workbench.tables import Chart, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workbench.interpret.intervening.directions import Direction
    from workbench.interpret.pairs import EncodedPairs
    from workbench.model import Model

__all__ = ["COEFFICIENTS", "direction_ablation", "dose_response"]

COEFFICIENTS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)

UNCHANGED, REMOVED = "unchanged", "without the direction"


def dose_response(  # noqa: PLR0913 - what is steered, on what it is measured, and how far
    model: Model,
    direction: Direction,
    pairs: EncodedPairs,
    unrelated: Sequence[str],
    *,
    coefficients: Iterable[float] = COEFFICIENTS,
    unit: Unit = "direction",
    seed: int = 0,
) -> Outcome:
    """What steering does at each coefficient, to the pairs and to unrelated texts.

    The direction is added at every position. The coefficient 0, which is the unchanged model, is
    always measured.

    Args:
        model: a loaded model.
        direction: measured on it, on other texts than these pairs.
        pairs: prompts with the answer that is wanted and its foil.
        unrelated: texts that should stay as they are, of two tokens or more each.
        coefficients: of the direction.
        unit: what a coefficient counts in: the direction's own length, or the typical length of
            the residual stream at its site.
        seed: of the intervals' resampling.

    Returns:
        Both tables with a column `coefficient`.

    Raises:
        InputError: for a direction of another model, a coefficient that is not a finite number, no
            text, or one of a single token.
    """
    doses = sorted({0.0, *map(float, coefficients)}, key=lambda dose: (dose != 0, dose))
    arms = [Arm(dose, partial(steered, model, direction, dose, unit=unit)) for dose in doses]
    _enter_each(arms)
    key = "coefficient"
    effect = wanted_effect(model, pairs, arms, key=key, seed=seed)
    harm = side_effects(model, unrelated, arms, key=key, seed=seed)
    provenance = {
        **_provenance(model, direction, seed),
        "method": "steering: coefficient x direction added at every position of the site",
        "unit": unit,
        "length_of_unit": direction.norm if unit == "direction" else direction.record.stream_norm,
        "sites": [str(direction.site)],
    }
    across = {"x": key, "x_title": f"coefficient, in {unit_in_words(unit)}", "y": "estimate"}
    ribbon = {"low": "low", "high": "high", "reference": 0}
    effect_chart = Chart(
        kind="lines",
        options={
            **across,
            **ribbon,
            "series": "prompts",
            "title": f"Steering along {direction.record.label}: answer against foil",
            "y_title": "logit difference, nats",
            "alt": "The logit difference of answer and foil by coefficient, for clean and "
            "corrupted prompts, with intervals.",
        },
    )
    harm_chart = Chart(
        kind="lines",
        options={
            **across,
            **ribbon,
            "series": "measure",
            "title": f"Steering along {direction.record.label}: unrelated texts",
            "y_title": "nats per token; share of tokens",
            "alt": "The change of the loss, the divergence and the share of changed top-1 tokens "
            "on unrelated texts by coefficient, with intervals.",
        },
    )
    return Outcome(
        Result.of("steering", _sorted(effect, "prompts"), provenance, effect_chart),
        Result.of("steering_side_effects", _sorted(harm, "measure"), provenance, harm_chart),
    )


def direction_ablation(
    model: Model,
    direction: Direction,
    pairs: EncodedPairs,
    unrelated: Sequence[str],
    *,
    seed: int = 0,
) -> Outcome:
    """What projecting a direction out of the residual stream does, to pairs and unrelated texts.

    Args:
        model: a loaded model.
        direction: measured on it, on other texts than these pairs.
        pairs: prompts with the two answers that should no longer be pulled apart.
        unrelated: texts that should stay as they are, of two tokens or more each.
        seed: of the intervals' resampling.

    Returns:
        Both tables with a column `run`: `unchanged` or `without the direction`.

    Raises:
        InputError: for a direction of another model, no text, or one of a single token.
    """
    removed = Arm(REMOVED, partial(ablated, model, direction))
    arms = [Arm(UNCHANGED, nullcontext), removed]
    _enter_each(arms)
    effect = wanted_effect(model, pairs, arms, key="run", seed=seed)
    harm = side_effects(model, unrelated, [removed], key="run", seed=seed)
    provenance = {
        **_provenance(model, direction, seed),
        "method": "direction ablation: projected out at every layer and position",
        "sites": ["resid_pre", "attn_out", "mlp_out", f"resid_post.{model.n_layers - 1}"],
    }
    effect_chart = Chart(
        kind="bars",
        options={
            "x": "prompts",
            "y": "estimate",
            "low": "low",
            "high": "high",
            "series": "run",
            "title": f"Without {direction.record.label}: answer against foil",
            "y_title": "logit difference, nats",
            "alt": "The logit difference of answer and foil with and without the direction, for "
            "clean and corrupted prompts, with intervals.",
        },
    )
    harm_chart = Chart(
        kind="intervals",
        options={
            "label": "measure",
            "value": "estimate",
            "low": "low",
            "high": "high",
            "reference": 0,
            "title": f"Without {direction.record.label}: unrelated texts",
            "x_title": "nats per token; share of tokens",
            "alt": "The change of the loss, the divergence and the share of changed top-1 tokens "
            "on unrelated texts, with intervals.",
        },
    )
    return Outcome(
        Result.of("direction_ablation", effect, provenance, effect_chart),
        Result.of("direction_ablation_side_effects", harm, provenance, harm_chart),
    )


def _enter_each(arms: Iterable[Arm]) -> None:
    """Refuse what is wrong with any of them before anything is computed."""
    for arm in arms:
        with arm.enter():
            pass


def _provenance(model: Model, direction: Direction, seed: int) -> dict[str, Any]:
    return {
        "weights_digest": model.provenance.weights_digest,
        "direction": direction.provenance(),
        "seed": seed,
    }


def _sorted(rows: list[dict[str, Any]], series: str) -> list[dict[str, Any]]:
    """Each series by its coefficient, in the order in which the series first come."""
    order = list(dict.fromkeys(row[series] for row in rows))
    return sorted(rows, key=lambda row: (order.index(row[series]), row["coefficient"]))
