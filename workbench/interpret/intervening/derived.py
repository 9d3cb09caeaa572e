"""A model with weights that were changed here, and its new checkpoint."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import InputError
from workbench.folder import SIDE_FILES, TOKENIZER_FILES
from workbench.interpret.intervening.directions import DirectionRecord
from workbench.licences import LICENCE_FILES
from workbench.network import quiet
from workbench.provenance import Record, storage_error, write_atomically

if TYPE_CHECKING:
    from workbench.model import Model

__all__ = ["DERIVATION", "DerivationRecord", "Derived", "save_checkpoint"]

DERIVATION = "derivation.json"
"""The file beside the new weights that says where they came from."""

_OS_ERROR = re.compile(r"os error (\d+)")
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII)

CARD = """---
{licence}library_name: transformers
tags: [interpretability, derived]
---
# {name}

Made by the Open Weights Workbench from other weights; nobody trained it to be so.

- from: `{parent}`, weights `{digest}`
- method: {method}
- direction: {direction}

`{derivation}` holds the whole record. {head}
"""


class DerivationRecord(Record):
    """Where changed weights came from.

    Attributes:
        method: what was done.
        parent, parent_revision, parent_weights_digest, parent_licence: whose weights they were.
        direction, direction_digest: that they cannot write along.
        changed: names of the tensors that are not the parent's.
        head_untied: whether embedding and output head were one in the parent and are two here.
        dtype: of the weights.
        left_along: the largest part along the direction of anything that was written to the
            residual stream in the check (random tokens, seed 0), as a share of the largest value
            at its site.
        logits_against_activations: the largest difference of a logit, in the check, from the
            parent with its activations projected.
        code: version of the workbench.
    """

    method: str
    parent: str
    parent_revision: str | None
    parent_weights_digest: str
    parent_licence: str | None
    direction: DirectionRecord
    direction_digest: str
    changed: tuple[str, ...]
    head_untied: bool
    dtype: str
    left_along: float
    logits_against_activations: float
    code: str


@dataclass(frozen=True, eq=False)
class Derived:
    """Changed weights, in memory.

    Attributes:
        model: to be used as any other; its `weights_digest` is one of what it was made from, and
            no file's.
        record: where the weights came from.
    """

    model: Model
    record: DerivationRecord


def save_checkpoint(derived: Derived, out: Path) -> Path:
    """Write changed weights as a new Hugging Face directory, whole or not at all; its path.

    Weights (safetensors), config, the parent's tokenizer and licence files, a card, and the record
    as `derivation.json`. `workbench.load` and transformers read it.

    Args:
        derived: what is written.
        out: a folder that does not exist yet: nothing is ever overwritten.

    Raises:
        InputError: for a place where there is something already.
        StorageError: where nothing can be written, or the disk is full.
    """
    if out.exists() or out.is_symlink():
        raise InputError(f"{out} is there already; expected the name of a new folder.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".derived-") as temporary:
            folder = Path(temporary) / "model"
            _write(derived, folder)
            for path in folder.iterdir():
                path.chmod(0o644)
                _sync(path)
            folder.chmod(0o755)
            # Renaming onto a folder that came up meanwhile fails, unless that one is empty.
            folder.rename(out)
    except OSError as error:
        raise storage_error(out, error) from error
    return out


def _write(derived: Derived, folder: Path) -> None:
    from safetensors import SafetensorError

    try:
        with quiet():
            derived.model.hf.save_pretrained(folder)
    except SafetensorError as error:
        # It met an OSError, and tells of its number in the text alone.
        number = _OS_ERROR.search(str(error))
        code = int(number.group(1)) if number else errno.EIO
        raise OSError(code, os.strerror(code)) from error
    parent = derived.model.checkpoint.directory
    for path in sorted(parent.iterdir()):
        licence = path.name.upper().startswith(LICENCE_FILES)
        told = path.name in {*TOKENIZER_FILES, *SIDE_FILES} and path.name != "config.json"
        if path.is_file() and (licence or told):
            shutil.copyfile(path, folder / path.name)
    derived.record.write(folder / DERIVATION)
    write_atomically(folder / "README.md", _card(derived).encode())


def _card(derived: Derived) -> str:
    record = derived.record
    licence = record.parent_licence
    return CARD.format(
        # What the parent's card says is untrusted: only what looks like a licence's name is kept.
        licence=f"license: {licence}\n" if licence and _NAME.fullmatch(licence) else "",
        name=derived.model.name,
        parent=record.parent,
        digest=record.parent_weights_digest,
        method=record.method,
        direction=f"{record.direction.label} at {record.direction.site}",
        derivation=DERIVATION,
        head="The output head, which was the embedding, has weights of its own here."
        if record.head_untied
        else "",
    )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
