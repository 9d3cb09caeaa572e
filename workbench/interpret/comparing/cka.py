"""Linear centred kernel alignment: how alike two representations of the same tokens are.

1 where one is a rotation and a scale of the other, whatever the axes; 0 where they share nothing
(Kornblith et al. 2019, arXiv 1905.00414).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.interpret.jackknife import jackknife

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from workbench.stats import Estimate

    Floats = NDArray[np.float64]

__all__ = ["linear_cka"]


def linear_cka(first: ArrayLike, second: ArrayLike, texts: ArrayLike) -> Estimate:
    """The alignment of two representations, with an interval over texts.

    With fewer tokens than dimensions it is too high, as is known of this measure: compare it
    between layers, not with 1.

    Args:
        first: `[token, d]`.
        second: of the same tokens; the width may differ.
        texts: the text of each token `[token]`.

    Returns:
        The estimate; undefined where a representation is the same for every token.
    """
    one, other = _centred(first), _centred(second)
    names, text = np.unique(np.asarray(texts), return_inverse=True)
    alike = _Alignment(one @ one.T, other @ other.T, text, names.size)
    return jackknife(alike, names.size, bounds=(0.0, 1.0))


class _Alignment:
    """The alignment of those tokens whose texts have a weight of 1."""

    def __init__(self, one: Floats, other: Floats, text: NDArray[np.intp], texts: int) -> None:
        self.text = text
        self.member = (text[:, None] == np.arange(texts)).astype(float)
        self.kernels = {"one": one, "other": other}
        self.products = {
            (left, right): self.member.T @ (self.kernels[left] * self.kernels[right]) @ self.member
            for left, right in (("one", "one"), ("one", "other"), ("other", "other"))
        }

    def __call__(self, weights: Floats) -> Floats:
        by_token = weights[self.text]
        sums = {name: kernel @ by_token for name, kernel in self.kernels.items()}
        cross, left, right = (
            self._independence(pair, by_token, sums, weights)
            for pair in (("one", "other"), ("one", "one"), ("other", "other"))
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where((left > 0) & (right > 0), cross / np.sqrt(left * right), np.nan)

    def _independence(
        self,
        pair: tuple[str, str],
        by_token: Floats,
        sums: dict[str, Floats],
        weights: Floats,
    ) -> Floats:
        """The Hilbert-Schmidt independence criterion of the centred kernels, for each draw.

        The centring is done on the sums, so that no draw needs kernels of its own.
        """
        left, right = (sums[name] for name in pair)
        count = by_token.sum(axis=0)
        together = (weights * (self.products[pair] @ weights)).sum(axis=0)
        apart = (by_token * left * right).sum(axis=0)
        means = (by_token * left).sum(axis=0) * (by_token * right).sum(axis=0)
        return np.asarray(together - 2 * apart / count + means / count**2)


def _centred(values: ArrayLike) -> Floats:
    """Centred and scaled, neither of which counts: the sums above keep their digits."""
    given: Floats = np.asarray(values, dtype=float)
    given = given - given.mean(axis=0)
    return given / (np.abs(given).max(initial=0.0) or 1.0)
