"""Exact patching of every layer and position, without computing anything twice.

A patched run differs from the corrupted one only after its layer and from its position on. So a
patch is a row that enters at its layer, begins at its position, and goes through the rest beside
all the others; the last layer and the head run only where the answer is read; and where the
patched value is the corrupted one there is nothing to run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.batches import in_batches
from workbench.forward import forward
from workbench.interpret.patching.fused import fused_activations
from workbench.interpret.patching.replay import CannotReplayError, Recording, record
from workbench.sites import Site

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from workbench.interpret.readout import Readout
    from workbench.model import Model

    Rows = list[tuple[int, torch.Tensor]]

__all__ = ["Sweep", "Way"]

POSITIONS_AT_ONCE = 1024
"""Rows x positions that go through a layer together: more do not fit a processor's cache."""

PROBED = 2
"""Runs on which a way is tried."""


@dataclass(frozen=True)
class Way:
    """How patched runs are computed.

    Attributes:
        name: for the record.
        positions: whether rows begin at the patched position.
        ends: whether the last layer runs only where the answer is read.
    """

    name: str
    positions: bool
    ends: bool


WAYS = (
    Way("from the patched layer and position on", positions=True, ends=True),
    Way(
        "from the patched layer and position on, the last layer in full", positions=True, ends=False
    ),
    Way("from the patched layer on", positions=False, ends=False),
)
WHOLE = Way("each patched run in full", positions=False, ends=False)


class Sweep:
    """Patched runs of a model over the residual stream.

    Which way is taken is decided by trying: the fastest whose results equal full forward passes
    with a hook, on patches of the network's begin and middle, and on a patch that changes nothing.

    Attributes:
        way: how patched runs are computed.
        difference: the largest difference from full passes, where `way` was tried; 0 for full ones.
        corrupted: each run's result without a patch `[run]`.
        entered: the corrupted stream that entered each layer, and left the last
            `[run, pos, d_model]`.
    """

    def __init__(self, model: Model, readout: Readout) -> None:
        import torch

        self._model = model
        self._anatomy = model.anatomy
        self._readout = readout
        self._recording: Recording | None = None
        self.way, self.difference = WHOLE, 0.0
        with torch.no_grad():
            try:
                self._recording = record(self._anatomy, readout.corrupted)
                self.entered = self._recording.entered
            except CannotReplayError:
                self.entered = self._stream(readout.corrupted)
            everything = torch.arange(len(readout.corrupted), device=model.device)
            self.corrupted = self._read(self.entered[-1], everything)
            self._choose_way()

    def stream(self, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What enters each layer of a run over these tokens, and what leaves the last."""
        import torch

        with torch.no_grad():
            return self._stream(tokens)

    def patched(
        self, values: torch.Tensor, layers: range, positions: Sequence[int] | None = None
    ) -> torch.Tensor:
        """Results of runs whose residual stream is replaced at one position `[layer, pos, run]`.

        Args:
            values: what the stream becomes `[layer, run, pos, d_model]`.
            layers: before which layer each is put; the number of layers means after the last.
            positions: all of the prompt's where it is None.
        """
        import torch

        wanted = range(self._readout.prompt) if positions is None else positions
        with torch.no_grad():
            first = self._readout.first_changed()
            columns = [_Column(at, at + 1, values[:, :, at : at + 1]) for at in wanted]
            return torch.stack([self._column(one, layers, first) for one in columns], dim=1)

    def patched_together(self, values: torch.Tensor, layers: range) -> torch.Tensor:
        """The same with every position of the prompt replaced at once `[layer, run]`."""
        import torch

        with torch.no_grad():
            first = self._readout.first_changed()
            start, stop = int(first.min()), self._readout.prompt
            if start == stop:
                return self.corrupted.expand(len(layers), -1)
            return self._column(_Column(start, stop, values[:, :, start:stop]), layers, first)

    def _column(self, column: _Column, layers: range, first: torch.Tensor) -> torch.Tensor:
        """Results of the patches that begin at one position `[layer, run]`."""
        results = self.corrupted.expand(len(layers), -1).clone()
        rows: Rows = []
        for index, layer in enumerate(layers):
            here = self.entered[layer][:, column.start : column.stop]
            differs = (column.values[index] != here).flatten(1).any(dim=1)
            # Before the prompts part, equal inputs gave equal values, whatever was rounded.
            runs = (differs & (first < column.stop)).nonzero().flatten()
            if len(runs):
                rows.append((index, runs))
        for (index, runs), scores in zip(rows, self._run(column, layers, rows), strict=True):
            results[index, runs] = scores
        return results

    def _run(self, column: _Column, layers: range, rows: Rows) -> list[torch.Tensor]:
        """The results of rows: for each of some layers, the runs that are patched before it."""
        if not rows:
            return []
        if self.way is WHOLE:
            return self._whole(column, layers, rows)
        with fused_activations(self._anatomy.layers):
            return self._replayed(column, layers, rows)

    def _replayed(self, column: _Column, layers: range, rows: Rows) -> list[torch.Tensor]:
        """Rows that enter at their layer and go through the rest of the layers together."""
        import torch

        assert self._recording is not None
        begin = column.start if self.way.positions else 0
        waiting = {layers[index]: (index, runs) for index, runs in rows}
        state = self.entered[0].new_empty((0, self.entered[0].shape[1] - begin, self._width))
        runs = rows[0][1].new_empty(0)
        for layer in range(min(waiting), self._anatomy.n_layers + 1):
            if layer in waiting:
                index, new = waiting[layer]
                stream = self.entered[layer][new, begin:].clone()
                at = slice(column.start - begin, column.stop - begin)
                stream[:, at] = column.values[index, new]
                # A row that was cut down to its end where it left the last layer fits again.
                state = torch.cat([state, stream[:, -state.shape[1] :]])
                runs = torch.cat([runs, new])
            if layer < self._anatomy.n_layers:
                state = self._through(layer, state, runs, begin)
        scores = self._read(state, runs)
        return list(scores.split([len(new) for _, new in rows]))

    def _through(
        self, layer: int, state: torch.Tensor, runs: torch.Tensor, begin: int
    ) -> torch.Tensor:
        import torch

        assert self._recording is not None
        replay, last = self._recording, self._readout.last
        final = layer == self._anatomy.n_layers - 1

        def some(part: slice) -> torch.Tensor:
            if final and self.way.ends:
                return replay.ends(layer, state[part], runs[part], begin, last)
            return replay.layer(layer, state[part], runs[part], begin)

        size = max(1, POSITIONS_AT_ONCE // state.shape[1])
        return torch.cat([done for _, done in in_batches(some, len(runs), size)])

    def _whole(self, column: _Column, layers: range, rows: Rows) -> list[torch.Tensor]:
        """The same by forward passes with a hook, one for each layer."""
        import torch

        n_layers = self._anatomy.n_layers

        def patched(index: int, runs: torch.Tensor) -> torch.Tensor:
            def put(value: torch.Tensor) -> torch.Tensor:
                value = value.clone()
                value[:, column.start : column.stop] = column.values[index, runs]
                return value

            layer = layers[index]
            place = Site("resid_pre", layer) if layer < n_layers else Site("resid_post", -1)
            tokens = self._readout.corrupted[runs]
            end = Site("resid_post", n_layers - 1)
            stream = forward(self._model, tokens, read=[end], edit={place: put}).values[end]
            return self._read(stream, runs)

        size = max(1, POSITIONS_AT_ONCE // self._readout.corrupted.shape[1])
        return [
            torch.cat(
                [
                    done
                    for _, done in in_batches(
                        lambda part, index=index, runs=runs: patched(index, runs[part]),  # type: ignore[misc]
                        len(runs),
                        size,
                    )
                ]
            )
            for index, runs in rows
        ]

    @property
    def _width(self) -> int:
        return self.entered[0].shape[-1]

    def _stream(self, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
        n_layers = self._anatomy.n_layers
        sites = [Site("resid_pre", layer) for layer in range(n_layers)]
        sites.append(Site("resid_post", n_layers - 1))
        values = forward(self._model, tokens, read=sites).values
        return tuple(values[site] for site in sites)

    def _read(self, residual: torch.Tensor, runs: torch.Tensor) -> torch.Tensor:
        return self._readout.score(self._anatomy, residual[:, -self._readout.last :], runs)

    def _choose_way(self) -> None:
        """The fastest way whose results are those of full passes."""
        import torch

        if self._recording is None:
            return
        few = torch.arange(len(self.corrupted), device=self.corrupted.device)[:PROBED]
        expected = torch.stack([*self._probe(few), self.corrupted[few]])
        for way in WAYS:
            if way.positions and not self._recording.can_skip_positions():
                continue
            self.way = way
            try:
                found = torch.stack([*self._probe(few), *self._nothing(few)])
            except Exception:  # noqa: BLE001, S112 - a layer may object in any way to being called alone
                continue
            self.difference = float((found - expected).abs().max())
            if self.difference <= _tolerance(expected, self.entered[0].dtype):
                return
        self.way, self.difference = WHOLE, 0.0

    def _probe(self, runs: torch.Tensor) -> list[torch.Tensor]:
        """Results `[run]` of a patch before the first layer, and of one in the middle."""
        prompt, middle = self._readout.prompt, self._anatomy.n_layers // 2
        found = []
        for layer, start in ((0, prompt // 3), (middle, prompt // 2)):
            # Any other values serve: the run's own, turned round.
            values = self.entered[layer].flip(-1)[None, :, start : start + 1]
            found += self._run(
                _Column(start, start + 1, values), range(layer, layer + 1), [(0, runs)]
            )
        return found

    def _nothing(self, runs: torch.Tensor) -> list[torch.Tensor]:
        """Results `[run]` of putting the value that was there, at the prompt's last position."""
        last, middle = self._readout.prompt - 1, self._anatomy.n_layers // 2
        same = _Column(last, last + 1, self.entered[middle][None, :, last : last + 1])
        return self._run(same, range(middle, middle + 1), [(0, runs)])


@dataclass(frozen=True)
class _Column:
    """Patches of the positions from `start` to `stop`, with their values `[layer, run, pos, d]`."""

    start: int
    stop: int
    values: torch.Tensor


def _tolerance(expected: torch.Tensor, dtype: torch.dtype) -> float:
    """What rounding explains: results have passed through a network of the weights' precision."""
    import torch

    return max(1.0, float(expected.abs().max())) * max(1e-4, 8 * torch.finfo(dtype).eps)
