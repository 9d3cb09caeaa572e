"""What stands in an ablated component's place: zero, a mean, or the value on another text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from workbench.batches import in_batches
from workbench.errors import InputError, did_you_mean
from workbench.forward import forward
from workbench.tokens import by_length, encode_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from workbench.interpret.intervening.measures import Measure
    from workbench.model import Model
    from workbench.sites import Site

__all__ = ["ZERO", "Replacement", "Values", "replacing"]

Method = Literal["zero", "mean", "resample"]

METHODS: tuple[str, ...] = get_args(Method)

POSITIONS_AT_ONCE = 2048


@dataclass(frozen=True)
class Replacement:
    """What stands in an ablated component's place.

    Attributes:
        method: `zero`; `mean`, over reference texts; or `resample`, the value at the same position
            of another reference text, drawn once for each measured one.
        reference: texts; None for the measured ones (of pairs, clean and corrupted).
        each_position: a mean for each position, over the texts that have it; otherwise one mean
            over all positions, the first among them.
        seed: of the drawing.

    Raises:
        InputError: for another method, or options that it does not have.
    """

    method: Method = "zero"
    reference: Sequence[str] | None = None
    each_position: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(
                f'Nothing is replaced by "{self.method}". {did_you_mean(self.method, METHODS)}'
            )
        if self.method == "zero" and self.reference is not None:
            raise InputError("got reference texts; a replacement by zero has none.")
        if self.method != "mean" and self.each_position:
            raise InputError(
                f'got each_position for "{self.method}"; only a mean has it (resampling always '
                "keeps the position)."
            )

    @property
    def words(self) -> str:
        """The method in words."""
        if self.method == "mean":
            return "the mean at each position" if self.each_position else "the mean over positions"
        return {"zero": "zero", "resample": "the value on another text"}[self.method]


ZERO = Replacement()


class Values(Protocol):
    """Replacements for runs of a measure."""

    def at(self, runs: Sequence[int], length: int) -> Mapping[Site, torch.Tensor]:
        """The new value at each site, which spreads to `[run, pos, ...]`; none means zero."""


def replacing(
    model: Model, replacement: Replacement, sites: Sequence[Site], measure: Measure
) -> tuple[Values, dict[str, Any]]:
    """The new values at some sites, and what the record says of them.

    Raises:
        InputError: for reference texts that are too short, or none that is another.
    """
    if replacement.method == "zero":
        return _Zeros(), {}
    words, rows = measure.reference
    if replacement.reference is not None:
        words, rows = "texts that were given", encode_all(model, replacement.reference)
    said = {"reference": words, "reference_texts": len(rows)}
    if replacement.method == "mean":
        return _means(model, sites, rows, each=replacement.each_position), said
    sources = _drawn(measure.rows, rows, replacement.seed)
    return _Resampled(model, tuple(sites), rows, sources), {**said, "draw_seed": replacement.seed}


class _Zeros:
    def at(self, _: Sequence[int], __: int) -> Mapping[Site, torch.Tensor]:
        return {}


@dataclass(frozen=True)
class _Means:
    """Means at each site, `[pos, ...]`; of one position where they are over all."""

    means: Mapping[Site, torch.Tensor]
    each: bool

    def at(self, _: Sequence[int], length: int) -> Mapping[Site, torch.Tensor]:
        longest = min(len(mean) for mean in self.means.values()) if self.means else length
        if self.each and length > longest:
            raise InputError(
                f"got a text of {length} tokens; the longest reference text has {longest}, so that "
                "the later positions have no mean. Give longer reference texts."
            )
        return {site: mean[:length] for site, mean in self.means.items()}


def _means(
    model: Model, sites: Sequence[Site], rows: Sequence[Sequence[int]], *, each: bool
) -> _Means:
    import torch

    if not sites:
        return _Means({}, each)
    longest = max(map(len, rows))
    sums: dict[Site, torch.Tensor] = {}
    counts = torch.zeros(longest, dtype=torch.float64)
    with torch.no_grad():
        for _, tokens in by_length(model, rows):

            def work(part: slice, tokens: torch.Tensor = tokens) -> dict[Site, torch.Tensor]:
                values = forward(model, tokens[part], read=sites).values
                return {site: values[site].float().sum(0).cpu().double() for site in sites}

            length = tokens.shape[1]
            counts[:length] += len(tokens)
            for _, found in in_batches(work, len(tokens), max(1, POSITIONS_AT_ONCE // length)):
                for site, total in found.items():
                    if site not in sums:
                        sums[site] = total.new_zeros(longest, *total.shape[1:])
                    sums[site][:length] += total
    means = {}
    for site, total in sums.items():
        shape = [-1] + [1] * (total.ndim - 1)
        mean = total / counts.view(shape) if each else total.sum(0, keepdim=True) / counts.sum()
        means[site] = mean.float().to(model.device)
    return _Means(means, each)


@dataclass(frozen=True)
class _Resampled:
    """Values on the reference text that was drawn for each run."""

    model: Model
    sites: tuple[Site, ...]
    rows: Sequence[Sequence[int]]
    sources: Sequence[int] = field(repr=False)

    def at(self, runs: Sequence[int], length: int) -> Mapping[Site, torch.Tensor]:
        import torch

        if not self.sites:
            return {}
        # What comes after a position does not change its value: the beginning is enough.
        ids = [list(self.rows[self.sources[run]][:length]) for run in runs]
        tokens = torch.tensor(ids, device=self.model.device)
        with torch.no_grad():
            return forward(self.model, tokens, read=self.sites).values


def _drawn(runs: Sequence[Sequence[int]], rows: Sequence[Sequence[int]], seed: int) -> list[int]:
    """For each run, another text that is at least as long."""
    import numpy as np

    generator = np.random.default_rng(seed)
    sources = []
    for number, run in enumerate(runs):
        length = len(run)
        others = [
            place
            for place, row in enumerate(rows)
            if len(row) >= length and list(row[:length]) != list(run)
        ]
        if not others:
            raise InputError(
                f"text {number} has {length} tokens, and no other reference text is as long; "
                "resampling takes a value from the same position of another text. Give longer "
                "reference texts."
            )
        sources.append(int(generator.choice(others)))
    return sources
