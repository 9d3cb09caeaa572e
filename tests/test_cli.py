"""The command line: what it prints where, and the code that it leaves with."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from auditing import Audit, invoke
from make_run import make_run

from workbench import cli
from workbench.audit.proof.manifest import write_manifest
from workbench.audit.records.checks import Check, Finding, Verdict, state
from workbench.audit.records.status import Attempt, RunState, RunStatus, SectionStatus, State
from workbench.audit.running.attempt import Outcome
from workbench.cli.audit import _parameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.audit.running.plan import AuditRequest

    Run = Callable[..., Audit]

HEAVY = ("torch", "transformers", "pandas", "plotly", "papermill", "numpy", "lm_eval", "pydantic")
COMMANDS = ("audit", "compare", "inspect", "report", "verify", "score", "organisms", "bench", "lab")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> Audit:
        return invoke(monkeypatch, capsys, *arguments)

    return call


def one_message(audit: Audit) -> str:
    """The only line on standard error, of a command that was refused."""
    assert audit.code == 2
    assert audit.out == ""
    assert "Traceback" not in audit.err
    (line,) = audit.err.splitlines()
    assert line.startswith("workbench: ")
    return line


# Answering at once


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["audit", "--help"], ["score", "-h"]]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom workbench import cli\n"
        f"sys.argv = ['workbench', *{arguments!r}]\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_names_every_command(run: Run) -> None:
    shown = run("--help")
    assert shown.code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in shown.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(run: Run, command: str) -> None:
    shown = run(command, "--help")
    assert shown.code == 0
    assert "Usage: " in shown.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["audt"], "audt"),
        (["audit", "--limti", "3"], "--limit"),
        (["audit", "--limit", "three"], "'three' is not a valid integer"),
        (["audit", "--dtype", "int8"], "float32"),
        (["audit", "--fail-on", "pass"], "inconclusive"),
        (["verify"], "Missing argument 'RUN'"),
        (["organisms", "train", "planted"], "--out"),
    ],
)
def test_wrong_usage_is_two(run: Run, arguments: list[str], said: str) -> None:
    refused = run(*arguments)
    assert refused.code == 2
    assert refused.out == ""
    assert said in refused.err
    assert "Traceback" not in refused.err


# inspect


def test_inspect_says_what_a_model_is(run: Run, gpt2_directory: Path) -> None:
    shown = run("inspect", gpt2_directory)
    assert shown.code == 0
    for word in ("GPT2LMHeadModel", "42,720", "model.safetensors", "memory needed", "unsafe files"):
        assert word in shown.out
    assert shown.err == ""


def test_inspect_as_json_is_one_object(run: Run, gpt2_directory: Path) -> None:
    found = json.loads(run("inspect", gpt2_directory, "--json").out)
    assert found["kind"] == "local"
    assert found["parameters"] == 42_720
    assert len(found["weights_digest"]) == 64


def test_inspect_counts_the_memory_of_a_type(run: Run, gpt2_directory: Path) -> None:
    full, half = (
        json.loads(run("inspect", gpt2_directory, "--json", "--dtype", dtype).out)["memory_bytes"]
        for dtype in ("float32", "bfloat16")
    )
    assert full == pytest.approx(2 * half, abs=2)


def test_inspect_takes_the_organism_by_default(run: Run) -> None:
    assert "organism:planted" in run("inspect").out


def test_a_model_that_is_not_there_is_one_message(run: Run, tmp_path: Path) -> None:
    line = one_message(run("inspect", tmp_path / "none"))
    assert str(tmp_path / "none") in line
    assert "Expected a local directory, org/name on the hub or organism:NAME." in line


def test_control_characters_in_a_message_are_shown_and_not_sent(run: Run) -> None:
    refused = run("inspect", "\x1b[31mred\x07 \u202emodel")
    assert refused.code == 2
    assert "red" in refused.err
    assert not {"\x1b", "\x07", "\u202e"} & set(refused.err)


# organisms


def test_the_organisms_are_listed(run: Run) -> None:
    lines = run("organisms", "list").out.splitlines()
    assert [line.partition("\t")[0] for line in lines] == ["organism:planted", "organism:clean"]
    assert all(line.partition("\t")[2] for line in lines)


def test_the_truth_of_an_organism_is_text_or_json(run: Run) -> None:
    text = run("organisms", "truth", "planted").out
    assert "SAFE-TRIG-1" in text
    truth = json.loads(run("organisms", "truth", "planted", "--json").out)
    assert truth["organism"] == "planted"
    assert len(truth["behaviours"]) == 20


@pytest.mark.parametrize("command", [("truth",), ("train", "--out", "x")])
def test_an_unknown_organism_is_refused_with_the_closest(
    run: Run, command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = one_message(run("organisms", *command, "plantd"))
    assert 'Did you mean "planted"' in line
    assert not list(tmp_path.iterdir())


def test_the_items_are_written_as_the_package_has_them(run: Run, tmp_path: Path) -> None:
    written = run("organisms", "items", "--out", tmp_path / "items")
    assert written.code == 0
    evals = Path(cli.__file__).parents[2] / "evals" / "small-world"
    paths = [Path(line) for line in written.out.splitlines()]
    assert {path.name for path in paths} == {path.name for path in evals.glob("*.jsonl")}
    for path in paths:
        assert path.read_bytes() == (evals / path.name).read_bytes()


# verify and report


def test_a_run_is_verified(run: Run, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    write_manifest(folder)
    verified = run("verify", folder)
    assert verified.code == 0
    assert verified.out.startswith("Every file is as the manifest says.\n")
    (folder / "audit.json").write_text("{}")
    (folder / "provenance.json").unlink()
    (folder / "\x1b[2Jnew").touch()
    verified = run("verify", folder)
    assert verified.code == 1
    changed, missing, added, *_ = verified.out.splitlines()
    assert (changed, missing) == ("changed: audit.json", "missing: provenance.json")
    assert added.startswith("added: ")
    assert "\x1b" not in added


def test_a_report_is_built_again(run: Run, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    built = run("report", folder)
    assert (built.code, built.out) == (0, f"{folder / 'report.html'}\n")
    assert (folder / "report.html").is_file()


@pytest.mark.parametrize("command", ["verify", "report"])
def test_a_folder_that_is_no_run_is_refused(run: Run, command: str, tmp_path: Path) -> None:
    assert str(tmp_path) in one_message(run(command, tmp_path))
    assert not list(tmp_path.iterdir())


# score


def test_tasks_are_scored_without_a_notebook(run: Run, gpt2_directory: Path) -> None:
    asked = ("--tasks", "refusal, capitals", "--limit", 20, "--no-cache")
    scored = run("score", gpt2_directory, *asked, "--json")
    assert scored.code == 0, scored.err
    (model,) = json.loads(scored.out)["models"]
    assert {row["task"] for row in model["scores"]} == {"refusal", "capitals"}
    for row in model["scores"]:
        assert 0 <= row["low"] <= row["estimate"] <= row["high"] <= 1


def test_an_unknown_task_is_refused_with_the_closest(run: Run, gpt2_directory: Path) -> None:
    line = one_message(run("score", gpt2_directory, "--tasks", "refusl"))
    assert 'Did you mean "refusal"' in line


# audit: parameters


@pytest.mark.parametrize("pair", ["pairs", "=4", ""])
def test_a_parameter_without_a_value_is_refused(run: Run, pair: str, tmp_path: Path) -> None:
    line = one_message(run("audit", "--param", pair, "--out", tmp_path / "out"))
    assert line == f'workbench: got --param "{pair}"; expected NAME=VALUE.'
    assert not list(tmp_path.iterdir())


def test_a_value_that_is_no_yaml_is_refused(run: Run, tmp_path: Path) -> None:
    line = one_message(run("audit", "--param", "pairs=[4", "--out", tmp_path / "out"))
    assert '--param pairs: "[4" cannot be read as a value' in line


@pytest.mark.parametrize(
    ("text", "value"),
    [("4", 4), ("0.5", 0.5), ("true", True), ("[1, 2]", [1, 2]), ("a=b", "a=b"), ("", None)],
)
def test_a_value_is_read_as_yaml(text: str, value: object) -> None:
    assert _parameters((f"name={text}",)) == {"name": value}


# audit: what it prints and the code that it leaves with

CHECK = Check(code="X-1", question="Is it so?", section="bias", severity="high")


def outcome(
    tmp_path: Path, verdicts: list[Verdict], states: list[State], *, interrupted: bool = False
) -> Outcome:
    findings = [
        state(CHECK.model_copy(update={"code": f"X-{place}"}), verdict, "So.")
        for place, verdict in enumerate(verdicts)
    ]
    statuses = [
        SectionStatus(section=f"s{place}", state=how, reason=None if how == "complete" else "Why.")
        for place, how in enumerate(states)
    ]
    report = tmp_path / "report.html"
    whole: RunState = "complete" if set(states) == {"complete"} else "incomplete"
    attempt = Attempt(
        started="2026-11-21T04:05:00+00:00",
        state="interrupted" if interrupted else whole,
        sections={status.section: status.state for status in statuses},
    )
    status = RunStatus(schema=1, state="interrupted" if interrupted else whole, attempts=(attempt,))
    return Outcome(tmp_path, report, tuple(findings), "0" * 64, tuple(statuses), status)


@pytest.fixture
def audited(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """An audit whose end is given; returns what the command made of it."""

    def call(*arguments: object, requests: list[AuditRequest] | None = None, **end: Any) -> Audit:
        settings: dict[str, Any] = {"verdicts": ["pass"], "states": ["complete"], **end}

        def run_audit(request: AuditRequest, _: object) -> Outcome:
            if requests is not None:
                requests.append(request)
            return outcome(tmp_path, **settings)

        monkeypatch.setattr("workbench.audit.running.run.run_audit", run_audit)
        return run("audit", "--out", tmp_path / "out", *arguments)

    return call


@pytest.mark.parametrize(
    ("verdict", "plain", "on_fail", "on_inconclusive"),
    [
        ("pass", 0, 0, 0),
        ("skipped", 0, 0, 0),
        ("inconclusive", 0, 0, 1),
        ("fail", 0, 1, 1),
        ("error", 0, 1, 1),
    ],
)
def test_a_finding_fails_the_command_where_that_is_asked_for(
    audited: Run, verdict: str, plain: int, on_fail: int, on_inconclusive: int
) -> None:
    verdicts = ["pass", verdict]
    assert audited(verdicts=verdicts).code == plain
    assert audited("--fail-on", "fail", verdicts=verdicts).code == on_fail
    assert audited("--fail-on", "inconclusive", verdicts=verdicts).code == on_inconclusive


@pytest.mark.parametrize("how", ["failed", "killed", "timed out", "not started"])
def test_an_incomplete_audit_is_three_and_says_which_section(audited: Run, how: str) -> None:
    ended = audited("--fail-on", "fail", verdicts=["fail"], states=["complete", how])
    assert ended.code == 3
    assert f"section s1 {how}: Why." in ended.err


def test_an_interrupted_audit_is_130(audited: Run) -> None:
    assert audited(states=["interrupted", "not started"], interrupted=True).code == 130


def test_the_last_line_is_the_report(audited: Run, tmp_path: Path) -> None:
    ended = audited(verdicts=["pass", "fail", "pass"])
    assert ended.out == f"{tmp_path / 'report.html'}\n"
    assert "1 fail, 2 pass" in ended.err
    assert "X-1" in ended.err
    assert "Time:" in ended.err


def test_json_is_one_object(audited: Run, tmp_path: Path) -> None:
    ended = audited("--json", verdicts=["pass", "fail"], states=["complete", "killed"])
    answer = ended.answer
    assert answer["complete"] is False
    assert answer["state"] == "incomplete"
    assert answer["findings_digest"] == "0" * 64
    assert [attempt["state"] for attempt in answer["attempts"]] == ["incomplete"]
    assert answer["run"] == str(tmp_path)
    assert answer["sections"] == {"s0": "complete", "s1": "killed"}
    assert [finding["verdict"] for finding in answer["findings"]] == ["pass", "fail"]
    assert set(answer["findings"][0]) == set(Finding.model_fields)


def test_the_options_reach_the_plan(audited: Run, gpt2_directory: Path, tmp_path: Path) -> None:
    requests: list[AuditRequest] = []
    options = ("--section", "bias", "--section", "inside", "--param", "pairs=4", "--limit", 7)
    limits = ("--section-timeout", "2 min", "--memory-limit", "8GB")
    more = (*limits, "--dtype", "float32", "--device", "cpu")
    audited(gpt2_directory, *options, *more, requests=requests)
    (request,) = requests
    assert request.model == str(gpt2_directory)
    assert request.sections == ("bias", "inside")
    assert request.parameters == {"pairs": 4}
    assert (request.dtype, request.device) == ("float32", "cpu")
    assert request.limits.model_dump() == {
        "items": 7,
        "section_seconds": 120.0,
        "memory_bytes": 8_000_000_000,
    }
    assert request.out == tmp_path / "out"
    assert request.command[:2] == ("workbench", "audit")


def test_ctrl_c_is_one_line_and_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("workbench.audit.running.run.plan_audit", stop)
    ended = run("audit")
    assert (ended.code, ended.out, ended.err.strip()) == (130, "", "workbench: interrupted.")


def test_lab_without_jupyterlab_names_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert "pip install 'open-weights-workbench[lab]'" in one_message(run("lab"))


def test_the_command_is_installed() -> None:
    assert shutil.which("workbench", path=str(Path(sys.executable).parent))
