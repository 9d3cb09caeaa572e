"""Layers run again from the middle of a recorded pass: from any layer, and from any position on.

A decoder layer is a function of its input, of its arguments, and of the keys and values of earlier
positions. All three are recorded once. What lies before a layer or a position is then never
computed again.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    import torch

    from workbench.anatomy import Anatomy

__all__ = ["CannotReplayError", "Recording", "record"]


class CannotReplayError(WorkbenchError):
    """The layers of this network are not functions of what was recorded."""


@dataclass(frozen=True)
class Recording:
    """One pass over some runs, and how to run its layers again.

    Attributes:
        anatomy: of the network.
        entered: what each layer was given `[run, pos, d_model]`, and last what left them all.
        arguments: what else each layer was given.
        cached: what each layer put by for later positions, as it came `[run, head, pos, d_head]`.
    """

    anatomy: Anatomy
    entered: tuple[torch.Tensor, ...]
    arguments: tuple[dict[str, Any], ...]
    cached: tuple[tuple[torch.Tensor, torch.Tensor] | None, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Number of runs and of positions."""
        runs, positions, _ = self.entered[0].shape
        return runs, positions

    def can_skip_positions(self) -> bool:
        """Whether every layer keeps its past as keys and values."""
        return all(kept is not None for kept in self.cached)

    def layer(
        self, number: int, hidden: torch.Tensor, runs: torch.Tensor, start: int
    ) -> torch.Tensor:
        """A layer's output `[row, pos, d_model]` for rows that begin at a position.

        Args:
            number: of the layer.
            hidden: its input `[row, pos, d_model]`, for the positions from `start` on.
            runs: the run whose earlier positions each row has `[row]`.
            start: 0 runs whole rows and needs no keys and values.
        """
        past = _Past(self.cached[number], runs, start) if start else None
        return self._call(number, hidden, runs, start, past)

    def ends(
        self, number: int, hidden: torch.Tensor, runs: torch.Tensor, start: int, last: int
    ) -> torch.Tensor:
        """The same for the last positions alone: `[row, last, d_model]`.

        The others give their keys and values, and no more of the layer runs for them.
        """
        others = hidden.shape[1] - last
        past = _Past(self.cached[number], runs, start)
        if others > 0:
            past.stops = True
            try:
                self._call(number, hidden[:, :others], runs, start, past)
            except _KeptEnoughError:
                past.stops = False
            if past.stops:
                raise CannotReplayError("a layer does not keep its keys and values.")
        return self._call(number, hidden[:, others:], runs, start + others, past)

    def _call(
        self, number: int, hidden: torch.Tensor, runs: torch.Tensor, start: int, past: _Past | None
    ) -> torch.Tensor:
        window = _Window(*self.shape, start, start + hidden.shape[1])
        arguments = {
            name: window.cut(value, runs) for name, value in self.arguments[number].items()
        }
        arguments[self.anatomy.layout.cache] = past
        output = self.anatomy.layers[number](hidden, **arguments)
        found: torch.Tensor = output[0] if isinstance(output, tuple) else output
        return found


def record(anatomy: Anatomy, tokens: torch.Tensor) -> Recording:
    """Run the layers once over `[run, pos]` and keep what is needed to run them again.

    Raises:
        CannotReplayError: where a layer is given something that it shares with other layers.
    """
    seen = _Seen(anatomy)
    with ExitStack() as stack:
        for number, layer in enumerate(anatomy.layers):
            handle = layer.register_forward_pre_hook(seen.entering(number), with_kwargs=True)
            stack.callback(handle.remove)
        handle = anatomy.layers[-1].register_forward_hook(seen.leaving)
        stack.callback(handle.remove)
        anatomy.body(input_ids=tokens, use_cache=False)
    for arguments in seen.arguments:
        if any(isinstance(value, Mapping) and value for value in arguments.values()):
            raise CannotReplayError("layers hand keys and values on to each other.")
        if arguments.get("prev_topk_indices") is not None:
            raise CannotReplayError("layers hand on which positions they attend to.")
    cached = tuple(seen.kept.get(number) for number in range(anatomy.n_layers))
    return Recording(anatomy, tuple(seen.entered), tuple(seen.arguments), cached)


class _KeptEnoughError(Exception):
    """The keys and values are there: the rest of the layer is not needed."""


@dataclass
class _Seen:
    """What the layers are given; each layer's cache is this object."""

    anatomy: Anatomy
    entered: list[torch.Tensor] = field(default_factory=list)
    arguments: list[dict[str, Any]] = field(default_factory=list)
    kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def entering(self, number: int) -> Any:
        signature = inspect.signature(self.anatomy.layers[number].forward)
        cache = self.anatomy.layout.cache

        def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            named = _named(signature, args, kwargs)
            self.entered.append(named.pop("hidden_states"))
            named.pop(cache, None)
            self.arguments.append(named)
            # A recurrent layer would go on from a cache that is there: it gets none.
            recurrent = self.anatomy.has_linear_attention(number)
            return (self.entered[-1],), {**named, cache: None if recurrent else _Keeper(self.kept)}

        return hook

    def leaving(self, _: Any, __: Any, output: Any) -> None:
        self.entered.append(output[0] if isinstance(output, tuple) else output)


def _named(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    bound = signature.bind(*args, **kwargs).arguments
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            bound.update(bound.pop(name, {}))
    return dict(bound)


@dataclass(frozen=True)
class _Keeper:
    """A cache that lets keys and values through, and keeps them."""

    kept: dict[int, tuple[torch.Tensor, torch.Tensor]]

    def get_seq_length(self, *_: Any) -> int:
        """Nothing went before."""
        return 0

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What transformers asks of a cache: the keys and values so far."""
        self.kept[layer_idx] = (keys, values)
        return keys, values

    def update_indexer(self, keys: torch.Tensor, *_: Any) -> torch.Tensor:
        """The same for the keys of a sparse attention's indexer."""
        return keys


@dataclass
class _Past:
    """A cache that begins with a recorded run's keys and values."""

    recorded: tuple[torch.Tensor, torch.Tensor] | None
    runs: torch.Tensor
    start: int
    stops: bool = False
    more: tuple[torch.Tensor, torch.Tensor] | None = None

    def get_seq_length(self, *_: Any) -> int:
        """Positions that went before."""
        return self.start + (0 if self.more is None else self.more[0].shape[-2])

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What transformers asks of a cache: the keys and values so far."""
        import torch

        if self.stops:
            self.more = (keys, values)
            raise _KeptEnoughError
        parts = [self.more, (keys, values)] if self.more is not None else [(keys, values)]
        if self.start:
            if self.recorded is None:
                raise CannotReplayError("a layer keeps no keys and values.")
            before = tuple(kept[self.runs, :, : self.start] for kept in self.recorded)
            parts = [(before[0], before[1]), *parts]
        if len(parts) == 1:
            return parts[0]
        whole_keys, whole_values = (
            torch.cat([part[which] for part in parts], dim=-2) for which in (0, 1)
        )
        return whole_keys, whole_values

    def update_indexer(self, *_: Any) -> Any:
        """A sparse attention's indexer has keys of its own, which are not kept."""
        raise CannotReplayError("this attention chooses its positions by keys of its own.")


@dataclass(frozen=True)
class _Window:
    """Cuts what a layer was given down to some positions of some runs."""

    runs: int
    positions: int
    start: int
    stop: int

    def cut(self, value: Any, rows: torch.Tensor) -> Any:
        """The part of an argument that belongs to these positions, by its shape."""
        import torch

        if isinstance(value, (tuple, list)):
            return type(value)(self.cut(one, rows) for one in value)
        if not isinstance(value, torch.Tensor):
            return value
        if value.ndim == 4 and value.shape[-2:] == (self.positions, self.positions):  # noqa: PLR2004
            # A mask: queries by keys. Without padding it is the same in every run.
            return value[:1, :, self.start : self.stop, : self.stop].expand(len(rows), -1, -1, -1)
        if value.ndim >= 2 and value.shape[1] == self.positions:  # noqa: PLR2004 - [run, pos, …]
            part = value[:, self.start : self.stop]
            return part[rows] if self.runs > 1 and value.shape[0] == self.runs else part
        if value.ndim == 1 and value.shape[0] == self.positions:
            return value[self.start : self.stop]
        return value
