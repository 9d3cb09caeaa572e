"""The command line: forwards to the package, prints, and leaves with the designed exit code.

0: done, whatever was found. 1: the answer is no, where that was asked for. 2: the input was wrong
and nothing was written. 3: an audit is incomplete. 130: interrupted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from workbench.bench.command import bench
from workbench.errors import InputError, WorkbenchError

__all__ = ["cli", "main"]

DEFAULT_MODEL = "organism:planted"
DEVICES = click.Choice(["cpu", "cuda", "mps"])
DTYPES = click.Choice(["float32", "bfloat16", "float16"])
INTERRUPTED = 130


def main() -> None:
    """Run the command line; a refusal is one message on standard error, never a traceback."""
    try:
        # Every command returns its exit code.
        code = cli.main(standalone_mode=False)
    except WorkbenchError as error:
        click.echo(f"workbench: {_printable(str(error))}", err=True)
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


cli.add_command(bench)


def model_options(command: Any) -> Any:
    """The options of every command that reads a model."""
    for option in (
        click.option("--offline", is_flag=True, help="Make any connection an error."),
        click.option("--allow-pickle", is_flag=True, help="Accept weights stored as pickles."),
    ):
        command = option(command)
    return command


def load_options(command: Any) -> Any:
    """The options of every command that loads weights."""
    for option in (
        click.option("--dtype", type=DTYPES, help="Type to compute in."),
        click.option("--device", type=DEVICES, help="Where to compute; the best there is."),
    ):
        command = option(command)
    return model_options(command)


@cli.command()
@click.argument("model", default=DEFAULT_MODEL)
@click.option("--suite", default="small-world", show_default=True, help="Checks to run.")
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

    _maybe_offline(offline=offline)
    progress = Progress()
    with progress.step("check the input", silent=True):
        # Inside the step: importing papermill takes most of its time.
        from workbench.audit.plan import AuditRequest, plan_audit
        from workbench.audit.run import outcome_json, run_audit

        plan = plan_audit(
            AuditRequest(
                model=model,
                suite=suite,
                sections=sections,
                parameters=_parameters(parameters),
                limit=limit,
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


@cli.command()
@click.argument("model", default=DEFAULT_MODEL)
@click.option("--dtype", type=DTYPES, help="Type that the memory is counted for.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@model_options
def inspect(
    model: str, dtype: str | None, as_json: bool, allow_pickle: bool, offline: bool
) -> None:
    """Say what MODEL is without loading its weights: digests, licence, safety, memory."""
    from workbench import checkpoint

    _maybe_offline(offline=offline)
    found = checkpoint.inspect(model, offline=offline, allow_pickle=allow_pickle, dtype=dtype)
    click.echo(found.model_dump_json(indent=1) if as_json else checkpoint.describe(found))


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
def report(run: Path) -> None:
    """Build the report of RUN again from its folder alone."""
    from workbench.audit.report import build_report

    click.echo(build_report(run))


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
def verify(run: Path) -> int:
    """Check every file of RUN against its manifest; exit 1 where one differs."""
    from workbench.audit.manifest import verify_run

    differences = verify_run(run)
    for difference in differences:
        click.echo(f"{difference.what}: {_printable(difference.path)}")
    if not differences:
        click.echo("Every file is as the manifest says.")
    return int(bool(differences))


@cli.command()
@click.argument("model", default=DEFAULT_MODEL)
@click.option("--tasks", help="Names, separated by commas; all of the suite where not given.")
@click.option("--suite", default="small-world", show_default=True)
@click.option("--limit", type=int, help="Items of each task.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@load_options
def score(
    model: str,
    tasks: str | None,
    suite: str,
    limit: int | None,
    as_json: bool,
    device: str | None,
    dtype: str | None,
    allow_pickle: bool,
    offline: bool,
) -> None:
    """Score lm-eval tasks on MODEL: how often and how likely it gives each target, by arm."""
    from workbench.evaluate.estimates import score_table
    from workbench.evaluate.suites import load_suite

    _maybe_offline(offline=offline)
    names = [name.strip() for name in tasks.split(",")] if tasks else load_suite(suite).task_names()
    from workbench.evaluate.scorer import score as score_tasks
    from workbench.model import load

    loaded = load(model, device=device, dtype=dtype, allow_pickle=allow_pickle, offline=offline)
    table = score_table(score_tasks(loaded, names, suite=suite, limit=limit))
    frame = table.frame()
    if as_json:
        click.echo(frame.to_json(orient="records"))
    else:
        click.echo(frame.drop(columns=["method"]).to_string(index=False, float_format="%.3f"))


@cli.group()
def organisms() -> None:
    """The model organisms: small models with planted, known behaviour."""


@organisms.command("list")
def organisms_list() -> None:
    """The organisms that ship with the workbench."""
    from workbench.organisms.truth import organism_names, read_truth

    for name in organism_names():
        click.echo(f"organism:{name}\t{read_truth(name).summary}")


@organisms.command("truth")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="All of it, with every prompt.")
def organisms_truth(name: str, as_json: bool) -> None:
    """What is planted in the organism NAME, and what was measured after training."""
    from workbench.organisms.truth import describe_truth, read_truth

    truth = read_truth(name)
    click.echo(truth.model_dump_json(indent=1) if as_json else describe_truth(truth))


@organisms.command("train")
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--steps", type=int, help="Instead of the recipe's own number.")
def organisms_train(name: str, out: Path, seed: int, steps: int | None) -> None:
    """Train the organism NAME from random weights into a new folder."""
    from workbench.organisms.making import make_organism

    click.echo(make_organism(name, out, seed=seed, steps=steps))


@organisms.command("items")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
def organisms_items(out: Path) -> None:
    """Write the held-out items of every task as JSONL."""
    from workbench.organisms.items import write_items

    for path in write_items(out):
        click.echo(path)


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def lab(options: tuple[str, ...]) -> int:
    """Open JupyterLab on the notebooks; OPTIONS are JupyterLab's own."""
    import importlib.util
    import subprocess

    from workbench import resources

    if importlib.util.find_spec("jupyterlab") is None:
        raise InputError(
            "JupyterLab is not installed. Run: pip install 'open-weights-workbench[lab]'"
        )
    command = [sys.executable, "-m", "jupyterlab", *options, str(resources.notebooks())]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own interpreter


def _maybe_offline(*, offline: bool) -> None:
    if offline:
        from workbench.offline import forbid_network

        forbid_network()


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
        + (f": {_printable(status.reason)}" if status.reason else "")
        for status in outcome.statuses
        if status.state != "complete"
    ]
    return "\n".join(lines)


def _printable(text: str) -> str:
    """Text without control characters: what files and models say is not trusted."""
    from workbench.markup import visible

    return visible(text, None)
