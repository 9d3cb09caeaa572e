"""A norm with its scale frozen: the norm itself, and linear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from workbench.errors import ModelError
from workbench.interpret.attribution.frozen_norm import FrozenNorm

if TYPE_CHECKING:
    from workbench.model import Model


class Unknown(torch.nn.Module):
    """Neither LayerNorm nor RMSNorm."""

    eps = 1e-6

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return torch.tanh(value)


def test_the_frozen_norm_is_the_norm_itself(family: Model) -> None:
    value = torch.randn(3, 32, generator=torch.Generator().manual_seed(0)) * 2 + 0.5
    norm = family.anatomy.final_norm
    frozen = FrozenNorm.at(norm, value)
    with torch.no_grad():
        assert torch.allclose(frozen(value), norm(value), atol=1e-5)
        # Linear but for the bias: the shares of parts add up.
        first, second = value * 0.3, value * 0.7
        assert torch.allclose(
            frozen(first) + frozen(second) - frozen.bias, frozen(value), atol=1e-5
        )
        direction = torch.randn(3, 32, generator=torch.Generator().manual_seed(1))
        before = (first * frozen.pulled_back(direction)).sum(dim=-1)
        after = ((frozen(first) - frozen.bias) * direction).sum(dim=-1)
        assert torch.allclose(before, after, atol=1e-4)


def test_a_norm_of_another_form_is_refused() -> None:
    with pytest.raises(ModelError, match="neither LayerNorm nor RMSNorm"):
        FrozenNorm.at(Unknown(), torch.randn(2, 8, generator=torch.Generator().manual_seed(0)))
