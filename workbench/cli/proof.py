"""`workbench verify` and `workbench sign`: is a run as it was left, and by whom?"""

from __future__ import annotations

from pathlib import Path

import click

from workbench.cli.options import printable

__all__ = ["verify"]


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def verify(run: Path) -> int:
    """Check every file of RUN against its manifest; exit 1 where one differs."""
    from workbench.audit.manifest import verify_run

    differences = verify_run(run)
    for difference in differences:
        click.echo(f"{difference.what}: {printable(difference.path)}")
    if not differences:
        click.echo("Every file is as the manifest says.")
    return int(bool(differences))
