"""`workbench audit`: run an audit, or go on with one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from workbench.cli.options import INTERRUPTED, load_options, maybe_offline, printable
from workbench.errors import InputError

__all__ = ["audit"]

INCOMPLETE = 3

# The options that a resumed run may be given: they change nothing that is measured.
RESUMABLE = {"resume", "section_timeout", "memory_limit", "fail_on", "baseline", "as_json"}


@click.command()
@click.argument("model", required=False)
@click.option(
    "--suite",
    default="standard",
    show_default=True,
    help="quick, standard, deep, a TOML file, or a run's audit.json.",
)
@click.option("--section", "sections", multiple=True, help="Run this section only (repeatable).")
@click.option(
    "--param", "parameters", multiple=True, metavar="NAME=VALUE", help="Notebook parameter."
)
@click.option("--limit", type=int, help="Items of each task.")
@click.option(
    "--section-timeout", metavar="TIME", help='Longest time for a section: 90 (seconds), "30 min".'
)
@click.option("--memory-limit", metavar="SIZE", help="Most memory for the kernel: 8GB, 800MB.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True)
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Go on with a run that was cut short, as its audit.json says.",
)
@click.option(
    "--fail-on", type=click.Choice(["fail", "inconclusive"]), help="Exit 1 on such a finding."
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Exit 1 where it is worse than this run, 4 where that cannot be told (`workbench gate`).",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@load_options
@click.pass_context
def audit(
    context: click.Context,
    model: str | None,
    suite: str,
    sections: tuple[str, ...],
    parameters: tuple[str, ...],
    limit: int | None,
    section_timeout: str | None,
    memory_limit: str | None,
    out: Path,
    resume: Path | None,
    fail_on: str | None,
    baseline: Path | None,
    as_json: bool,
    device: str | None,
    dtype: str | None,
    allow_pickle: bool,
    offline: bool,
) -> int:
    """Audit MODEL and write a report.

    MODEL is a local directory, org/name[@revision] on the hub, or organism:NAME; where none is
    given, the one that the suite names, or organism:planted.

    Exit codes: 0 complete; 1 a finding, with --fail-on, or worse than --baseline; 2 wrong input,
    nothing written; 3 a section did not complete; 4 --baseline cannot be told; 130 interrupted.
    """
    from workbench.audit.definitions.limits import given_limits
    from workbench.audit.running.plan import AuditRequest
    from workbench.audit.running.progress import Progress

    given = frozenset(
        name
        for name in context.params
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    )
    limits = given_limits(limit, section_timeout, memory_limit)
    if baseline is not None:
        from workbench.audit.records.evidence import read_run

        read_run(baseline)  # what is no run is refused before anything is measured
    command = ("workbench", *sys.argv[1:])
    progress = Progress()
    if resume is not None:
        from workbench.audit.running.resume import resume_audit

        _refuse_changes(context, given)
        outcome = resume_audit(resume, progress, command=command, limits=limits)
        if outcome is None:
            click.echo(f"{resume}: every section is complete; there is nothing to do.", err=True)
            return 0
    else:
        from workbench.audit.running.run import run_audit

        maybe_offline(offline=offline)
        request = AuditRequest(
            model=model,
            suite=suite,
            sections=sections,
            parameters=_parameters(parameters),
            limits=limits,
            out=out,
            device=device,
            dtype=dtype,
            allow_pickle=allow_pickle,
            offline=offline,
            command=command,
            given=given,
        )
        outcome = run_audit(request, progress)
    click.echo(_audit_summary(outcome), err=True)
    click.echo(progress.summary(), err=True)
    if as_json:
        from workbench.audit.running.attempt import outcome_json

        click.echo(json.dumps(outcome_json(outcome)))
    else:
        click.echo(outcome.report)
    return _exit_code(outcome, fail_on) or _against(baseline, outcome.run)


def _against(baseline: Path | None, run: Path) -> int:
    """Say whether the run is worse than a baseline; the gate's exit code."""
    if baseline is None:
        return 0
    from workbench.audit.comparing.gate import decide
    from workbench.audit.comparing.gate_text import gate_text

    found = decide(run, baseline)
    click.echo(gate_text(found), err=True)
    return found.exit_code()


def _exit_code(outcome: Any, fail_on: str | None) -> int:
    if outcome.state != "complete":
        return INTERRUPTED if outcome.state == "interrupted" else INCOMPLETE
    bad = {"fail": {"fail", "error"}, "inconclusive": {"fail", "error", "inconclusive"}}
    failing = bad.get(fail_on or "", set())
    return int(any(finding.verdict in failing for finding in outcome.findings))


def _refuse_changes(context: click.Context, given: frozenset[str]) -> None:
    """A resumed run is the one that was asked for at first."""
    named = [
        option.opts[-1] if isinstance(option, click.Option) else "MODEL"
        for option in context.command.params
        if option.name in given - RESUMABLE
    ]
    if named:
        raise InputError(
            f"got {', '.join(named)} with --resume; expected the run alone: what is audited, and "
            "how, stands in its audit.json. Start a new audit for another one."
        )


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
        for status in outcome.sections
        if status.state != "complete"
    ]
    lines.append(f"  findings digest {outcome.findings_digest}")
    if outcome.state != "complete":
        lines.append(f"  {outcome.state}; go on with: workbench audit --resume {outcome.run}")
    return "\n".join(lines)
