"""Directions of the residual stream, each with the record of what it was measured on.

A direction belongs to the weights that it was measured on: it is refused by a model of another
width, and by other weights unless it is carried over on purpose, which its record then says.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from pydantic import ValidationError

from workbench.errors import InputError
from workbench.provenance import Record, write_atomically
from workbench.sites import Site

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from workbench.model import Model

__all__ = [
    "STREAMS",
    "Direction",
    "DirectionRecord",
    "original_digest",
    "random_direction",
]

STREAMS = ("resid_pre", "resid_mid", "resid_post")
"""Sites at which a direction is measured and added."""

_KEY = "workbench.direction"
_SHORT = 12


class DirectionRecord(Record):
    """Where a direction came from.

    Attributes:
        label: what it is called.
        method: how it was made.
        site: the place whose values it is a direction of, as text.
        position: the token that was read in each text, -1 for the last; None for their mean.
        positive, negative: number of texts on either side.
        texts_digest: SHA-256 of the texts; None where there were none.
        normalised: whether the vector was given the length 1.
        stream_norm: typical length of the values at the site: the median over all tokens.
        weights_digest: of the model that it is used on.
        measured_on: of the model that it was measured on, where that is another.
    """

    label: str
    method: str
    site: str
    position: int | None
    positive: int
    negative: int
    texts_digest: str | None
    normalised: bool
    stream_norm: float
    weights_digest: str
    measured_on: str | None = None


@dataclass(frozen=True, eq=False)
class Direction:
    """A direction of a model's residual stream.

    Attributes:
        vector: `[d_model]`, 32-bit numbers on the CPU.
        record: where it came from.

    Raises:
        InputError: for a vector that is not a row of finite numbers, or is nothing but zeros.
    """

    vector: torch.Tensor
    record: DirectionRecord

    def __post_init__(self) -> None:
        vector = self.vector.detach().float().cpu().clone()
        if vector.ndim != 1 or not vector.isfinite().all():
            raise InputError(
                f"got a direction of shape {list(vector.shape)}; expected one row of finite "
                "numbers."
            )
        if not vector.any():
            raise InputError(
                f'the direction "{self.record.label}" is zero: both sides have the same mean. '
                "Choose texts that differ at the position that is read."
            )
        object.__setattr__(self, "vector", vector)

    def __repr__(self) -> str:
        return f"Direction({self.record.label}: {self.name}, length {self.norm:.4g})"

    @property
    def site(self) -> Site:
        """Where it was measured, and where it is added."""
        return Site.parse(self.record.site)

    @property
    def norm(self) -> float:
        """Its length."""
        return float(self.vector.double().norm())

    @property
    def unit(self) -> torch.Tensor:
        """The same direction with the length 1 `[d_model]`."""
        double = self.vector.double()
        unit: torch.Tensor = (double / double.norm()).float()
        return unit

    @property
    def digest(self) -> str:
        """SHA-256 of the vector's numbers and its site."""
        numbers = self.vector.numpy().astype("<f4").tobytes()
        return hashlib.sha256(self.record.site.encode() + b"\0" + numbers).hexdigest()

    @property
    def name(self) -> str:
        """Short, for records: the beginning of its digest and its site."""
        return f"{self.digest[:_SHORT]} at {self.record.site}"

    def require(self, model: Model) -> None:
        """Refuse a model that this direction does not belong to.

        Raises:
            InputError: for a stream of another width, a layer that is not there, other weights.
            ModelError: for a site that the model does not have.
        """
        width = model.hf.config.get_text_config().hidden_size
        if len(self.vector) != width:
            raise InputError(
                f"got a direction of {len(self.vector)} numbers; the residual stream of "
                f"{model.name} has {width}. Measure a direction on this model."
            )
        model.anatomy.place(self.site)
        given, own = original_digest(model), self.record.weights_digest
        if given != own:
            raise InputError(
                f'the direction "{self.record.label}" was measured on weights '
                f"{own[:_SHORT]}…, and these are {given[:_SHORT]}…. Measure it on this model, or "
                "pass direction.transferred(model) where carrying it over is what you study."
            )

    def transferred(self, model: Model) -> Direction:
        """The same direction for a model with other weights, which its record then says.

        Raises:
            InputError: for a stream of another width, or a layer that is not there.
        """
        measured_on = self.record.measured_on or self.record.weights_digest
        given = original_digest(model)
        update = {
            "weights_digest": given,
            "measured_on": None if measured_on == given else measured_on,
        }
        moved = replace(self, record=self.record.model_copy(update=update))
        moved.require(model)
        return moved

    def provenance(self) -> dict[str, object]:
        """What a result says of the direction that it was made with."""
        return {"digest": self.digest, "norm": self.norm, **self.record.model_dump(mode="json")}

    def save(self, path: Path) -> None:
        """Write it as safetensors, with its record in the header; equal ones leave equal bytes.

        Raises:
            StorageError: where the file cannot be written.
        """
        from safetensors.torch import save

        header = {_KEY: self.record.model_dump_json()}
        write_atomically(path, save({"vector": self.vector}, metadata=header))

    @classmethod
    def load(cls, path: Path) -> Self:
        """The direction in a file that `save` wrote.

        Raises:
            InputError: for a missing file, or one that is not a saved direction.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                header = (file.metadata() or {}).get(_KEY, "")
                record = DirectionRecord.model_validate_json(header)
                return cls(file.get_tensor("vector"), record)
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror or error}); expected a direction that "
                "the workbench saved."
            ) from error
        except (SafetensorError, ValidationError) as error:
            raise InputError(
                f"{path}: not a direction that the workbench saved. It was altered, or is another "
                "kind of file."
            ) from error


def original_digest(model: Model) -> str:
    """The digest of a model's weights, without what was done to its activations since."""
    return model.provenance.weights_digest.partition(" ")[0]


def random_direction(direction: Direction, *, seed: int) -> Direction:
    """A direction of the same length and site that points anywhere: the control."""
    import torch

    drawn = torch.randn(len(direction.vector), generator=torch.Generator().manual_seed(seed))
    record = direction.record.model_copy(
        update={
            "label": f"random, as long as {direction.record.label}",
            "method": f"normal numbers, seed {seed}",
            "texts_digest": None,
            "positive": 0,
            "negative": 0,
        }
    )
    return Direction(drawn / drawn.norm() * direction.norm, record)
