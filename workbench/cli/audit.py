"""`workbench audit`: run an audit, or go on with one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from workbench.cli.options import DEFAULT_MODEL, INTERRUPTED, load_options, maybe_offline, printable
from workbench.errors import InputError

__all__ = ["audit"]


@click.command()
@click.argument("model", default=DEFAULT_MODEL)
@click.option(
    "--suite", default="standard", show_default=True, help="quick, standard, deep, or a TOML file."
)
@click.option("--section", "sections", multiple=True, help="Run this section only (repeatable).")
@click.option(
    "--param", "parameters", multiple=True, metavar="NAME=VALUE", help="Notebook parameter."
)
@click.option("--limit", type=int, help="Items of each task.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True)
@click.option(
    "--fail-on", type=click.Choice(["fail", "inconclusive"]), help="Exit 1 on such a finding."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@load_options
@click.pass_context
def audit(
    context: click.Context,
    model: str,
    suite: str,
    sections: tuple[str, ...],
    parameters: tuple[str, ...],
    limit: int | None,
    out: Path,
    fail_on: str | None,
    as_json: bool,
    device: str | None,
    dtype: str | None,
    allow_pickle: bool,
    offline: bool,
) -> int:
    """Audit MODEL and write a report.

    MODEL is a local directory, org/name[@revision] on the hub, or organism:NAME.
    """
    from workbench.audit.progress import Progress

    maybe_offline(offline=offline)
    progress = Progress()
    with progress.step("check the input", silent=True):
        # Inside the step: importing papermill takes most of its time.
        from workbench.audit.definition import Limits
        from workbench.audit.plan import AuditRequest, plan_audit
        from workbench.audit.run import outcome_json, run_audit

        plan = plan_audit(
            AuditRequest(
                model=model,
                suite=suite,
                sections=sections,
                parameters=_parameters(parameters),
                limits=Limits(items=limit),
                out=out,
                device=device,
                dtype=dtype,
                allow_pickle=allow_pickle,
                offline=offline,
                command=("workbench", *sys.argv[1:]),
                given=frozenset(
                    name
                    for name in context.params
                    if context.get_parameter_source(name) is not ParameterSource.DEFAULT
                ),
            )
        )
    outcome = run_audit(plan, progress)
    click.echo(_audit_summary(outcome), err=True)
    click.echo(progress.summary(), err=True)
    if as_json:
        click.echo(json.dumps(outcome_json(outcome)))
    else:
        click.echo(outcome.report)
    if outcome.interrupted:
        return INTERRUPTED
    if not outcome.complete:
        return 3
    bad = {"fail": {"fail", "error"}, "inconclusive": {"fail", "error", "inconclusive"}}
    failing = bad.get(fail_on or "", set())
    return int(any(finding.verdict in failing for finding in outcome.findings))


def _parameters(pairs: tuple[str, ...]) -> dict[str, Any]:
    """`NAME=VALUE` with the value read as YAML: numbers, booleans, lists, else text."""
    import yaml

    parameters = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InputError(f'got --param "{pair}"; expected NAME=VALUE.')
        try:
            parameters[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f'--param {name}: "{value}" cannot be read as a value.') from error
    return parameters


def _audit_summary(outcome: Any) -> str:
    """Counts by verdict, what failed, and what did not complete."""
    counts: dict[str, int] = {}
    for finding in outcome.findings:
        counts[finding.verdict] = counts.get(finding.verdict, 0) + 1
    lines = [", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items()))]
    lines += [
        f"  {finding.verdict:5} {finding.code:20} {finding.question}"
        for finding in outcome.findings
        if finding.verdict in {"fail", "error"}
    ]
    lines += [
        f"  section {status.section} {status.state}"
        + (f": {printable(status.reason)}" if status.reason else "")
        for status in outcome.statuses
        if status.state != "complete"
    ]
    return "\n".join(lines)
