"""The tuned lens: the logit lens with an affine translator for each layer, fitted here.

Belrose et al. 2023, "Eliciting Latent Predictions from Transformers with the Tuned Lens"
(arXiv 2303.08112). Each translator begins as the identity and learns to bring what the final norm
and the output head make of its layer close to what the model says in the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import InputError
from workbench.interpret.lenses.lens_comparison import LensComparison, compared
from workbench.interpret.lenses.lens_fit import Recipe, fit
from workbench.interpret.lenses.translators import TunedLens, TunedLensRecord, serialised
from workbench.interpret.reading import TOKENS_AT_ONCE
from workbench.tokens import encode_all

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.model import Model

    Ids = list[list[int]]

__all__ = ["FittedLens", "fit_tuned_lens"]

STOPPING_SHARE = 0.1


@dataclass(frozen=True)
class FittedLens:
    """A tuned lens, and what it is worth on the texts that were held out.

    Attributes:
        lens: for `lens_grid`, and to save.
        held_out: compared with the logit lens.
    """

    lens: TunedLens
    held_out: LensComparison


def fit_tuned_lens(  # noqa: PLR0913 - each decides the fit, and all but the texts have a default
    model: Model,
    texts: Iterable[str],
    *,
    steps: int = 250,
    learning_rate: float = 1e-3,
    tokens_a_step: int = TOKENS_AT_ONCE,
    held_out: float = 0.2,
    seed: int = 0,
) -> FittedLens:
    """Fit a tuned lens on texts, and measure it on a part of them that the fit never sees.

    The texts (each counted once) are divided: the reported losses come from the share that is held
    out; a tenth decides which step's translator each layer keeps; the rest is trained on. The same
    texts and seed give the same lens.

    Args:
        model: a loaded model.
        texts: at least three different ones; many more for a lens that generalises.
        steps: of the optimiser.
        learning_rate: of Adam at the first step; it falls to 0.
        tokens_a_step: at most, padding among them.
        held_out: share of the texts, at least one.
        seed: of the division, the order and the intervals.

    Raises:
        InputError: for texts that cannot be read or are too few, and numbers out of range.
    """
    _require_ranges(steps, learning_rate, tokens_a_step, held_out)
    encoded = [list(ids) for ids in dict.fromkeys(map(tuple, encode_all(model, texts)))]
    training, stopping, kept_back = _divided(encoded, held_out, seed)
    found = fit(model, training, stopping, Recipe(steps, learning_rate, tokens_a_step, seed))
    record = TunedLensRecord(
        schema=1,
        model=model.name,
        weights_digest=model.provenance.weights_digest,
        d_model=found.biases.shape[1],
        layers=len(found.biases),
        method="affine translators, KL to the final answer, Adam (Belrose et al. 2023)",
        training_texts=len(training),
        stopping_texts=len(stopping),
        held_out_texts=len(kept_back),
        training_tokens=sum(map(len, training)),
        steps=steps,
        kept=found.kept,
        tokens_a_step=tokens_a_step,
        learning_rate=learning_rate,
        seed=seed,
        weights_sha256=sha256(serialised(found.matrices, found.biases)).hexdigest(),
    )
    lens = TunedLens(found.matrices, found.biases, record)
    return FittedLens(lens, compared(model, lens, kept_back, seed, "held-out texts"))


def _divided(encoded: Ids, held_out: float, seed: int) -> tuple[Ids, Ids, Ids]:
    """Texts to train on, to stop by, and to report."""
    count = len(encoded)
    reported = max(1, round(held_out * count))
    stopping = max(1, round(STOPPING_SHARE * count))
    if reported + stopping >= count:
        raise InputError(
            f"got {count} different texts, of which {reported} are held out and {stopping} decide "
            "when to stop; none is left to train on. Give more texts, or a smaller held_out."
        )
    order = np.random.default_rng(seed).permutation(count).tolist()
    cuts = order[:reported], order[reported : reported + stopping], order[reported + stopping :]
    reporting, deciding, training = ([encoded[number] for number in part] for part in cuts)
    return training, deciding, reporting


def _require_ranges(steps: int, learning_rate: float, tokens_a_step: int, held_out: float) -> None:
    for name, value in (("steps", steps), ("tokens_a_step", tokens_a_step)):
        if value < 1:
            raise InputError(f"got {name}={value}; expected at least 1.")
    if not learning_rate > 0:
        raise InputError(f"got learning_rate={learning_rate}; expected a number above 0.")
    if not 0 < held_out < 1:
        raise InputError(f"got held_out={held_out}; expected a share between 0 and 1.")
