"""What a model's folder is, without loading its weights: identity, digests, size, safety."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench import folder, hub
from workbench.errors import ModelError
from workbench.licences import LICENCE_FILES, find_licence
from workbench.markup import visible
from workbench.memory import available_memory, human_bytes
from workbench.provenance import FileRecord, Record, sha256, weights_digest
from workbench.source import Checkpoint, Kind, resolve
from workbench.weights import dtype_bytes, stored_weights, unreadable, unsafe_files

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

    from workbench.weights import StoredWeights

__all__ = [
    "DTYPES",
    "Checkpoint",
    "Inspection",
    "Survey",
    "check_fits",
    "describe",
    "inspect",
    "memory_needed",
    "resolve",
    "survey",
]

# The types that weights are computed in.
DTYPES = ("float32", "bfloat16", "float16")

HEADROOM = 0.3
"""Memory beside the weights, as a share of them: activations, and what TransformerLens keeps twice
(it splits a joint matrix of queries, keys and values: a quarter of a GPT-2)."""

_CONTEXT = ("max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length", "seq_length")


class Survey(Record):
    """What the config, the file names and the weights' headers say; no file is read whole.

    Attributes:
        source, kind, revision: as in `Checkpoint`.
        architecture: the class named by the config; None where it names none.
        model_type: the family named by the config.
        parameters: number of weights in the files, each shared one once; None for pickles, which
            say nothing without being run.
        tensors: number of tensors in the files; None for pickles.
        context_length: in tokens; None where the config does not say.
        vocabulary: size of the vocabulary; None where neither config nor weights say.
        stored_dtypes: of the weights, the commonest first.
        tied_embeddings: whether the output head is the embedding's own matrix.
        unsafe_files: files of the folder that can run code when they are read.
        remote_code: what in the folder asks for code of its own. It is never run.
        quantisation: its method; None for plain weights.
        weights_bytes: size of the weight files.
        memory_bytes: needed to load at `memory_dtype`, with a headroom of 30 %.
        memory_dtype: the type that `memory_bytes` counts with.
        chat_template: whether the tokenizer has one.
    """

    source: str
    kind: Kind
    revision: str | None
    architecture: str | None
    model_type: str
    parameters: int | None
    tensors: int | None
    context_length: int | None
    vocabulary: int | None
    stored_dtypes: tuple[str, ...]
    tied_embeddings: bool
    unsafe_files: tuple[str, ...]
    remote_code: tuple[str, ...]
    quantisation: str | None
    weights_bytes: int
    memory_bytes: int
    memory_dtype: str
    chat_template: bool


class Inspection(Survey):
    """A survey with the digest of each file that loading reads, and the licence.

    Attributes:
        files: each file that loading reads, and the licence and model card.
        weights_digest: one SHA-256 over the weight files' own.
        licence: its name as the model states it; None where none was found.
        licence_source: the file that states it.
    """

    files: tuple[FileRecord, ...]
    weights_digest: str
    licence: str | None
    licence_source: str | None


def survey(
    checkpoint: Checkpoint, *, allow_pickle: bool = False, dtype: str | None = None
) -> Survey:
    """What a model's folder holds, in milliseconds: config, file names, weights' headers.

    Args:
        checkpoint: from `resolve`.
        allow_pickle: accept weights that are only there as pickles.
        dtype: to count the memory with; the stored one where it is None.

    Raises:
        ModelError: for a folder that is not a whole model.
    """
    return Survey(**_survey(checkpoint, allow_pickle=allow_pickle, dtype=dtype)[0])


def inspect(
    spec: str | PathLike[str] | Checkpoint,
    *,
    offline: bool = False,
    allow_pickle: bool = False,
    dtype: str | None = None,
    revision: str | None = None,
) -> Inspection:
    """Identity, digests, licence, size and safety of a model; its weights are not loaded.

    Raises:
        ModelError: where there is no such model, or its folder is not a whole model.
    """
    checkpoint = (
        spec
        if isinstance(spec, Checkpoint)
        else resolve(spec, offline=offline, allow_pickle=allow_pickle, revision=revision)
    )
    facts, stored = _survey(checkpoint, allow_pickle=allow_pickle, dtype=dtype)
    directory = checkpoint.directory
    files = tuple(_record(directory, name) for name in _read_by_loading(directory, stored))
    licence, licence_source = find_licence(directory)
    return Inspection(
        **facts,
        files=files,
        weights_digest=weights_digest([f for f in files if f.name in stored.weight_files]),
        licence=licence,
        licence_source=licence_source,
    )


def memory_needed(found: Survey, dtype: str) -> int:
    """Bytes needed to hold a model at a type, with the headroom."""
    return _memory(found.parameters, found.weights_bytes, found.quantisation, dtype)


def check_fits(found: Survey, dtype: str, device: str, available: int | None = None) -> None:
    """Refuse a model that is larger than the memory.

    Args:
        found: a survey or an inspection.
        dtype: that it is to be loaded at.
        device: that it is to be loaded to, for the message.
        available: bytes on that device; this machine's memory where it is None.

    Raises:
        ModelError: with the bytes needed, the bytes available and what to do.
    """
    needed = memory_needed(found, dtype)
    available = available_memory() if available is None else available
    if needed <= available:
        return
    smaller = "" if dtype_bytes(dtype) <= 2 else 'a smaller dtype ("bfloat16" halves it), '  # noqa: PLR2004 - 16 bits
    raise ModelError(
        f"{found.source} needs {human_bytes(needed)} ({needed:,} bytes) of memory at {dtype}; "
        f"{human_bytes(available)} ({available:,} bytes) is available on {device}. "
        f"Use {smaller}a smaller model or a larger machine."
    )


def describe(found: Inspection) -> str:
    """An inspection as aligned lines of plain text, safe to print."""
    unknown = "not stated"
    parameters = unknown if found.parameters is None else f"{found.parameters:,}"
    rows = [
        ("model", f"{found.source} ({found.kind})"),
        ("revision", found.revision),
        ("architecture", f"{found.architecture or unknown} ({found.model_type})"),
        ("parameters", parameters + (" (embedding and head shared)" * found.tied_embeddings)),
        ("context length", f"{found.context_length:,} tokens" if found.context_length else unknown),
        ("vocabulary", f"{found.vocabulary:,}" if found.vocabulary else unknown),
        ("stored as", ", ".join(found.stored_dtypes) or "pickle: unknown without running it"),
        ("quantisation", found.quantisation),
        ("chat template", "yes" if found.chat_template else "no"),
        ("licence", _licence_line(found)),
        ("weights", human_bytes(found.weights_bytes)),
        ("memory needed", f"{human_bytes(found.memory_bytes)} at {found.memory_dtype}"),
        ("weights digest", found.weights_digest),
        ("unsafe files", _warning(found.unsafe_files, "can run code when read") or "none"),
        ("custom code", _warning(found.remote_code, "never run here") or "none"),
        *(
            ("files" if file is found.files[0] else "", _file_line(file, found.files))
            for file in found.files
        ),
    ]
    shown = [(title, visible(value, None)) for title, value in rows if value is not None]
    width = max(len(title) for title, _ in shown) + 2
    return "\n".join(f"{title:<{width}}{value}" for title, value in shown)


def _survey(
    checkpoint: Checkpoint, *, allow_pickle: bool, dtype: str | None
) -> tuple[dict[str, Any], StoredWeights]:
    """The fields of a `Survey`, and the weights that they describe."""
    directory = checkpoint.directory
    config = folder.read_config(directory)
    text = folder.text_config(config)
    folder.require_tokenizer(directory)
    tied = config.get("tie_word_embeddings", text.get("tie_word_embeddings")) is True
    stored = stored_weights(directory, allow_pickle=allow_pickle, tied=tied)
    quantisation = folder.quantisation(config)
    memory_dtype = dtype or _stored_dtype(stored, text)
    facts = {
        "source": checkpoint.source,
        "kind": checkpoint.kind,
        "revision": checkpoint.revision,
        "architecture": folder.architecture(config),
        "model_type": config["model_type"],
        "parameters": stored.parameters,
        "tensors": stored.tensors,
        "context_length": folder.config_integer(text, *_CONTEXT),
        "vocabulary": folder.config_integer(text, "vocab_size") or stored.vocabulary,
        "stored_dtypes": stored.dtypes,
        "tied_embeddings": tied or (stored.safe and not stored.has_head),
        "unsafe_files": unsafe_files(directory),
        "remote_code": folder.remote_code(directory, config),
        "quantisation": quantisation,
        "weights_bytes": stored.bytes,
        "memory_bytes": _memory(stored.parameters, stored.bytes, quantisation, memory_dtype),
        "memory_dtype": memory_dtype,
        "chat_template": folder.has_chat_template(directory),
    }
    return facts, stored


def _stored_dtype(stored: StoredWeights, config: dict[str, Any]) -> str:
    """The type to load at, where none is asked for: the stored one, if it can be computed in."""
    stated = config.get("dtype") or config.get("torch_dtype")
    return next((name for name in (*stored.dtypes[:1], stated) if name in DTYPES), DTYPES[0])


def _memory(parameters: int | None, weights_bytes: int, quantised: str | None, dtype: str) -> int:
    # Quantised weights stay as they are. Those of a pickle are not known: two bytes each is the
    # smallest that is usual, and so the largest that loading could need.
    if quantised:
        weights = weights_bytes
    elif parameters is None:
        weights = weights_bytes * dtype_bytes(dtype) // 2
    else:
        weights = parameters * dtype_bytes(dtype)
    return int(weights * (1 + HEADROOM))


def _read_by_loading(directory: Path, stored: StoredWeights) -> list[str]:
    """Names of the files that loading reads, and of the licence and model card."""
    names = {*folder.SIDE_FILES, *folder.TOKENIZER_FILES, "README.md"}
    there = {path.name for path in directory.iterdir() if path.is_file()}
    licences = {name for name in there if name.upper().startswith(LICENCE_FILES)}
    return sorted((names & there) | licences | set(stored.files))


def _record(directory: Path, name: str) -> FileRecord:
    path = directory / name
    try:
        record = FileRecord(name=name, bytes=path.stat().st_size, sha256=sha256(path))
    except OSError as error:
        raise unreadable(path, error) from error
    stated = hub.stated_digest(path)
    if stated not in {None, record.sha256}:
        raise ModelError(
            f"{path}: its SHA-256 is {record.sha256}, and the hub stated {stated} when it was "
            f"downloaded. It was altered since: delete {path.resolve()} and download it again."
        )
    return record


def _licence_line(found: Inspection) -> str:
    if found.licence is None:
        return "none found"
    return f"{found.licence} (stated in {found.licence_source})"


def _warning(names: tuple[str, ...], why: str) -> str:
    return f"! {', '.join(names)} ({why})" if names else ""


def _file_line(file: FileRecord, files: tuple[FileRecord, ...]) -> str:
    width = max(len(other.name) for other in files)
    return f"{file.name:<{width}}  {human_bytes(file.bytes):>9}  {file.sha256}"
