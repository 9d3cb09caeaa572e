"""One forward pass in which sites are read and replaced.

The hooks are torch's own, on transformers' own modules, and are gone when the pass ends. Queries,
keys, values and patterns are reached where every family hands them over: its attention function.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from workbench.errors import InputError
from workbench.sites import VOCABULARY, Site, expand_sites

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import torch

    from workbench.anatomy import Anatomy
    from workbench.model import Model

    Edit = Callable[[torch.Tensor], torch.Tensor]

__all__ = ["Forward", "edited", "forward", "sites_in"]

READ_ONLY = frozenset({"router", "routing"})

_EAGER = "eager"


@dataclass(frozen=True)
class Forward:
    """What one pass gave.

    Attributes:
        values: by site, as `VOCABULARY` names the axes, the batch first: `[batch, pos, d_model]`
            for the residual stream.
        logits: `[batch, pos, vocabulary]`; None where they were not asked for.
    """

    values: Mapping[Site, torch.Tensor]
    logits: torch.Tensor | None


def forward(
    model: Model,
    tokens: torch.Tensor,
    *,
    read: Iterable[Site] = (),
    edit: Mapping[Site, Edit] | None = None,
    logits: Literal["none", "last", "all"] = "none",
) -> Forward:
    """Run the model once; read sites and replace their values on the way.

    Gradients are kept where the caller keeps them: wrap in `torch.no_grad()` where they are not
    wanted.

    Args:
        model: a loaded model.
        tokens: ids `[batch, pos]`, all real: rows are equally long or padded on the right.
        read: sites whose value is wanted. Where one is also replaced, the new value is given.
        edit: site -> function from its value to the value to go on with, of the same shape.
        logits: of no position, the last, or all. With none, the pass stops after the deepest site
            that is read, and the output head never runs.

    Raises:
        InputError: for a layer that is not there, a site that cannot be replaced, tokens that are
            empty or longer than the context.
        ModelError: for a site that this model does not have.
    """
    import torch

    _require_fitting(model, tokens)
    anatomy = model.anatomy
    wanted = {site.at(anatomy.n_layers) for site in read}
    edits = _resolved(anatomy, edit or {})
    taps = _Taps(anatomy, wanted, edits, stops=logits == "none")
    with taps.in_place():
        if logits == "none":
            _until_stopped(anatomy.body, tokens)
            return Forward(taps.values, None)
        # As positions, not as a number: given a number, a network whose layers share keys and
        # values drops all other positions long before the head.
        first = tokens.shape[1] - 1 if logits == "last" else 0
        keep = torch.arange(first, tokens.shape[1], device=tokens.device)
        given = model.hf(input_ids=tokens, use_cache=False, logits_to_keep=keep).logits
    return Forward(taps.values, given)


@contextmanager
def edited(model: Model, edits: Mapping[Site, Edit]) -> Iterator[None]:
    """While this is entered, every pass through the model's network goes through these edits.

    Also passes that others start: scoring, generation, a layer that is called alone.

    Raises:
        InputError: for a layer that is not there, or a site that cannot be replaced.
        ModelError: for a site that this model does not have.
    """
    taps = _Taps(model.anatomy, set(), _resolved(model.anatomy, edits), stops=False)
    with taps.in_place():
        yield


def sites_in(model: Model, name: str) -> tuple[Site, ...]:
    """The sites of one name, in every layer that has it.

    Raises:
        InputError: for a name that is not in the vocabulary.
        ModelError: where no layer has it, with the reason.
    """
    anatomy = model.anatomy
    sites = [Site(name, layer) for layer in range(anatomy.n_layers)]
    found = tuple(site for site in sites if name in anatomy.sites_of(site.layer))
    if not found:
        anatomy.place(sites[-1])  # raises with the reason
    return found


def _resolved(anatomy: Anatomy, edits: Mapping[Site, Edit]) -> dict[Site, Edit]:
    resolved = {site.at(anatomy.n_layers): change for site, change in edits.items()}
    for site in resolved:
        attention = anatomy.part(site.layer, anatomy.layout.attention)
        if site.name in READ_ONLY:
            raise InputError(f"{site} can be read, but not replaced.")
        if site.name in {"k", "v"} and getattr(attention, "store_full_length_kv", False):
            raise InputError(
                f"{site} can be read, but not replaced: later layers share it, and would go on "
                "with the old one."
            )
    return resolved


def _require_fitting(model: Model, tokens: torch.Tensor) -> None:
    if tokens.ndim != 2 or tokens.numel() == 0:  # noqa: PLR2004 - [batch, pos]
        raise InputError(
            f"got tokens of shape {list(tokens.shape)}; expected [batch, pos] with at least one."
        )
    if model.context_length is not None and tokens.shape[1] > model.context_length:
        raise InputError(
            f"got {tokens.shape[1]} tokens; the model's context has {model.context_length}. "
            "Nothing is cut off silently: shorten the text."
        )


def _until_stopped(body: Any, tokens: torch.Tensor) -> None:
    try:
        body(input_ids=tokens, use_cache=False)
    except _StopForward:
        return


class _StopForward(Exception):  # noqa: N818 - a signal, not an error
    """Everything that was asked for has been read."""


@dataclass
class _Taps:
    """The hooks of one pass and what they saw."""

    anatomy: Anatomy
    wanted: set[Site]
    edits: Mapping[Site, Edit]
    stops: bool
    values: dict[Site, torch.Tensor] = field(default_factory=dict)
    _shape: tuple[int, int] = (0, 0)
    _entered: dict[int, torch.Tensor] = field(default_factory=dict)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Hooks on, and off again whatever happens."""
        touched = self.wanted | set(self.edits)
        # In the order of the pass: which of two hooks on a module comes first is no accident.
        ordered = expand_sites(touched, self.anatomy.n_layers) if touched else ()
        places = {site: self.anatomy.place(site) for site in ordered}
        attention: dict[Any, int] = {}
        with ExitStack() as stack:
            # A layer's own input comes first: it tells the shape to the other hooks.
            for layer in sorted({site.layer for site in touched}):
                self._on_input(stack, self.anatomy.layers[layer], self._entering(layer))
            for site, place in places.items():
                match place.kind:
                    case "input":
                        self._on_input(stack, place.module, self._changing(site))
                    case "output":
                        self._on_output(stack, place.module, self._changing(site))
                    case "middle":
                        self._on_middle(stack, site, place.module)
                    case "attention":
                        attention[place.module] = site.layer
                    case "router":
                        stack.enter_context(
                            _removed(place.module.register_forward_hook(self._routed(site, place)))
                        )
                    case _:  # the layer's input, which has its hook already
                        pass
            if attention:
                stack.enter_context(_observed_attention(attention, self._attending))
            yield

    def _on_input(self, stack: ExitStack, module: Any, change: Edit) -> None:
        def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if args:
                return (change(args[0]), *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

        stack.enter_context(_removed(module.register_forward_pre_hook(hook, with_kwargs=True)))

    def _on_output(self, stack: ExitStack, module: Any, change: Edit) -> None:
        def hook(_: Any, __: Any, output: Any) -> Any:
            if isinstance(output, tuple):
                return (change(output[0]), *output[1:])
            return change(output)

        stack.enter_context(_removed(module.register_forward_hook(hook)))

    def _on_middle(self, stack: ExitStack, site: Site, module: Any) -> None:
        """The stream after attention is a sum inside the layer: attention's part is replaced."""
        if site in self.edits:
            adds = self.anatomy.place(Site("attn_out", site.layer)).module
            edit = self.edits[site]

            def add(attn_out: torch.Tensor) -> torch.Tensor:
                entered = self._entered[site.layer]
                return edit(entered + attn_out) - entered

            self._on_output(stack, adds, add)
        if site in self.wanted:
            self._on_input(stack, module, lambda value: self._keep(site, value))

    def _entering(self, layer: int) -> Edit:
        site = Site("resid_pre", layer)

        def enter(value: torch.Tensor) -> torch.Tensor:
            self._shape = (value.shape[0], value.shape[1])
            value = self._changed(site, value)
            self._entered[layer] = value
            return value

        return enter

    def _changing(self, site: Site) -> Edit:
        """Show a value with the site's own axes, and give it back as the module had it."""

        def change(value: torch.Tensor) -> torch.Tensor:
            heads = (self.anatomy.heads,) if site.name == "head_out" else ()
            shown = value.reshape(*self._shape, *heads, -1)
            return self._changed(site, shown).reshape(value.shape)

        return change

    def _changed(self, site: Site, value: torch.Tensor) -> torch.Tensor:
        edit = self.edits.get(site)
        if edit is not None:
            new = edit(value)
            if new.shape != value.shape:
                raise InputError(
                    f"the replacement for {site} has the shape {list(new.shape)}; expected "
                    f"{list(value.shape)}: batch, {', '.join(VOCABULARY[site.name].axes)}."
                )
            value = new
        return self._keep(site, value)

    def _keep(self, site: Site, value: torch.Tensor) -> torch.Tensor:
        if site in self.wanted:
            self.values[site] = value
            if self.stops and len(self.values) == len(self.wanted):
                raise _StopForward
        return value

    def _routed(self, site: Site, place: Any) -> Callable[[Any, Any, Any], None]:
        def hook(_: Any, __: Any, output: Any) -> None:
            if site.name == "router":
                value = output[place.index] if isinstance(output, tuple) else output
            else:
                value = _dense_routing(output, self.anatomy.layout.routing)
            self._keep(site, value.reshape(*self._shape, -1))

        return hook

    def _attending(self, layer: int, attend: Callable[..., Any], inputs: _AttentionInputs) -> Any:
        """Attention with its queries, keys, values and pattern read and replaced."""
        query, key, value = (
            self._heads(Site(name, layer), states)
            for name, states in (("q", inputs.query), ("k", inputs.key), ("v", inputs.value))
        )
        mixed, pattern = attend(inputs.module, query, key, value, *inputs.rest, **inputs.options)
        site = Site("pattern", layer)
        new = self._changed(site, pattern)
        if site in self.edits:
            groups = new.shape[1] // value.shape[1]
            mixed = (new @ value.repeat_interleave(groups, dim=1)).transpose(1, 2)
        return mixed, new

    def _heads(self, site: Site, states: torch.Tensor) -> torch.Tensor:
        """`[batch, head, pos, d_head]` shown as `[batch, pos, head, d_head]`."""
        if site not in self.wanted and site not in self.edits:
            return states
        return self._changed(site, states.transpose(1, 2)).transpose(1, 2)


def _dense_routing(output: Any, indices: tuple[int, int] | None) -> torch.Tensor:
    """The weight of each expert `[token, expert]`: 0 where it is not chosen."""
    import torch

    if indices is None:
        weights: torch.Tensor = output[0]
        return weights
    weights, experts = output[indices[0]], output[indices[1]]
    dense = torch.zeros_like(output[0], dtype=weights.dtype)
    return dense.scatter(-1, experts, weights)


@contextmanager
def _removed(handle: Any) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()


@dataclass(frozen=True)
class _AttentionInputs:
    """What a family's attention module hands to its attention function."""

    module: Any
    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    rest: tuple[Any, ...]
    options: dict[str, Any]


@contextmanager
def _observed_attention(
    layers: Mapping[Any, int], observe: Callable[[int, Callable[..., Any], _AttentionInputs], Any]
) -> Iterator[None]:
    """The attention function of these modules shows what it is given, for as long as this holds.

    transformers looks the function up by the kernel's name at each call, in a table that accepts
    functions of one's own; the family's own eager function still does the computing.
    """
    code = sys.modules[type(next(iter(layers))).__module__]
    functions: Any = code.ALL_ATTENTION_FUNCTIONS
    before = dict(functions).get(_EAGER)

    def attention(
        module: Any, query: Any, key: Any, value: Any, *rest: Any, **options: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        own = before or sys.modules[type(module).__module__].eager_attention_forward
        layer = layers.get(module)
        if layer is None:
            found: tuple[torch.Tensor, torch.Tensor] = own(
                module, query, key, value, *rest, **options
            )
            return found
        inputs = _AttentionInputs(module, query, key, value, rest, options)
        seen: tuple[torch.Tensor, torch.Tensor] = observe(layer, own, inputs)
        return seen

    functions[_EAGER] = attention
    try:
        yield
    finally:
        if before is None:
            del functions[_EAGER]
        else:
            functions[_EAGER] = before
