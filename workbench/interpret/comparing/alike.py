"""Two models side by side: whether they have the same parts, and what both make of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.errors import InputError
from workbench.forward import forward

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from workbench.model import Model
    from workbench.sites import Site

__all__ = [
    "parts_of",
    "provenance_of_both",
    "require_alike",
    "values_of_both",
]

_SHOWN = 3
# What a folder says of itself, and of how it was saved.
_UNIMPORTANT = frozenset(
    {"_name_or_path", "name_or_path", "transformers_version", "architectures", "dtype"}
)


def require_alike(first: Model, second: Model) -> None:
    """Refuse two models that cannot be compared part by part.

    Raises:
        InputError: naming what differs: class, tokenizer, a tensor's shape.
    """
    differs = list(_differences(first, second))
    if differs:
        more = f" (and {len(differs) - _SHOWN} more)" if len(differs) > _SHOWN else ""
        raise InputError(
            f"{first.name} and {second.name} cannot be compared part by part: "
            f"{'; '.join(differs[:_SHOWN])}{more}. Expected two checkpoints of one architecture "
            "with one tokenizer."
        )


def parts_of(model: Model) -> dict[str, torch.Tensor]:
    """The model's tensors by name, each shared one once."""
    seen: set[int] = set()
    parts = {}
    for name, tensor in model.hf.state_dict().items():
        place = tensor.data_ptr()
        # Empty tensors all have the same address.
        if place in seen and tensor.numel():
            continue
        seen.add(place)
        parts[name] = tensor
    return parts


def values_of_both(
    first: Model, second: Model, tokens: torch.Tensor, sites: Sequence[Site]
) -> tuple[Mapping[Site, torch.Tensor], Mapping[Site, torch.Tensor]]:
    """The values of sites in two models that read the same tokens."""
    one = forward(first, tokens, read=sites).values
    return one, forward(second, tokens.to(second.device), read=sites).values


def provenance_of_both(first: Model, second: Model, method: str) -> dict[str, Any]:
    """What a comparison rests on: both models, and settings that no tensor's shape shows."""
    return {
        "weights_digest": first.provenance.weights_digest,
        "second_weights_digest": second.provenance.weights_digest,
        "method": method,
        "settings_that_differ": _settings_that_differ(first, second),
    }


def _settings_that_differ(first: Model, second: Model) -> dict[str, list[Any]]:
    one, other = (model.hf.config.get_text_config().to_dict() for model in (first, second))
    return {
        name: [one.get(name), other.get(name)]
        for name in sorted((one.keys() | other.keys()) - _UNIMPORTANT)
        if one.get(name) != other.get(name)
    }


def _differences(first: Model, second: Model) -> list[str]:
    one, other = (model.provenance.architecture for model in (first, second))
    if one != other:
        return [f"{one} against {other}"]
    found = []
    words, others = (model.tokenizer.get_vocab() for model in (first, second))
    if words != others:
        changed = sum(others.get(word) != token for word, token in words.items())
        found.append(
            f"tokenizers of {len(words):,} and {len(others):,} tokens, in which {changed:,} of the "
            "first's have another id or none"
        )
    parts, counterparts = parts_of(first), parts_of(second)
    for name in sorted(parts.keys() | counterparts.keys()):
        shapes = [
            str(list(tensors[name].shape)) if name in tensors else "nothing"
            for tensors in (parts, counterparts)
        ]
        if shapes[0] != shapes[1]:
            found.append(f"{name} of shape {shapes[0]} against {shapes[1]}")
    return found
