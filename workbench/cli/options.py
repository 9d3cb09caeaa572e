"""Options that commands share, and what they say."""

from __future__ import annotations

from typing import Any

import click

__all__ = [
    "DEFAULT_MODEL",
    "DTYPES",
    "INTERRUPTED",
    "load_options",
    "maybe_offline",
    "model_options",
    "printable",
    "told",
]

DEFAULT_MODEL = "organism:planted"
DEVICES = click.Choice(["cpu", "cuda", "mps"])
DTYPES = click.Choice(["float32", "bfloat16", "float16"])
INTERRUPTED = 130


def model_options(command: Any) -> Any:
    """The options of every command that reads a model."""
    for option in (
        click.option("--offline", is_flag=True, help="Make any connection an error."),
        click.option("--allow-pickle", is_flag=True, help="Accept weights stored as pickles."),
    ):
        command = option(command)
    return command


def load_options(command: Any) -> Any:
    """The options of every command that loads weights."""
    for option in (
        click.option("--dtype", type=DTYPES, help="Type to compute in."),
        click.option("--device", type=DEVICES, help="Where to compute; the best there is."),
    ):
        command = option(command)
    return model_options(command)


def maybe_offline(*, offline: bool) -> None:
    """From here on no connection, where that was asked for."""
    if offline:
        from workbench.offline import forbid_network

        forbid_network()


def printable(text: str) -> str:
    """Text without control characters: what files and models say is not trusted."""
    from workbench.markup import visible

    return visible(text, None)


def told(error: Exception) -> str:
    """An error's message; of several at once each on a line of its own."""
    return "\n  ".join(map(printable, getattr(error, "lines", (str(error),))))
