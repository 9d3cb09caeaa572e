"""`workbench suite`: the audits that there are, what each says in full, whether a file holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from workbench.cli.options import printable, told

if TYPE_CHECKING:
    from workbench.audit.definitions.definition import Definition

__all__ = ["suite"]

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")


@click.group()
def suite() -> None:
    """What an audit does, as data: the suites that ship, and files of your own."""


@suite.command("list")
@_JSON
def suite_list(as_json: bool) -> None:
    """The suites that ship."""
    from workbench.audit.definitions.definition import (
        definition_digest,
        definition_names,
        load_definition,
    )

    found = {name: load_definition(name) for name in definition_names()}
    if as_json:
        rows = [
            {
                "name": name,
                "title": one.title,
                "version": one.version,
                "sections": list(one.sections),
                "checks": len(one.checks),
                "digest": definition_digest(one),
            }
            for name, one in found.items()
        ]
        click.echo(json.dumps({"suites": rows}))
        return
    width = max(map(len, found))
    for name, one in found.items():
        click.echo(f"{name:<{width}}  {_summary(one)}\n{'':<{width}}  {one.description}")


@suite.command("show")
@click.argument("name", metavar="NAME|FILE")
@_JSON
def suite_show(name: str, as_json: bool) -> None:
    """The whole definition of a suite or TOML file, with every default, as a file of your own."""
    from workbench.audit.definitions.definition import definition_digest, read_definition
    from workbench.audit.definitions.definition_text import definition_text, open_parameters

    file = read_definition(name)
    if not as_json:
        click.echo(definition_text(file), nl=False)
        return
    parameters = open_parameters(file.definition)
    shown = {
        "definition": file.definition.model_dump(mode="json"),
        "digest": definition_digest(file.definition),
        "stated": sorted(file.stated),
        "parameters": {
            key: {"default": one.default, "help": one.help} for key, one in parameters.items()
        },
    }
    click.echo(json.dumps(shown))


@suite.command("check")
@click.argument("names", metavar="NAME|FILE...", nargs=-1, required=True)
def suite_check(names: tuple[str, ...]) -> int:
    """Whether each could be audited by, and what it changes; exit 2 with all that is wrong."""
    from workbench.audit.definitions.definition import load_definition
    from workbench.errors import InputError

    code = 0
    for name in names:
        try:
            found = load_definition(name)
        except InputError as error:
            click.echo(f"workbench: {told(error)}", err=True)
            code = error.exit_code
            continue
        click.echo(f"{printable(name)}: {_summary(found)}")
        for check in found.checks:
            for key, usual in check.usual.items():
                click.echo(f"  {check.code}: {key} {getattr(check, key)}, usually {usual}")
            if check.left_out is not None:
                click.echo(f"  {check.code} is left out: {printable(check.left_out)}")
    return code


def _summary(definition: Definition) -> str:
    """`Quick audit 1.0: identity, bias; 31 checks; 60 items of each task`."""
    judged = sum(check.left_out is None for check in definition.checks)
    parts = [", ".join(definition.sections), f"{judged} checks"]
    if definition.limits.items is not None:
        parts.append(f"{definition.limits.items:,} items of each task")
    return printable(f"{definition.title} {definition.version}: {'; '.join(parts)}")
