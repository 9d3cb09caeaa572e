"""The command line: forwards to the package, prints, and leaves with the designed exit code.

0: done, whatever was found. 1: the answer is no, where that was asked for. 2: the input was wrong
and nothing was written. 3: an audit is incomplete. 130: interrupted.
"""

from __future__ import annotations

import sys

import click

from workbench.bench.command import bench
from workbench.cli.audit import audit
from workbench.cli.compare import compare
from workbench.cli.evals import evals
from workbench.cli.inspect import inspect
from workbench.cli.judge import judge
from workbench.cli.lab import lab
from workbench.cli.options import INTERRUPTED, told
from workbench.cli.organisms import organisms
from workbench.cli.proof import sign, verify
from workbench.cli.report import report
from workbench.cli.runs import diff, gate, history
from workbench.cli.score import score
from workbench.cli.suites import suite
from workbench.errors import WorkbenchError

__all__ = ["cli", "main"]


def main() -> None:
    """Run the command line; a refusal is one message on standard error, never a traceback."""
    try:
        # Every command returns its exit code.
        code = cli.main(standalone_mode=False)
    except WorkbenchError as error:
        click.echo(f"workbench: {told(error)}", err=True)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("workbench: interrupted.", err=True)
        code = INTERRUPTED
    sys.exit(code or 0)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="open-weights-workbench")
def cli() -> None:
    """Look inside open language models on this machine, and audit what they do."""


for command in (
    audit,
    bench,
    compare,
    diff,
    evals,
    gate,
    history,
    inspect,
    judge,
    lab,
    organisms,
    report,
    score,
    sign,
    suite,
    verify,
):
    cli.add_command(command)
