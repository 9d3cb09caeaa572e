"""`workbench bench`: the measurements, each beside its peer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

__all__ = ["bench"]


@click.group()
def bench() -> None:
    """Measure the workbench beside a named peer, in one run, with results proven equal."""


def shape_options(command: Any) -> Any:
    """The shape of the model that is measured on; GPT-2 small's by default."""
    for name, default in (("heads", 12), ("width", 768), ("layers", 12)):
        option = click.option(
            f"--{name}", type=click.IntRange(1), default=default, show_default=True
        )
        command = option(command)
    return command


@bench.command("capture")
@click.option("--tokens", type=click.IntRange(1), default=200_000, show_default=True)
@shape_options
@click.option(
    "--sites",
    multiple=True,
    default=("resid_post.-1",),
    show_default=True,
    help="What is stored: resid_post is every layer (repeatable).",
)
@click.option("--blocks", type=click.IntRange(2), default=8, show_default=True, help="Turns.")
@click.option("--batch-tokens", type=click.IntRange(1), default=1024, show_default=True)
@click.option("--memory/--no-memory", default=True, help="Also compare peak memory.")
@click.option("--few", type=click.IntRange(1), default=20_000, show_default=True)
@click.option("--many", type=click.IntRange(1), default=200_000, show_default=True)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where to write for a while: the disk that is measured.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def bench_capture(
    tokens: int,
    layers: int,
    width: int,
    heads: int,
    sites: tuple[str, ...],
    blocks: int,
    batch_tokens: int,
    memory: bool,
    few: int,
    many: int,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Stream the residual stream to disk, beside the bare transformer body.

    FEW and MANY are the tokens of the two captures whose peak memory is compared.
    """
    from workbench.bench.capture import CaptureSize, bench_capture

    size = CaptureSize(
        layers=layers,
        width=width,
        heads=heads,
        sites=sites,
        tokens=tokens,
        blocks=blocks,
        batch_tokens=batch_tokens,
        few=few if memory else 0,
        many=many if memory else 0,
        folder=None if folder is None else str(folder),
    )
    _show(bench_capture(size, on_step=_said), as_json=as_json)


@bench.command("patching")
@shape_options
@click.option("--positions", type=click.IntRange(1), default=24, show_default=True)
@click.option("--pairs", type=click.IntRange(1), default=8, show_default=True)
@click.option(
    "--agreeing",
    type=click.IntRange(0),
    multiple=True,
    default=(0, 5),
    show_default=True,
    help="Tokens that the prompts of a pair begin with in common (repeatable).",
)
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def bench_patching(
    layers: int,
    width: int,
    heads: int,
    positions: int,
    pairs: int,
    agreeing: tuple[int, ...],
    repeats: int,
    as_json: bool,
) -> None:
    """Patch every cell of the residual stream, beside TransformerLens."""
    from workbench.bench.patching import Size, bench_patching

    size = Size(
        layers=layers,
        width=width,
        heads=heads,
        positions=positions,
        pairs=pairs,
        agreeing=agreeing,
        repeats=repeats,
    )
    _show(bench_patching(size, on_step=_said), as_json=as_json)


@bench.command("scoring")
@shape_options
@click.option("--questions", type=click.IntRange(1), help="Of each kind; 32, few-shot 64.")
@click.option("--turns", type=click.IntRange(1), default=2, show_default=True)
@click.option("--memory/--no-memory", default=True, help="Also compare peak memory.")
@click.option("--organism/--no-organism", default=True, help="Also an organism, end to end.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def bench_scoring(
    layers: int,
    width: int,
    heads: int,
    questions: int | None,
    turns: int,
    memory: bool,
    organism: bool,
    as_json: bool,
) -> None:
    """Score answers, beside lm-eval's own model class at its best batch size."""
    from dataclasses import replace

    from workbench.bench.organism import bench_organism
    from workbench.bench.scoring import WORKLOADS, Size, bench_scoring

    size = Size(
        layers=layers,
        width=width,
        heads=heads,
        workloads=tuple(replace(one, questions=questions or one.questions) for one in WORKLOADS),
        turns=turns,
        memory=memory,
    )
    _show(bench_scoring(size, on_step=_said), as_json=as_json)
    if organism:
        _show(bench_organism(turns=turns, on_step=_said), as_json=as_json)


@bench.command("audit")
@click.option("--suite", default="standard", show_default=True, help="quick, standard or deep.")
@click.option("--limit", type=click.IntRange(1), help="Items of each task; all.")
@click.option("--turns", type=click.IntRange(1), default=2, show_default=True)
@click.option("--engine/--no-engine", default=True, help="Also the engine, beside papermill.")
@click.option("--history", type=click.IntRange(0), default=1000, show_default=True, help="Runs.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def bench_audit(
    suite: str, limit: int | None, turns: int, engine: bool, history: int, as_json: bool
) -> None:
    """Audit an organism by its steps, and its sections beside bare papermill."""
    from workbench.bench.audit import AuditSize, bench_audit, bench_engine
    from workbench.bench.history import measure_history
    from workbench.tables import Result

    size = AuditSize(suite=suite, items=limit, turns=turns)
    _show(bench_audit(size, on_step=_said), as_json=as_json)
    if engine:
        _show(bench_engine(size, on_step=_said), as_json=as_json)
    if history:
        _show(Result.of("bench_history", [measure_history(history)]), as_json=as_json)


def _said(step: str) -> None:
    click.echo(f"bench: {step}", err=True)


def _show(result: Any, *, as_json: bool) -> None:
    """A result of few rows: its columns below each other, or all of it as JSON."""
    frame = result.frame()
    if as_json:
        rows = json.loads(frame.to_json(orient="records"))
        click.echo(json.dumps({"rows": rows, "provenance": dict(result.provenance)}))
    else:
        click.echo(frame.T.to_string(header=False, float_format="{:.4g}".format))
