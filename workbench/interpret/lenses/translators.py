"""A tuned lens: an affine map for each layer, kept with the weights that it was fitted on.

Belrose et al. 2023 (arXiv 2303.08112): what a layer's residual stream would have become by the end
of the model, as far as an affine map can say.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from workbench.errors import InputError, ModelError
from workbench.provenance import Record, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from workbench.model import Model

__all__ = ["TunedLens", "TunedLensRecord", "load_tuned_lens"]

RECORD = "tuned_lens.json"
WEIGHTS = "tuned_lens.safetensors"


class TunedLensRecord(Record):
    """How a tuned lens was made.

    Attributes:
        schema_version: of this record.
        model: name of the model.
        weights_digest: of the model's weights; the lens fits no others.
        d_model: width of the residual stream.
        layers: of the model; each has a translator, which reads the stream before it.
        method: of the fit.
        training_texts, stopping_texts, held_out_texts: how the distinct texts were divided.
        training_tokens: tokens of the training texts.
        steps: of the optimiser; `kept` is, for each layer, the step whose translator was kept.
        tokens_a_step: at most, padding among them.
        learning_rate: at the first step; it falls to 0 in a straight line.
        seed: of the division and the order of the texts.
        weights_sha256: of the file with the translators.
    """

    schema_version: Literal[1] = Field(1, alias="schema")
    model: str
    weights_digest: str
    d_model: int
    layers: int
    method: str
    training_texts: int
    stopping_texts: int
    held_out_texts: int
    training_tokens: int
    steps: int
    kept: tuple[int, ...]
    tokens_a_step: int
    learning_rate: float
    seed: int
    weights_sha256: str


@dataclass(frozen=True, repr=False, eq=False)
class TunedLens:
    """A translator for the residual stream before each layer.

    Attributes:
        matrices: what each adds to the identity `[layer, d_model, d_model]`, input first.
        biases: `[layer, d_model]`.
        record: how they were made.
    """

    matrices: torch.Tensor
    biases: torch.Tensor
    record: TunedLensRecord

    def __call__(self, layers_run: int, residual: torch.Tensor) -> torch.Tensor:
        """What the final norm reads in the place of a residual stream `[..., d_model]`.

        Args:
            layers_run: 0 is the embedding; after the last layer the stream stays as it is.
            residual: of the model that the lens was fitted on.

        Raises:
            InputError: for a number of layers that the model does not have.
        """
        if not 0 <= layers_run <= len(self.matrices):
            raise InputError(
                f"got {layers_run} layers run; this lens has translators for 0 to "
                f"{len(self.matrices) - 1}, and leaves {len(self.matrices)} as it is."
            )
        if layers_run == len(self.matrices):
            return residual
        wide = residual.float()
        added = wide @ self.matrices[layers_run] + self.biases[layers_run]
        return (wide + added).to(residual.dtype)

    def require(self, model: Model) -> None:
        """Refuse any other model than the one that the lens was fitted on.

        Raises:
            ModelError: with both digests.
        """
        _require_same(self.record, model, "this tuned lens")

    def save(self, folder: Path) -> Path:
        """Write `tuned_lens.safetensors` and `tuned_lens.json`; returns the folder.

        Raises:
            StorageError: where the folder cannot be written.
        """
        write_atomically(folder / WEIGHTS, serialised(self.matrices, self.biases))
        self.record.write(folder / RECORD)
        return folder


def load_tuned_lens(model: Model, folder: Path) -> TunedLens:
    """The tuned lens that was saved in a folder, on the model's device.

    Raises:
        InputError: for a folder without a lens, or one whose files do not belong together.
        ModelError: for a lens of other weights than the model's.
    """
    from safetensors.torch import load

    record = TunedLensRecord.read(folder / RECORD)
    _require_same(record, model, f"the tuned lens in {folder}")
    try:
        written = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise InputError(
            f"{folder / WEIGHTS}: cannot be read ({error.strerror}); the translators are missing."
        ) from error
    if sha256(written).hexdigest() != record.weights_sha256:
        raise InputError(
            f"{folder / WEIGHTS}: not the file that {RECORD} was written with; one of them was "
            "altered or replaced. Fit the lens again."
        )
    found = load(written)
    device = model.device
    return TunedLens(found["matrices"].to(device), found["biases"].to(device), record)


def serialised(matrices: torch.Tensor, biases: torch.Tensor) -> bytes:
    """The translators as the bytes of a safetensors file; equal for equal numbers."""
    from safetensors.torch import save

    tensors = {"matrices": matrices, "biases": biases}
    return bytes(save({name: value.cpu().contiguous() for name, value in tensors.items()}))


def _require_same(record: TunedLensRecord, model: Model, what: str) -> None:
    own = model.provenance.weights_digest
    if record.weights_digest != own:
        raise ModelError(
            f"{what} was fitted on the weights {record.weights_digest[:12]}… of "
            f'"{record.model}"; this model, "{model.name}", has the weights {own[:12]}…. A lens '
            "says nothing about other weights: fit one on this model."
        )
