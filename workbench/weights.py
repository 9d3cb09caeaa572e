"""What a folder's weight files hold, from their headers alone: no tensor is read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from workbench.errors import ModelError, UnsafeWeightsError
from workbench.memory import human_bytes

__all__ = ["PICKLES", "StoredWeights", "dtype_bytes", "read_json", "stored_weights", "unsafe_files"]

# Formats that can run code when they are read.
PICKLES = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})

_SAFE, _SAFE_INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLE, _PICKLE_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"

_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}

# Attention masks and rotary frequencies that older versions of transformers saved beside the
# weights. They are not parameters.
_BUFFER = re.compile(r"(\.attn|\.attention)\.(masked_)?bias$|\.rotary_emb\.inv_freq$|position_ids$")
_HEADS = re.compile(r"(^|\.)(lm_head|embed_out)\.weight$")
_EMBEDDINGS = re.compile(
    r"(^|\.)(wte|embed_tokens|embed_in|word_embeddings|tok_embeddings)\.weight$"
)

_JSON_LIMIT = 64_000_000


@dataclass(frozen=True)
class StoredWeights:
    """The weights of a folder as they are stored.

    Attributes:
        files: names of the files that loading reads, the index among them.
        weight_files: those of them that hold tensors.
        bytes: size of the weight files.
        safe: False for pickles, of which nothing below is known without running them.
        parameters: number of weights, each shared one once; None for pickles.
        tensors: number of tensors; None for pickles.
        dtypes: of the tensors, the commonest first.
        vocabulary: rows of the token embedding, where one is recognised.
        has_head: whether an output head is stored beside the embedding.
    """

    files: tuple[str, ...]
    weight_files: tuple[str, ...]
    bytes: int
    safe: bool
    parameters: int | None = None
    tensors: int | None = None
    dtypes: tuple[str, ...] = ()
    vocabulary: int | None = None
    has_head: bool = False


def stored_weights(directory: Path, *, allow_pickle: bool, tied: bool) -> StoredWeights:
    """What the weight files of a folder hold.

    The same files are chosen as transformers chooses: one safetensors file, then its shards; a
    pickle only where there is nothing else and it is allowed.

    Raises:
        UnsafeWeightsError: where there are only pickles and they are not allowed.
        ModelError: for weights that are missing, truncated or corrupt.
    """
    if (directory / _SAFE).exists():
        return _from_headers(directory, (_SAFE,), (_SAFE,), tied=tied)
    if (directory / _SAFE_INDEX).exists():
        shards = _shards(directory, _SAFE_INDEX)
        return _from_headers(directory, (_SAFE_INDEX, *shards), shards, tied=tied)
    return _pickled(directory, allow_pickle=allow_pickle)


def unsafe_files(directory: Path) -> tuple[str, ...]:
    """Names of the files in a folder that can run code when they are read."""
    return tuple(sorted(p.name for p in directory.iterdir() if p.suffix.lower() in PICKLES))


def dtype_bytes(dtype: str) -> int:
    """Bytes of one number, from the name of its type."""
    if dtype == "bool":
        return 1
    bits = re.search(r"\d+", dtype)
    return max(1, int(bits.group()) // 8) if bits else 4


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file that somebody else wrote.

    Raises:
        ModelError: for a file that cannot be read, is not UTF-8 or does not hold an object.
    """
    try:
        size = path.stat().st_size
        if size > _JSON_LIMIT:
            raise ModelError(
                f"{path}: holds {human_bytes(size)}; expected a small JSON file. "
                "This is not what its name says; download the model again."
            )
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise ModelError(
            f"{path}: not UTF-8 text (byte {error.start}); expected a JSON file. "
            "Download the model again."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{path}: not valid JSON ({error}). Correct the file or download the model again."
        ) from error
    if not isinstance(content, dict):
        raise ModelError(
            f"{path}: holds a JSON {type(content).__name__}; expected an object with named "
            "settings. Correct the file or download the model again."
        )
    return content


def unreadable(path: Path, error: OSError) -> ModelError:
    """The error for a file that is there and cannot be read."""
    return ModelError(
        f"{path}: cannot be read ({error.strerror or error}). Check its permissions and the disk."
    )


def _shards(directory: Path, index: str) -> tuple[str, ...]:
    """The names in an index, each of which is a file of the folder."""
    weight_map = read_json(directory / index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelError(
            f'{directory / index}: has no "weight_map" from tensors to files. '
            "Download the model again."
        )
    names = {str(name) for name in weight_map.values()}
    for name in sorted(names):
        if _leaves(name):
            raise ModelError(
                f"{directory / index}: names {name!r}, outside the model's folder. "
                "Such an index is not read; get the model from a source that you trust."
            )
        if not (directory / name).is_file():
            raise ModelError(
                f"{directory}: {name} is missing, one of {len(names)} weight files that {index} "
                "names. Download the model again."
            )
    return tuple(sorted(names))


def _leaves(name: str) -> bool:
    """Whether a name points out of its folder, on any system."""
    kinds = PurePosixPath(name), PureWindowsPath(name)
    return any(kind.is_absolute() or kind.anchor or ".." in kind.parts for kind in kinds)


def _from_headers(
    directory: Path, files: tuple[str, ...], weight_files: tuple[str, ...], *, tied: bool
) -> StoredWeights:
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    for name in weight_files:
        tensors |= _header(directory / name)
    heads = [name for name in tensors if _HEADS.search(name)]
    embeddings = [name for name in tensors if _EMBEDDINGS.search(name)]
    elements = {
        name: prod(shape)
        for name, (_, shape) in tensors.items()
        if not _is_buffer(name, shape) and not (tied and embeddings and name in heads)
    }
    by_dtype: dict[str, int] = {}
    for name, count in elements.items():
        dtype = tensors[name][0]
        by_dtype[dtype] = by_dtype.get(dtype, 0) + count
    return StoredWeights(
        files=files,
        weight_files=weight_files,
        bytes=sum((directory / name).stat().st_size for name in weight_files),
        safe=True,
        parameters=sum(elements.values()),
        tensors=len(tensors),
        dtypes=tuple(sorted(by_dtype, key=lambda dtype: (-by_dtype[dtype], dtype))),
        vocabulary=tensors[embeddings[0]][1][0] if embeddings else None,
        has_head=bool(heads),
    )


def _is_buffer(name: str, shape: tuple[int, ...]) -> bool:
    is_bias = name.endswith("bias")
    return bool(_BUFFER.search(name)) and (not is_bias or len(shape) != 1)


def _header(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Tensor -> its type and shape."""
    from safetensors import SafetensorError, safe_open

    try:
        size = path.stat().st_size
        with safe_open(path, framework="np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            return {
                name: (_dtype_name(piece.get_dtype()), tuple(piece.get_shape()))
                for name, piece in slices.items()
            }
    except OSError as error:
        raise unreadable(path, error) from error
    except SafetensorError as error:
        raise ModelError(
            f"{path}: not a whole safetensors file ({error}); it has {size:,} bytes. "
            "It was cut short or altered: download it again."
        ) from error


def _dtype_name(code: str) -> str:
    return _DTYPES.get(code, code.lower())


def _pickled(directory: Path, *, allow_pickle: bool) -> StoredWeights:
    pickles = unsafe_files(directory)
    if not pickles:
        raise ModelError(f"{directory}: no weights. {_expected(directory)}")
    if not allow_pickle:
        raise UnsafeWeightsError(
            f"{directory}: the weights are only there as {', '.join(pickles)}, a format that can "
            "run code when it is read. Convert them to safetensors, or accept the risk with "
            "--allow-pickle (allow_pickle=True in Python)."
        )
    if (directory / _PICKLE).is_file():
        files: tuple[str, ...] = (_PICKLE,)
        weight_files = files
    elif (directory / _PICKLE_INDEX).is_file():
        weight_files = _shards(directory, _PICKLE_INDEX)
        files = (_PICKLE_INDEX, *weight_files)
    else:
        raise ModelError(
            f"{directory}: {', '.join(pickles)} is not a name that transformers loads. "
            f"{_expected(directory)}"
        )
    return StoredWeights(
        files=files,
        weight_files=weight_files,
        bytes=sum((directory / name).stat().st_size for name in weight_files),
        safe=False,
    )


def _expected(directory: Path) -> str:
    if (directory / "adapter_config.json").is_file():
        return (
            "This is an adapter: merge it into its base model (peft's merge_and_unload) and give "
            "the merged model."
        )
    others = sorted(path.name for path in directory.glob("*.safetensors"))
    found = f" Found {', '.join(others[:5])}, which no index names." if others else ""
    return f"Expected {_SAFE}, or {_SAFE_INDEX} with its shards.{found}"
