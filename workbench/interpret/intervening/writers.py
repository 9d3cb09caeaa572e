"""The tensors that write into a model's residual stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from workbench.anatomy import anatomy_of
from workbench.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Writer", "refuse_quantised", "writers"]


@dataclass(frozen=True)
class Writer:
    """A tensor that writes into the residual stream.

    Attributes:
        path: its name in the network.
        module, name: whose it is, and as what.
        axis: the one that is the stream's.
    """

    path: str
    module: Any
    name: str
    axis: int


def writers(network: Any) -> Iterator[Writer]:
    """Every tensor of a network that writes into the residual stream, biases too.

    Raises:
        ModelError: for a family whose sites are not proven, and a quantised matrix.
    """
    import torch

    anatomy = anatomy_of(network)
    layout = anatomy.layout
    paths = {module: f"{path}." for path, module in network.named_modules()}
    down = layout.down.rpartition(".")[2]
    for module in anatomy.body.children():
        if isinstance(module, torch.nn.Embedding):
            yield Writer(f"{paths[module]}weight", module, "weight", 1)
    for layer in range(anatomy.n_layers):
        linear = anatomy.has_linear_attention(layer)
        output = layout.linear_output_matrix if linear else layout.output_matrix
        assert output is not None
        yield from _of_matrix(anatomy.part(layer, output), paths)
        for module in anatomy.part(layer, layout.mlp).modules():
            matrix = getattr(module, down, None)
            if isinstance(matrix, torch.nn.Parameter):  # the experts', stacked
                yield Writer(f"{paths[module]}{down}", module, down, layout.experts_axis)
                if getattr(module, f"{down}_bias", None) is not None:
                    yield Writer(f"{paths[module]}{down}_bias", module, f"{down}_bias", 1)
            elif matrix is not None:
                yield from _of_matrix(matrix, paths)


def _of_matrix(module: Any, paths: dict[Any, str]) -> Iterator[Writer]:
    """A linear module's weights and bias."""
    import torch
    from transformers.pytorch_utils import Conv1D

    if type(module) not in {torch.nn.Linear, Conv1D}:
        refuse_quantised(f"{paths[module].rstrip('.')} is a {type(module).__name__}")
    axis = 1 if type(module) is Conv1D else 0
    yield Writer(f"{paths[module]}weight", module, "weight", axis)
    if module.bias is not None:
        yield Writer(f"{paths[module]}bias", module, "bias", 0)


def refuse_quantised(reason: str) -> NoReturn:
    """The refusal of weights that are not numbers to be changed."""
    raise ModelError(
        f"got a model whose weights are quantised, or not plain floating-point numbers: {reason}. "
        "Orthogonalising changes the weights themselves: load the model without quantisation."
    )
