"""A norm as the linear map that it is once its scale is fixed.

A norm divides by the size of the whole vector, which no part of the vector has alone. With this
size taken from the whole and kept, the norm of a sum is the sum of the norms of its parts, and each
part has a share (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from workbench.errors import ModelError

if TYPE_CHECKING:
    import torch

__all__ = ["FrozenNorm"]


@dataclass(frozen=True)
class FrozenNorm:
    """A norm at given vectors: `x -> (x - mean) * factor + bias`, the mean only where it centres.

    Attributes:
        factor: gain times scale `[row, d_model]`.
        bias: `[d_model]`; 0 where the norm has none.
        centred: whether the mean is taken off first, as LayerNorm does.
    """

    factor: torch.Tensor
    bias: torch.Tensor
    centred: bool

    @classmethod
    def at(cls, norm: Any, vectors: torch.Tensor) -> Self:
        """The norm with the scale that it has at these vectors `[row, d_model]`.

        Raises:
            ModelError: for a norm that is neither LayerNorm nor RMSNorm: it is held against the
                module's own output.
        """
        import torch

        wide = vectors.float()
        centred = isinstance(norm, torch.nn.LayerNorm)
        if isinstance(norm, torch.nn.LayerNorm):
            squares, eps = wide.var(dim=-1, unbiased=False, keepdim=True), norm.eps
            one = torch.ones_like(wide[0])
            gain = one if norm.weight is None else norm.weight.float()
            bias = torch.zeros_like(one) if norm.bias is None else norm.bias.float()
        else:
            squares = wide.square().mean(dim=-1, keepdim=True)
            eps = getattr(norm, "variance_epsilon", getattr(norm, "eps", 0.0))
            # Families write the gain as w or as 1 + w: the norm of ones says which.
            gain = norm(torch.ones_like(wide[0])).float() * (1 + eps) ** 0.5
            bias = torch.zeros_like(gain)
        found = cls(gain * torch.rsqrt(squares + eps), bias, centred)
        found._require_equal(norm, vectors)
        return found

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """The norm's output `[row, d_model]`, bias included, in float32."""
        wide = vectors.float()
        if self.centred:
            wide = wide - wide.mean(dim=-1, keepdim=True)
        return wide * self.factor + self.bias

    def pulled_back(self, direction: torch.Tensor) -> torch.Tensor:
        """The direction before the norm that measures what `direction` measures after it.

        The bias is the norm's own, and no part's.

        Args:
            direction: `[row, d_model]`.
        """
        before = direction * self.factor
        return before - before.mean(dim=-1, keepdim=True) if self.centred else before

    def _require_equal(self, norm: Any, vectors: torch.Tensor) -> None:
        import torch

        expected = norm(vectors).float()
        gap = (self(vectors) - expected).abs().max()
        # Rounding stays far below this, and another form of norm far above.
        allowed = torch.finfo(vectors.dtype).eps ** 0.5 * expected.abs().max().clamp(min=1)
        if gap > allowed:
            raise ModelError(
                f"got a {type(norm).__name__} that is neither LayerNorm nor RMSNorm (it differs by "
                f"{gap:.2g}), so that the parts of its input have no shares in its output. Nothing "
                "is attributed through it."
            )
