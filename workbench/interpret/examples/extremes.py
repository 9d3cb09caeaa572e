"""The largest and the smallest of a stream of numbers, with what stood around them."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Example", "Extremes"]


@dataclass(frozen=True)
class Example:
    """A token and its neighbours.

    Attributes:
        text: number of the text.
        position: of the token in its text.
        start: position of the first neighbour.
        tokens: ids `[neighbour]`, the token among them.
        values: `[neighbour]`.
    """

    text: int
    position: int
    start: int
    tokens: NDArray[np.int64]
    values: NDArray[np.float32]


@dataclass
class Extremes:
    """Keeps the strongest texts at both ends, whatever the order in which they come.

    Attributes:
        count: texts at each end.
        window: neighbours on each side.
    """

    count: int
    window: int
    # Smallest first: what stands in front is the next to go. Text numbers decide between equals,
    # so that two examples are never compared themselves.
    _heaps: dict[str, list[tuple[float, int, Example]]] = field(
        default_factory=lambda: {"largest": [], "smallest": []}
    )

    def add(
        self, text: int, tokens: NDArray[np.int64], values: NDArray[np.float32], skip: int
    ) -> None:
        """A text, which stands at its first strongest token.

        Args:
            text: its number.
            tokens: ids `[pos]`.
            values: `[pos]`; what is not finite does not count.
            skip: positions at the beginning that do not count.
        """
        counted = values[skip:]
        defined = np.isfinite(counted)
        if not defined.any():
            return
        for end, sign in (("largest", 1.0), ("smallest", -1.0)):
            scores = np.where(defined, sign * counted, -np.inf)
            position = int(scores.argmax())
            key = float(scores[position]), -text
            heap = self._heaps[end]
            if len(heap) == self.count and key < heap[0][:2]:
                continue
            entry = (*key, self._example(text, position + skip, tokens, values))
            (heapq.heappush if len(heap) < self.count else heapq.heapreplace)(heap, entry)

    def largest_first(self) -> list[tuple[str, int, Example]]:
        """End, rank from 1, and example: the largest from the top, then the smallest."""
        return [
            (end, rank, example)
            for end, heap in self._heaps.items()
            for rank, (_, _, example) in enumerate(sorted(heap, key=lambda e: e[:2])[::-1], 1)
        ]

    def _example(
        self, text: int, position: int, tokens: NDArray[np.int64], values: NDArray[np.float32]
    ) -> Example:
        start, stop = max(0, position - self.window), position + self.window + 1
        return Example(text, position, start, tokens[start:stop].copy(), values[start:stop].copy())
