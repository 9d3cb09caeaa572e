"""What the small files of a model's folder say: config, tokenizer, custom code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.errors import ModelError
from workbench.weights import read_json

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "SIDE_FILES",
    "TOKENIZER_FILES",
    "architecture",
    "config_integer",
    "has_chat_template",
    "quantisation",
    "read_config",
    "remote_code",
    "require_tokenizer",
    "text_config",
]

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tekken.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.txt",
    "vocab.json",
)
# What else loading reads, where it is there.
SIDE_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)


def read_config(directory: Path) -> dict[str, Any]:
    """The settings in a model's `config.json`, with its `model_type`.

    Raises:
        ModelError: where there is no such file or it is not a model's config.
    """
    path = directory / "config.json"
    if not path.exists():
        raise ModelError(
            f"{directory}: no config.json; expected a Hugging Face model directory with "
            "config.json, the tokenizer and safetensors weights."
        )
    config = read_json(path)
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        raise ModelError(
            f'{path}: no "model_type", which names the architecture (as "llama"); '
            "add it or get the model's own config.json."
        )
    return config


def require_tokenizer(directory: Path) -> None:
    """Refuse a folder without a tokenizer.

    Raises:
        ModelError: naming the files of which one is expected.
    """
    names = [name for name in TOKENIZER_FILES if (directory / name).is_file()]
    if not names:
        raise ModelError(
            f"{directory}: no tokenizer; expected tokenizer.json, tokenizer.model, or vocab.json "
            "with merges.txt. Copy the tokenizer's files from where the model came from."
        )
    if names == ["vocab.json"] and not (directory / "merges.txt").is_file():
        raise ModelError(
            f"{directory}: vocab.json without merges.txt; a tokenizer needs both, or "
            "tokenizer.json. Copy the missing file from where the model came from."
        )


def text_config(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a config that is about text: a multimodal one nests it."""
    nested = config.get("text_config")
    return nested if isinstance(nested, dict) else config


def architecture(config: dict[str, Any]) -> str | None:
    """The class that a config names; None where it names none."""
    names = config.get("architectures")
    return names[0] if isinstance(names, list) and names and isinstance(names[0], str) else None


def config_integer(config: dict[str, Any], *names: str) -> int | None:
    """The first of some settings that is a positive whole number."""
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def quantisation(config: dict[str, Any]) -> str | None:
    """The method by which the weights are quantised; None for plain weights."""
    settings = config.get("quantization_config")
    if not isinstance(settings, dict):
        return None
    return str(settings.get("quant_method") or "method not stated")[:100]


def remote_code(directory: Path, config: dict[str, Any]) -> tuple[str, ...]:
    """What in a folder asks for Python code of its own."""
    asks = ("auto_map in config.json",) if config.get("auto_map") else ()
    return (*asks, *sorted(path.name for path in directory.glob("*.py")))


def has_chat_template(directory: Path) -> bool:
    """Whether the tokenizer knows how a conversation is written."""
    if any((directory / name).is_file() for name in ("chat_template.jinja", "chat_template.json")):
        return True
    path = directory / "tokenizer_config.json"
    return path.is_file() and bool(read_json(path).get("chat_template"))
