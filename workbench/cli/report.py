"""`workbench report`: build the report of a run again."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["report"]


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def report(run: Path) -> None:
    """Build the report of RUN again from its folder alone."""
    from workbench.audit.records.lock import held
    from workbench.audit.reporting.report import build_report
    from workbench.errors import InputError

    if run.is_dir() and held(run):
        raise InputError(f"{run}: an audit is writing this run. Wait until it ends, or stop it.")
    click.echo(build_report(run))
