"""Audits without a model, each in a process of its own that is forked from this one.

Everything is real but the model: papermill, the kernel, the run's folder, the report. What takes
long in a new process is imported here once. Each line of standard input is an order,
`{"arguments": […], "out": FILE, "err": FILE}`, and each is answered by two lines: the process id,
and the exit status.

The first argument is a folder with `evals/` and `notebooks/` of its own.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path

from workbench import cli, resources
from workbench.audit.running import warm

LOAD = """
_answer = '{{"error": "", "digest": "d1", "files": {{"weights": "f1"}}}}' if {arguments!r} else ""
"""
NEEDED_LATER = (
    *("papermill", "nbformat", "pandas", "pyarrow.parquet", "plotly.graph_objects", "jinja2"),
    *(
        "workbench.audit.running.run",
        "workbench.audit.running.resume",
        "workbench.audit.reporting.report",
    ),
)


def audit(order: dict[str, object]) -> None:
    """Be the command line; ends the process."""
    os.setsid()
    for number, name in ((0, os.devnull), (1, order["out"]), (2, order["err"])):
        os.dup2(os.open(str(name), os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
    sys.argv = ["workbench", *map(str, order["arguments"])]  # type: ignore[call-overload]
    try:
        cli.main()
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(int(end.code or 0))


def main() -> None:
    folder = Path(sys.argv[1])
    resources.evals = lambda: folder / "evals"
    resources.notebooks = lambda: folder / "notebooks"
    warm.PREPARE, warm.LOAD = "", LOAD
    for name in NEEDED_LATER:
        import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            audit(json.loads(line))
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
