"""The peak memory of one capture: `python -m workbench.bench.peak JSON`, a process of its own."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from workbench.activations import capture
from workbench.bench.capture import random_texts
from workbench.model import load

__all__ = ["main"]

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_PEAK_ALONE = "5"


def main() -> None:
    """Load the model, capture, and print `{"loaded": bytes, "peak": bytes}`.

    The peak is counted from when the model is loaded, because loading may take more for a moment.
    Numbers are null where the system does not tell.
    """
    asked = json.loads(sys.argv[1])
    model = load(asked["model"], device="cpu", dtype="float32")
    texts = random_texts(model, asked["tokens"], tuple(asked["lengths"]), seed=0)
    forgotten = _forget_peak()
    loaded = _memory("VmRSS")
    capture(
        model,
        texts,
        asked["sites"],
        out=asked["out"],
        batch_tokens=asked["batch_tokens"],
        progress=False,
    )
    peak = _memory("VmHWM") if forgotten else None
    sys.stdout.write(json.dumps({"loaded": loaded, "peak": peak}) + "\n")


def _forget_peak() -> bool:
    try:
        _CLEAR.write_text(_PEAK_ALONE)
    except OSError:
        return False
    return True


def _memory(name: str) -> int | None:
    """A size in the kernel's record of this process, in bytes."""
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found.group(1)) * 1024 if found else None


if __name__ == "__main__":
    main()
