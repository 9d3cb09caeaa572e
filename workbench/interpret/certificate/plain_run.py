"""A plain run: the same weights in a network made anew, run by transformers alone.

It is told apart from the workbench's own hooks on purpose: another way of reaching the same values.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.anatomy import Anatomy, anatomy_of
from workbench.sites import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from workbench.model import Model

__all__ = ["PlainRun", "plain_run"]


@dataclass
class PlainRun:
    """A run of a network that nobody hooked but this.

    Attributes:
        anatomy: of the network.
        seen: values that transformers does not report, as the plain modules had them.
        output: what transformers reports.
    """

    anatomy: Anatomy
    seen: dict[Site, torch.Tensor] = field(default_factory=dict)
    output: Any = None

    def compare(self, site: Site, captured: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, str]:
        """A captured value and its reference, in the same shape, and the reference's name."""
        states = self.output.hidden_states
        if site.name == "resid_pre":
            return captured, states[site.layer], "hidden_states"
        if site.name == "resid_post":
            if site.layer == self.anatomy.n_layers - 1:
                # transformers gives the last hidden state after the final norm.
                return self.anatomy.final_norm(captured), states[-1], "hidden_states, normed"
            return captured, states[site.layer + 1], "hidden_states"
        if site.name == "pattern":
            with_pattern = [
                layer
                for layer in range(self.anatomy.n_layers)
                if "pattern" in self.anatomy.sites_of(layer)
            ]
            return captured, self.output.attentions[with_pattern.index(site.layer)], "attentions"
        return captured, self.seen[site].reshape(captured.shape), "the plain module's value"


def plain_run(model: Model, tokens: torch.Tensor, sites: tuple[Site, ...]) -> PlainRun:
    """Run a model's weights in a network made anew `[prompt, pos]`, watching some sites."""
    network = model.plain()
    run = PlainRun(anatomy_of(network))
    with ExitStack() as stack:
        for site in sites:
            if site.name not in {"resid_pre", "resid_post", "pattern", "q", "k", "v"}:
                stack.callback(_watch(run, site).remove)
        if any(site.name in {"q", "k", "v"} for site in sites):
            stack.enter_context(_watched_attention(run))
        run.output = network(
            tokens, output_hidden_states=True, output_attentions=True, use_cache=False
        )
    return run


def _watch(run: PlainRun, site: Site) -> Any:
    place = run.anatomy.place(site)

    def given(_: Any, args: tuple[Any, ...]) -> None:
        run.seen[site] = args[0]

    def gave(_: Any, __: Any, output: Any) -> None:
        if site.name == "routing":
            run.seen[site] = _spread(output, run.anatomy)
            return
        found = output if not isinstance(output, tuple) else output[place.index]
        run.seen[site] = found

    if place.kind in {"input", "middle"}:
        return place.module.register_forward_pre_hook(given)
    return place.module.register_forward_hook(gave)


def _spread(output: Any, anatomy: Anatomy) -> torch.Tensor:
    """Each token's weight for each expert, entry by entry."""
    import torch

    if anatomy.layout.routing is None:
        every: torch.Tensor = output[0]
        return every
    weights, experts = (output[index] for index in anatomy.layout.routing)
    chosen = torch.nn.functional.one_hot(experts, output[0].shape[-1])
    spread: torch.Tensor = (chosen * weights.unsqueeze(-1)).sum(dim=-2)
    return spread


@contextmanager
def _watched_attention(run: PlainRun) -> Iterator[None]:
    """The network's own attention function, in its own source file, tells what it is given."""
    layout = run.anatomy.layout
    layers = {
        module: layer
        for layer in range(run.anatomy.n_layers)
        if (module := run.anatomy.part(layer, layout.attention)) is not None
    }
    code: Any = sys.modules[type(next(iter(layers))).__module__]
    own = code.eager_attention_forward

    def told(module: Any, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        layer = layers.get(module)
        if layer is not None:
            for name, states in (("q", query), ("k", key), ("v", value)):
                run.seen[Site(name, layer)] = states.transpose(1, 2)
        return own(module, query, key, value, *args, **kwargs)

    code.eager_attention_forward = told
    try:
        yield
    finally:
        code.eager_attention_forward = own
