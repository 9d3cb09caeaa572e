"""What a patched run is read for: the pull of the answer against the foil, at the prompt's end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from workbench.anatomy import Anatomy
    from workbench.interpret.pairs import EncodedPairs

__all__ = ["Readout"]


@dataclass(frozen=True)
class Readout:
    """The runs that pairs of prompts need, and the terms whose sum is each pair's result.

    An answer of one token needs one run a pair: the logits of answer and foil at the last position.
    Where another text counts as the answer, too, the two are one term: the logarithm of their odds
    together.
    An answer that is measured in full needs two: the prompt with the answer written after it, and
    with the foil.

    Attributes:
        clean, corrupted: token ids `[run, pos]`.
        prompt: number of positions that are the prompt's, and can be patched.
        pair: the pair of each run `[run]`.
        tokens: whose score counts `[run, term]`.
        positions: where it is read, counted from the last prompt position `[run, term]`.
        weights: +1 for the answer, -1 for the foil, 0 where a run has fewer terms `[run, term]`.
        normalised: whether a score is a log-probability; a logit otherwise.
        also: what counts as the first term's token, too `[run]`; None where nothing does.
    """

    clean: torch.Tensor
    corrupted: torch.Tensor
    prompt: int
    pair: torch.Tensor
    tokens: torch.Tensor
    positions: torch.Tensor
    weights: torch.Tensor
    normalised: bool
    also: torch.Tensor | None = None

    @classmethod
    def of(cls, pairs: EncodedPairs) -> Readout:
        """The runs and terms of encoded pairs."""
        import torch

        count, prompt = pairs.clean.shape
        device = pairs.clean.device
        if pairs.whole is not None:
            return _in_full(pairs)
        return cls(
            clean=pairs.clean,
            corrupted=pairs.corrupted,
            prompt=prompt,
            pair=torch.arange(count, device=device),
            tokens=torch.stack([pairs.answers, pairs.foils], dim=1),
            positions=torch.zeros(count, 2, dtype=torch.long, device=device),
            weights=torch.tensor([1.0, -1.0], device=device).expand(count, 2),
            normalised=False,
            also=pairs.also,
        )

    @property
    def last(self) -> int:
        """How many positions at the end are read."""
        return self.clean.shape[1] - self.prompt + 1

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return int(self.pair[-1]) + 1

    def first_changed(self) -> torch.Tensor:
        """The first position at which the prompts differ `[run]`; the prompt's length if none."""
        import torch

        differ = (self.clean != self.corrupted)[:, : self.prompt]
        none = torch.full_like(self.pair, self.prompt)
        return torch.where(differ.any(dim=1), differ.int().argmax(dim=1), none)

    def score(self, anatomy: Anatomy, residual: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
        """The result of runs `[row]`, from the residual stream after the layers.

        Args:
            anatomy: of the model.
            residual: at the last `self.last` positions `[row, position, d_model]`.
            runs: the run that each row is of `[row]`.
        """
        import torch

        normed = anatomy.final_norm(residual)
        tokens, positions = self.tokens[runs], self.positions[runs]
        if self.also is not None:
            tokens = torch.cat([tokens, self.also[runs, None]], dim=1)
            positions = torch.cat([positions, positions[:, :1]], dim=1)
        if self.normalised:
            scores = torch.log_softmax(anatomy.logits(normed).float(), dim=-1)
            rows = torch.arange(len(runs), device=runs.device)[:, None]
            found = scores[rows, positions, tokens]
        else:
            # The logits of the few tokens that are asked for; the head's other rows are not read.
            few, where = torch.unique(tokens, return_inverse=True)
            found = anatomy.logits_of(normed[:, 0], few).float().gather(1, where)
        if self.also is not None:
            found = torch.cat([found[:, :1].logaddexp(found[:, -1:]), found[:, 1:-1]], dim=1)
        return (found * self.weights[runs]).sum(dim=1)

    def by_pair(self, scores: torch.Tensor) -> torch.Tensor:
        """Scores `[..., run]` added up to `[..., pair]`."""
        import torch

        total = torch.zeros(*scores.shape[:-1], self.pairs, device=scores.device)
        return total.index_add(-1, self.pair, scores.float())


def _in_full(pairs: EncodedPairs) -> Readout:
    import torch

    device = pairs.clean.device
    assert pairs.whole is not None
    ends = [
        (number, sign, ids)
        for number, two in enumerate(pairs.whole)
        for sign, ids in zip((1.0, -1.0), two, strict=True)
    ]
    longest = max(len(ids) for _, _, ids in ends)
    prompt = pairs.clean.shape[1]

    def written(prompts: torch.Tensor) -> torch.Tensor:
        # What stands after a shorter answer is never read: no token looks ahead.
        filled = [[*ids[:-1], *[ids[-1]] * (longest - len(ids))] for _, _, ids in ends]
        after = torch.tensor(filled, dtype=torch.long, device=device).reshape(len(ends), -1)
        return torch.cat([prompts[[number for number, _, _ in ends]], after], dim=1)

    def padded(values: list[list[float]]) -> torch.Tensor:
        rows = [row + [0.0] * (longest - len(row)) for row in values]
        return torch.tensor(rows, device=device)

    return Readout(
        clean=written(pairs.clean),
        corrupted=written(pairs.corrupted),
        prompt=prompt,
        pair=torch.tensor([number for number, _, _ in ends], device=device),
        tokens=padded([[float(token) for token in ids] for _, _, ids in ends]).long(),
        positions=torch.arange(longest, device=device).expand(len(ends), longest),
        weights=padded([[sign] * len(ids) for _, sign, ids in ends]),
        normalised=True,
    )
