"""A sparse autoencoder: what a site says, as a sum of a few of many features.

(Bricken et al. 2023, "Towards Monosemanticity"; Cunningham et al. 2023, arXiv 2309.08600.)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from workbench.errors import InputError
from workbench.interpret.examples.features import Feature, require_index

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    from workbench.model import Model
    from workbench.sites import Site

    Change = Callable[[torch.Tensor], torch.Tensor]

__all__ = ["Architecture", "Normalisation", "SparseAutoencoder"]

Architecture = Literal["standard", "topk", "jumprelu", "gated"]
Normalisation = Literal["none", "constant_norm_rescale", "layer_norm"]

_EPSILON = 1e-5


@dataclass(frozen=True, eq=False)
class SparseAutoencoder:
    """Weights in single precision, and what is done to a vector on its way in and out.

    Attributes:
        site: what it reads.
        architecture: `standard` (ReLU), `topk` (the `k` largest, where positive), `jumprelu` (what
            is above its threshold) or `gated` (Rajamanoharan et al. 2024, arXiv 2404.16014).
        tensors: `encoder` `[d_in, d_sae]`, `decoder` `[d_sae, d_in]`, `decoder_bias` `[d_in]`, and
            by architecture `[d_sae]`: `encoder_bias`, `threshold`, `gate_bias`, `gain` (of the
            magnitudes, as a logarithm).
        k: features at once, of `topk`.
        takes_bias: whether the decoder's bias is taken away before encoding.
        normalisation: of each vector before encoding, undone after decoding.
        centred: whether it reads vectors less their own mean, as TransformerLens centres the
            weights of models with LayerNorm. Without effect on other models.
        provenance: where it came from.
    """

    site: Site
    architecture: Architecture
    tensors: Mapping[str, torch.Tensor] = field(repr=False)
    k: int | None = None
    takes_bias: bool = False
    normalisation: Normalisation = "none"
    centred: bool = False
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def d_in(self) -> int:
        """Width of what it reads."""
        return int(self.tensors["decoder"].shape[1])

    @property
    def d_sae(self) -> int:
        """Number of features."""
        return int(self.tensors["decoder"].shape[0])

    def ready_for(self, model: Model) -> SparseAutoencoder:
        """The same on the model's device, its layer counted from 0.

        Raises:
            InputError: for a layer that is not there.
            ModelError: where the model has no such site.
        """
        import torch

        site = self.site.at(model.n_layers)
        model.anatomy.place(site)
        return replace(
            self,
            site=site,
            tensors={name: tensor.to(model.device) for name, tensor in self.tensors.items()},
            centred=self.centred and isinstance(model.anatomy.final_norm, torch.nn.LayerNorm),
        )

    def encode(self, values: torch.Tensor) -> torch.Tensor:
        """The features `[..., d_sae]` of a site's value `[..., d_in]` (or `[..., head, d_head]`).

        Raises:
            InputError: for values of another width.
        """
        return self._features(self._normalised(self._vectors(values))[0])

    def decode(self, features: torch.Tensor) -> torch.Tensor:
        """The sum of the features' directions `[..., d_in]`, before any normalisation is undone."""
        found: torch.Tensor = features @ self.tensors["decoder"] + self.tensors["decoder_bias"]
        return found

    def reconstruct(self, values: torch.Tensor) -> torch.Tensor:
        """A site's value from its features alone, of the same shape and type as the value."""
        inner, back = self._normalised(self._vectors(values))
        return back(self.decode(self._features(inner))).reshape(values.shape).to(values.dtype)

    def feature(self, model: Model, index: int) -> Feature:
        """One of its features, for methods that follow one number through texts.

        Raises:
            InputError: for a feature, or a layer of the model, that is not there.
            ModelError: where the model has no such site.
        """
        ready = self.ready_for(model)
        index = require_index("feature", index, self.d_sae)
        return Feature(
            f"feature {index} of the autoencoder at {ready.site}",
            ready.site,
            lambda values: ready.encode(values)[..., index],
        )

    def _vectors(self, values: torch.Tensor) -> torch.Tensor:
        flat = values.flatten(-2) if self.site.name == "head_out" else values
        if flat.shape[-1] != self.d_in:
            raise InputError(
                f"this autoencoder reads vectors of {self.d_in} numbers; {self.site} of this model "
                f"has {flat.shape[-1]}. It belongs to another model or site."
            )
        return flat.float()

    def _normalised(self, vectors: torch.Tensor) -> tuple[torch.Tensor, Change]:
        """What is encoded, and the way back."""
        shift = vectors.new_zeros(())
        scale = vectors.new_ones(())
        if self.centred or self.normalisation == "layer_norm":
            shift = vectors.mean(dim=-1, keepdim=True)
        inner = vectors - shift
        if self.normalisation == "layer_norm":
            scale = inner.std(dim=-1, keepdim=True)
            inner = inner / (scale + _EPSILON)
        elif self.normalisation == "constant_norm_rescale":
            scale = inner.norm(dim=-1, keepdim=True) / self.d_in**0.5
            inner = inner / scale
        return inner, lambda decoded: decoded * scale + shift

    def _features(self, vectors: torch.Tensor) -> torch.Tensor:
        import torch

        parts = self.tensors
        entering = vectors - parts["decoder_bias"] if self.takes_bias else vectors
        projected = entering @ parts["encoder"]
        if self.architecture == "gated":
            opened = projected + parts["gate_bias"] > 0
            return opened * torch.relu(projected * parts["gain"].exp() + parts["encoder_bias"])
        before = projected + parts["encoder_bias"]
        if self.architecture == "jumprelu":
            return torch.relu(before) * (before > parts["threshold"])
        if self.architecture == "topk":
            assert self.k is not None
            largest = before.topk(self.k, dim=-1)
            return torch.zeros_like(before).scatter(-1, largest.indices, largest.values.relu())
        return torch.relu(before)
