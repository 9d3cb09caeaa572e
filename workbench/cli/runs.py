"""`workbench diff`, `gate` and `history`: runs beside other runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from workbench.errors import InputError

if TYPE_CHECKING:
    from workbench.audit.comparing.gate import Undecided

__all__ = ["diff", "gate", "history"]

_RUN = click.Path(path_type=Path)


@click.command()
@click.argument("first", metavar="A", type=_RUN)
@click.argument("second", metavar="B", type=_RUN)
@click.option("--html", type=_RUN, help="Also write it as one page that needs no network.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.option("--exit-code", is_flag=True, help="Exit 1 where the findings differ.")
def diff(first: Path, second: Path, html: Path | None, as_json: bool, exit_code: bool) -> int:
    """Show what differs between the runs A and B, which are two run folders.

    Findings gained, lost and changed, with paired differences where both asked the same items;
    definition and thresholds, parameters, model, packages and machine.
    """
    from workbench.audit.comparing.diff import diff_runs

    found = diff_runs(first, second)
    if html is not None:
        from workbench.audit.comparing.diff_page import write_diff_page

        write_diff_page(found, html)
    if as_json:
        from workbench.audit.comparing.diff_json import diff_json

        click.echo(json.dumps(diff_json(found)))
    else:
        from workbench.audit.comparing.diff_text import diff_text

        click.echo(diff_text(found))
    return int(exit_code and found.findings_differ)


@click.command()
@click.argument("run", type=_RUN)
@click.option("--baseline", type=_RUN, required=True, help="The run to hold it against.")
@click.option(
    "--margin",
    "margins",
    multiple=True,
    metavar="[CODE=]NUMBER",
    help="How much worse a check may get, in its unit: for all, or for one (repeatable); 0.05.",
)
@click.option("--alpha", type=float, default=0.05, show_default=True, help="Error of each claim.")
@click.option(
    "--undecided",
    type=click.Choice(["fail", "pass", "exit"]),
    default="exit",
    show_default=True,
    help='What "cannot tell" counts as: exit code 1, 0 or 4.',
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def gate(
    run: Path,
    baseline: Path,
    margins: tuple[str, ...],
    alpha: float,
    undecided: Undecided,
    as_json: bool,
) -> int:
    """Decide whether RUN is worse than a baseline; both are run folders.

    Exit codes: 0 no check is worse by the margin or more; 1 one is, or was not answered any more,
    or RUN is incomplete; 4 the items cannot tell, unless --undecided says otherwise.
    """
    from workbench.audit.comparing.gate import decide
    from workbench.audit.comparing.gate_text import gate_json, gate_text

    common, by_code = _margins(margins)
    found = decide(run, baseline, margin=common, margins=by_code, alpha=alpha)
    code = found.exit_code(undecided)
    click.echo(json.dumps(gate_json(found, code)) if as_json else gate_text(found))
    return code


@click.command()
@click.argument("folder", type=_RUN, default=Path("runs"))
@click.option("--model", help="Only runs of this model, as it was asked for, or by weights digest.")
@click.option("--check", help="Only this check; `*` stands for the rest of a code.")
@click.option("--html", type=_RUN, help="Also write the trends as one page that needs no network.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.option("--limit", type=click.IntRange(1), help="Show the newest runs only.")
def history(
    folder: Path,
    model: str | None,
    check: str | None,
    html: Path | None,
    as_json: bool,
    limit: int | None,
) -> int:
    """Show all runs below FOLDER: when, of what, how they ended, and what has changed since."""
    from workbench.audit.comparing.history import read_history
    from workbench.audit.comparing.history_text import history_json, history_text

    trends = html is not None or check is not None
    found = read_history(folder, model=model, check=check, limit=limit, trends=trends)
    if html is not None:
        from workbench.audit.comparing.history_page import write_history_page

        write_history_page(found, html)
    click.echo(json.dumps(history_json(found)) if as_json else history_text(found))
    return 0


def _margins(given: tuple[str, ...]) -> tuple[float, dict[str, float]]:
    """The margin of all checks, and of some: `0.05`, `CODE=0.1`."""
    from workbench.audit.comparing.gate import MARGIN

    common, by_code = MARGIN, {}
    for text in given:
        code, equals, value = text.rpartition("=")
        try:
            found = float(value)
        except ValueError as error:
            raise InputError(
                f'got --margin "{text}"; expected a number, or CODE=NUMBER for one check.'
            ) from error
        if equals:
            by_code[code] = found
        else:
            common = found
    return common, by_code
