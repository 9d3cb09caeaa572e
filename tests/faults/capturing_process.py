"""A capture in a process of its own, for tests that hurt it: `python capturing_process.py OUT`."""

from __future__ import annotations

import sys
from typing import Any

from workbench.activations import Activations, capture
from workbench.model import load

# Some seconds of work, in shards of a few dozen kilobytes.
TEXTS = [
    f"{name} gave the book to {other}." * (1 + number % 3)
    for number in range(100)
    for name, other in (("Mary", "John"), ("Anna", "Tom"))
]
SITES = ["resid_post.1", "q.0"]
OPTIONS: dict[str, Any] = {"batch_tokens": 64, "shard_bytes": 200_000}


def run(out: str) -> Activations:
    """The capture, begun or gone on with."""
    return capture(load("organism:planted"), TEXTS, SITES, out=out, progress=False, **OPTIONS)


if __name__ == "__main__":
    run(sys.argv[1])
