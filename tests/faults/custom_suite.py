"""`workbench …` with the suites and notebooks of another folder: the first argument."""

from __future__ import annotations

import sys
from pathlib import Path

from workbench import cli, resources

if __name__ == "__main__":
    folder = Path(sys.argv.pop(1))
    resources.evals = lambda: folder / "evals"
    resources.notebooks = lambda: folder / "notebooks"
    cli.main()
