"""What an ablation is measured by: the answer's pull in pairs, or the loss on texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from workbench.errors import InputError
from workbench.forward import forward
from workbench.interpret.readout import Readout
from workbench.sites import Site
from workbench.stats import Estimate, bootstrap_mean, bootstrap_ratio
from workbench.tokens import encode_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import torch

    from workbench.interpret.pairs import EncodedPairs
    from workbench.model import Model

    Edits = Mapping[Site, Callable[[torch.Tensor], torch.Tensor]]
    Scores = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

__all__ = ["Measure", "PairMeasure", "TextMeasure"]

LOGITS_AT_ONCE = 1 << 26


class Measure(Protocol):
    """A number for each item, from runs of the model over rows of tokens."""

    @property
    def words(self) -> str:
        """What is measured."""

    @property
    def rows(self) -> Sequence[Sequence[int]]:
        """The token ids of each run."""

    @property
    def positions(self) -> int:
        """How many positions every run has that can be asked for."""

    @property
    def labels(self) -> Sequence[str] | None:
        """A text for each position, where all runs have the same."""

    @property
    def reference(self) -> tuple[str, Sequence[Sequence[int]]]:
        """Where replacements are taken from, if nothing else is given: in words, and token ids."""

    @property
    def at_once(self) -> int | None:
        """Positions whose scores fit into memory together; None where it does not matter."""

    def at(self, position: int) -> int:
        """A position as it is counted in the runs."""

    def score(
        self, model: Model, tokens: torch.Tensor, runs: torch.Tensor, edits: Edits
    ) -> torch.Tensor:
        """The score of some runs `[row]`, on tokens `[row, pos]`, with values replaced."""

    def by_item(self, scores: torch.Tensor) -> Scores:
        """Scores `[..., run]` added up to items `[..., item]`."""

    def mean(self, items: Scores) -> float:
        """The measure over all items."""

    def change(self, changes: Scores, seed: int) -> Estimate:
        """The mean change, with an interval over items."""


@dataclass(frozen=True)
class PairMeasure:
    """The logit difference of pairs' clean prompts, in nats."""

    readout: Readout
    labels: Sequence[str]
    words: str = "logit difference of the clean prompts, nats"
    at_once: int | None = None

    @classmethod
    def of(cls, pairs: EncodedPairs) -> PairMeasure:
        """The measure on encoded pairs."""
        return cls(Readout.of(pairs), pairs.labels)

    @property
    def rows(self) -> Sequence[Sequence[int]]:
        """The clean prompts, with answers written after them where these are read in full."""
        return list(self.readout.clean.tolist())

    @property
    def positions(self) -> int:
        """The prompts' length."""
        return self.readout.prompt

    @property
    def reference(self) -> tuple[str, Sequence[Sequence[int]]]:
        """Clean and corrupted prompts, half and half: their mean is on neither side."""
        both = self.readout.clean.tolist() + self.readout.corrupted.tolist()
        return "the pairs' own prompts, clean and corrupted", both

    def at(self, position: int) -> int:
        """Counted from the prompt's beginning."""
        return position % self.readout.prompt

    def score(
        self, model: Model, tokens: torch.Tensor, runs: torch.Tensor, edits: Edits
    ) -> torch.Tensor:
        """The terms of each run."""
        end = Site("resid_post", model.n_layers - 1)
        stream = forward(model, tokens, read=[end], edit=edits).values[end]
        return self.readout.score(model.anatomy, stream[:, -self.readout.last :], runs)

    def by_item(self, scores: torch.Tensor) -> Scores:
        """One number for each pair."""
        there = scores.float().to(self.readout.pair.device)
        return np.asarray(self.readout.by_pair(there).cpu(), dtype=np.float64)

    def mean(self, items: Scores) -> float:
        """Over pairs."""
        return float(items.mean())

    def change(self, changes: Scores, seed: int) -> Estimate:
        """Over pairs."""
        return bootstrap_mean(changes, seed=seed)


@dataclass(frozen=True)
class TextMeasure:
    """The loss on texts, in nats per token."""

    rows: Sequence[Sequence[int]]
    at_once: int
    words: str = "loss, nats per token"
    labels: None = None

    @classmethod
    def of(cls, model: Model, texts: Sequence[str]) -> TextMeasure:
        """The measure on texts.

        Raises:
            InputError: for no text, an empty one, one that is too long, or one of a single token.
        """
        encoded = encode_all(model, texts)
        for number, ids in enumerate(encoded):
            if len(ids) == 1:
                raise InputError(
                    f"text {number} is a single token, of which none is predicted: "
                    f"{texts[number]!r}; expected at least two."
                )
        return cls(encoded, max(1, LOGITS_AT_ONCE // model.provenance.vocabulary))

    @property
    def positions(self) -> int:
        """The shortest text's length."""
        return min(map(len, self.rows))

    @property
    def reference(self) -> tuple[str, Sequence[Sequence[int]]]:
        """The texts themselves."""
        return "the measured texts", self.rows

    def at(self, position: int) -> int:
        """As it is: from either end of each text."""
        return position

    def score(
        self, model: Model, tokens: torch.Tensor, _: torch.Tensor, edits: Edits
    ) -> torch.Tensor:
        """The sum of the losses of each text."""
        import torch

        logits = forward(model, tokens, edit=edits, logits="all").logits
        assert logits is not None
        losses = torch.nn.functional.cross_entropy(
            logits[:, :-1].float().flatten(0, 1), tokens[:, 1:].flatten(), reduction="none"
        )
        return losses.view(len(tokens), -1).sum(1)

    def by_item(self, scores: torch.Tensor) -> Scores:
        """One sum for each text."""
        return np.asarray(scores.cpu(), dtype=np.float64)

    @property
    def _predicted(self) -> Scores:
        return np.asarray([len(ids) - 1 for ids in self.rows], dtype=np.float64)

    def mean(self, items: Scores) -> float:
        """Over tokens."""
        return float(items.sum() / self._predicted.sum())

    def change(self, changes: Scores, seed: int) -> Estimate:
        """Over tokens, drawn by whole texts."""
        return bootstrap_ratio(changes, self._predicted, seed=seed)
