"""The kernel's own process: `python -P -m workbench.audit.running.kernel -f CONNECTION_FILE`.

It never outlives the audit that started it, connects to no other machine, and (`-P`) imports
nothing from the folder where it was started.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from workbench.offline import forbid_network

__all__ = ["PARENT", "main"]

PARENT = "WORKBENCH_AUDIT_PID"
"""The environment variable that holds the process id of the audit."""

_SET_DEATH_SIGNAL = 1
"""`PR_SET_PDEATHSIG` of prctl(2)."""


def main() -> None:
    """Serve one audit until either ends."""
    _die_with(int(os.environ[PARENT]))
    forbid_network()

    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance([*sys.argv[1:], "--ignore-cwd"])


def _die_with(parent: int) -> None:
    """End this process as soon as its parent ends.

    ipykernel looks for its parent, too: once it has started, once a second, in a thread that waits
    for long calculations.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before this line
        os._exit(1)


if __name__ == "__main__":
    main()
