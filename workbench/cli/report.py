"""`workbench report`: build the report of a run again."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["report"]


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def report(run: Path) -> None:
    """Build the report of RUN again from its folder alone."""
    from workbench.audit.report import build_report

    click.echo(build_report(run))
