"""The command line as a person runs it, and audits of notebooks that were made for a test."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import yaml

from workbench import cli
from workbench.audit.definitions.definition import Definition
from workbench.audit.records.folder import AUDIT, SCHEMA, AuditRecord

COMMAND = str(Path(sysconfig.get_path("scripts")) / "workbench")
DRIVER = str(Path(__file__).parent / "faults" / "custom_suite.py")
CUSTOM = "custom"

# nbformat has no types.
v4: Any = nbformat.v4

PARAMETERS = """\
model = "organism:planted"
suite = "standard"
run = None
device = None
dtype = None
allow_pickle = False
limit = None
ready = ""
"""
LOAD = """\
import os, pathlib, time
import workbench
loaded = workbench.load(model, device=device, dtype=dtype, allow_pickle=allow_pickle)
section = workbench.Section({name!r}, loaded.provenance, suite=suite, run=run)
"""
FOUND = 'section.state({code!r}, "pass", "It was reached.")'
CLOSE = "section.close()"
SLEEP = """\
pathlib.Path(ready).write_text(str(os.getpid()))
time.sleep(600)
"""


@dataclass(frozen=True)
class Audit:
    """What an audit printed and left behind."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> dict[str, Any]:
        """What `--json` printed."""
        answer: dict[str, Any] = json.loads(self.out)
        return answer

    @property
    def run(self) -> Path:
        return Path(self.answer["run"])

    @property
    def findings(self) -> dict[str, dict[str, Any]]:
        """Check code -> finding, as the run's `findings.json` holds them."""
        content = json.loads((self.run / "findings.json").read_text())
        return {finding["code"]: finding for finding in content["findings"]}

    @property
    def verdicts(self) -> dict[str, str]:
        return {code: finding["verdict"] for code, finding in self.findings.items()}

    def status(self, section: str) -> dict[str, Any]:
        path = self.run / "sections" / section / "status.json"
        status: dict[str, Any] = json.loads(path.read_text())
        return status

    @property
    def whole(self) -> dict[str, Any]:
        """The run's own `status.json`."""
        status: dict[str, Any] = json.loads((self.run / "status.json").read_text())
        return status

    @property
    def states(self) -> dict[str, str]:
        """Section -> how it ended, as `--json` says it."""
        states: dict[str, str] = self.answer["sections"]
        return states


def workbench(*arguments: object, command: tuple[str, ...] = (COMMAND,)) -> Audit:
    """The installed command in a process of its own."""
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    return Audit(done.returncode, done.stdout, done.stderr)


def invoke(monkeypatch: Any, capsys: Any, *arguments: object) -> Audit:
    """The same in this process: quick, for what ends before a kernel starts."""
    monkeypatch.setattr(sys, "argv", ["workbench", *map(str, arguments)])
    code = 0
    try:
        cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    printed = capsys.readouterr()
    return Audit(code, printed.out, printed.err)


def notebook(name: str, *cells: str, load: str = LOAD) -> Any:
    """A section notebook: parameters, the model and the section, then these cells."""
    code = [v4.new_code_cell(source) for source in (PARAMETERS, load.format(name=name), *cells)]
    code[0].metadata["tags"] = ["parameters"]
    metadata = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python"}}
    return v4.new_notebook(cells=code, metadata=metadata)


def write_suite(
    folder: Path, sections: dict[str, list[str]], checks: list[Any], *, load: str = LOAD
) -> Path:
    """A suite of made-up sections: `evals/` and `notebooks/` below a folder.

    Args:
        folder: to write in.
        sections: name -> the cells of its notebook.
        checks: (code, section) of each.
        load: the cell that makes the section, with its `{name}`.
    """
    suite = folder / "evals" / CUSTOM
    suite.mkdir(parents=True)
    (folder / "notebooks").mkdir()
    content = {
        "title": "Custom",
        "version": "1.0",
        "licence": "Apache-2.0",
        "description": "Made for a test.",
        "sections": list(sections),
        "tasks": {},
        "checks": [
            {
                "code": code,
                "section": section,
                "question": f"Was {code} reached?",
                "severity": "high",
            }
            for code, section in checks
        ],
    }
    (suite / "suite.yaml").write_text(yaml.safe_dump(content))
    definition = folder / "evals" / "audits" / f"{CUSTOM}.toml"
    definition.parent.mkdir()
    definition.write_text(f'title = "Custom"\nversion = "1.0"\nquestions = "{CUSTOM}"\n')
    for name, cells in sections.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on cell ids are not what is tested
            made = notebook(name, *cells, load=load)
            nbformat.write(made, folder / "notebooks" / f"{name}.ipynb")
    return folder


def custom_command(folder: Path) -> tuple[str, ...]:
    """The command line with the suites and notebooks of a folder."""
    return (sys.executable, DRIVER, str(folder))


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def write_audit_json(run: Path, checks: list[Any], **more: Any) -> Path:
    """A run folder that has nothing but its frozen checks; `more` of its definition."""
    run.mkdir(parents=True, exist_ok=True)
    definition = Definition(
        **{
            "name": "custom",
            "title": "Custom",
            "version": "1.0",
            "sections": tuple(dict.fromkeys(check.section for check in checks)),
            "tasks": {},
            "checks": tuple(checks),
            **more,
        }
    )
    AuditRecord(
        schema=SCHEMA,
        run_id=run.name,
        created="2026-11-21T04:05:00+00:00",
        model="organism:planted",
        definition=definition,
        passed={},
        defaulted={},
        command=("workbench", "audit"),
        workbench_version="0.1.0",
    ).write(run / AUDIT)
    return run
