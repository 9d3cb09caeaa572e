"""Audits as data: what is written holds, what is not has a default, what is wrong is all named."""

from __future__ import annotations

import json
import math
import os
import re
from typing import TYPE_CHECKING

import pytest
from auditing import write_audit_json

from workbench import resources
from workbench.audit.definitions.checks_of_toml import BENCHMARKS, BY_CHOICE
from workbench.audit.definitions.definition import (
    Definition,
    definition_digest,
    definition_names,
    load_definition,
    read_definition,
)
from workbench.audit.definitions.limits import Limits
from workbench.audit.definitions.parameters import notebook_parameters
from workbench.audit.reviewing.checklist import KEYS
from workbench.errors import InputError, InputErrors
from workbench.evaluate.benchmarks.catalogue import NAMES
from workbench.evaluate.suites import Check, load_suite

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[[str | bytes], Path]

HEAD = 'title = "Mine"\nversion = "1.0"\n'
BENCH = 'sections = ["bias", "benchmarks"]\n[tasks]\nbenchmarks = ["injection", "capitals"]\n'
CHECK = """[[check]]
code = "MY-1"
question = "Is it?"
task = "injection"
metric = "marker said"
group = "injected"
threshold = 0.25
direction = "above"
severity = "low"
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes `mine.toml`."""

    def written(content: str | bytes) -> Path:
        path = tmp_path / "mine.toml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return written


def of(definition: Definition, code: str) -> Check:
    return next(check for check in definition.checks if check.code == code)


def problems(path: Path) -> list[str]:
    with pytest.raises(InputError) as caught:
        load_definition(path)
    lines = getattr(caught.value, "lines", None)
    return list(lines[1:]) if lines else [str(caught.value)]


# What ships


@pytest.mark.parametrize("name", definition_names())
def test_everything_that_a_shipped_suite_names_exists(name: str) -> None:
    definition = load_definition(name)
    questions = load_suite(definition.questions)
    assert definition.name == name
    assert definition.description.endswith(".")
    known: set[str] = set()
    for section in definition.sections:
        known |= set(notebook_parameters(resources.notebooks() / f"{section}.ipynb"))
    assert set(definition.parameters) <= known
    asked = {task for tasks in definition.tasks.values() for task in tasks}
    assert asked <= {*questions.task_names(), *NAMES}
    codes = [check.code for check in definition.checks]
    assert len(codes) == len(set(codes))
    for check in definition.checks:
        assert check.section in definition.sections
        assert check.left_out is None
        assert check.question.endswith("?")
        assert (check.section == BENCHMARKS) == (check.metric is not None)
        assert check.threshold is None or (check.unit and math.isfinite(check.threshold))


def test_three_suites_ship_each_more_than_the_one_before() -> None:
    quick, standard, deep = (load_definition(name) for name in ("quick", "standard", "deep"))
    assert definition_names() == ["deep", "quick", "standard"]
    assert set(quick.sections) < set(standard.sections) < set(deep.sections)
    assert quick.sections == ("identity", "bias", "safety")
    assert standard.sections == load_suite().sections
    assert deep.sections == (*standard.sections, BENCHMARKS)
    assert quick.limits.items is not None
    assert standard.limits == deep.limits == Limits()


@pytest.mark.parametrize("name", definition_names())
def test_a_shipped_suite_is_explained(name: str) -> None:
    text = (resources.evals() / "audits" / f"{name}.toml").read_text(encoding="utf-8")
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert any("Copy" in line or "copies" in line for line in comments)
    assert max(map(len, text.splitlines())) <= 100


# What holds


def test_what_is_not_written_has_a_default(write: Write) -> None:
    found = read_definition(write(HEAD))
    suite = load_suite()
    assert found.definition.name == "mine"
    assert found.definition.sections == suite.sections
    assert found.definition.checks == suite.checks
    assert found.definition.tasks == {
        name: suite.tasks[name] for name in suite.sections if name in suite.tasks
    }
    assert found.definition.limits == Limits()
    assert found.definition.model is None
    assert found.stated == {"title", "version"}


def test_what_is_written_holds(write: Write) -> None:
    found = read_definition(
        write(
            HEAD
            + 'description = "Of ours."\nmodel = "organism:clean"\n'
            + 'sections = ["safety", "inside", "bias"]\n'
            + '[tasks]\nsafety = ["trigger", "refusal"]\n'
            + '[limits]\nitems = 7\nsection_seconds = "30 min"\nmemory = "8 GB"\n'
            + "[parameters]\npairs = 3\n"
            + '[statements]\nauditor = "Jane Doe"\n'
        )
    )
    definition = found.definition
    # In the order in which one may build on another.
    assert definition.sections == ("bias", "safety", "inside")
    assert definition.tasks["safety"] == ("trigger", "refusal")
    assert definition.tasks["bias"] == load_suite().tasks["bias"]
    assert definition.limits == Limits(items=7, section_seconds=1800, memory_bytes=8 * 10**9)
    assert definition.parameters == {"pairs": 3}
    assert definition.statements == {"auditor": "Jane Doe"}
    assert definition.model == "organism:clean"
    assert {check.section for check in definition.checks} == {"bias", "safety", "inside"}
    assert {"limits.items", "tasks.safety", "parameters.pairs", "statements"} <= found.stated
    assert "tasks.bias" not in found.stated


def test_limits_can_be_plain_numbers(write: Write) -> None:
    limits = load_definition(write(HEAD + "[limits]\nsection_seconds = 90\nmemory = 1e9\n")).limits
    assert limits == Limits(section_seconds=90, memory_bytes=10**9)


def test_a_byte_order_mark_is_no_mistake(write: Write) -> None:
    assert load_definition(write(b"\xef\xbb\xbf" + HEAD.encode())).title == "Mine"


# Checks


def test_a_threshold_and_a_severity_can_be_moved(write: Write) -> None:
    path = write(
        HEAD
        + '[checks."BIAS-OCC-*"]\nthreshold = 0.2\nseverity = "high"\n'
        + "[checks.BIAS-OCC-1]\nthreshold = 0.3\n"
        + '[checks.ID-LICENCE-1]\nseverity = "info"\n'
    )
    definition = load_definition(path)
    nurse, all_of_them = of(definition, "BIAS-OCC-NURSE"), of(definition, "BIAS-OCC-1")
    assert (nurse.threshold, nurse.severity) == (0.2, "high")
    assert nurse.usual == {"threshold": 0.1, "severity": "medium"}
    # A later entry wins, and what is usual stays what the questions say.
    assert (all_of_them.threshold, all_of_them.usual) == (0.3, {"threshold": 0.1})
    assert of(definition, "ID-LICENCE-1").severity == "info"
    assert of(definition, "BIAS-PRO-1") == load_suite().check("BIAS-PRO-1")


def test_a_change_back_is_none(write: Write) -> None:
    path = write(
        HEAD + '[checks."BIAS-*"]\nthreshold = 0.2\n[checks.BIAS-PRO-1]\nthreshold = 0.1\n'
    )
    assert of(load_definition(path), "BIAS-PRO-1") == load_suite().check("BIAS-PRO-1")


def test_a_check_that_is_left_out_stays_with_the_reason_and_so_do_those_resting_on_it(
    write: Write,
) -> None:
    definition = load_definition(write(HEAD + "[checks.SAFE-REF-1]\nenabled = false\n"))
    assert of(definition, "SAFE-REF-1").left_out == BY_CHOICE
    assert of(definition, "SAFE-TRIG-1").left_out == "It rests on SAFE-REF-1, which is left out."
    assert of(definition, "SAFE-OVER-1").left_out is None


def test_checks_of_a_task_that_is_not_asked_are_left_out(write: Write) -> None:
    path = write(HEAD + '[tasks]\nsafety = ["refusal", "sponsor"]\n')
    definition = load_definition(path)
    assert of(definition, "SAFE-REF-1").left_out is None
    assert of(definition, "SAFE-PRIV-1").left_out == (
        'Its task "private_string" is not asked in this audit.'
    )
    assert of(definition, "SAFE-REC-1").left_out is not None
    assert of(definition, "SAFE-SPON-1").left_out == "It rests on SAFE-REC-1, which is left out."


def test_a_new_check_needs_no_code(write: Write) -> None:
    definition = load_definition(write(HEAD + BENCH + CHECK))
    assert definition.checks[-1] == Check(
        code="MY-1",
        question="Is it?",
        section="benchmarks",
        severity="low",
        threshold=0.25,
        direction="above",
        task="injection",
        metric="marker said",
        group="injected",
    )


def test_a_new_check_may_rest_on_one_above(write: Write) -> None:
    second = CHECK.replace("MY-1", "MY-2") + 'rests_on = "MY-1"\nunit = "share"\n'
    definition = load_definition(write(HEAD + BENCH + CHECK + "enabled = false\n" + second))
    assert [check.left_out for check in definition.checks[-2:]] == [
        BY_CHOICE,
        "It rests on MY-1, which is left out.",
    ]


def test_tasks_of_lm_eval_are_named_as_such(write: Write) -> None:
    path = write(HEAD + BENCH.replace("capitals", "lm-eval:hellaswag"))
    assert load_definition(path).tasks["benchmarks"] == ("injection", "lm-eval:hellaswag")


# What is wrong


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("version = 1.0", "version is 1.0; expected a text that is not empty."),
        ('version = ""', "version is the text"),
        ("", "version is missing; expected a text."),
        ('version = "1"\nsectoins = []', 'sectoins is not known. Did you mean "sections"?'),
        ('version = "1"\n"a\\u001b[0m" = 1', "a⟨U+001B⟩[0m"),
        ('version = "1"\nquestions = "smal-world"', 'Did you mean "small-world"?'),
        ('version = "1"\nquestions = "../small-world"', "questions cannot be used"),
        ('version = "1"\nmodel = 3', "model is 3; expected a text"),
        ('version = "1"\nsections = []', "sections is a list of 0; expected a list of names"),
        ('version = "1"\nsections = "bias"', 'sections is the text "bias"'),
        ('version = "1"\nsections = ["bias", 3]', "sections is a list of 2"),
        ('version = "1"\nsections = ["bias", "bias"]', 'sections names "bias" twice'),
        ('version = "1"\nsections = ["bais"]', '"bais", which is none. Did you mean "bias"?'),
        ('version = "1"\nsections = ["benchmarks"]', "tasks.benchmarks is missing"),
        ('version = "1"\ntasks = 3', "tasks is 3; expected a table: [tasks]"),
        ('version = "1"\n[tasks]\nsafety = "refusal"', "tasks.safety is the text"),
        ('version = "1"\n[tasks]\nsafety = ["refusl"]', 'Did you mean "refusal"?'),
        ('version = "1"\n[tasks]\nidentity = ["refusal"]', "tasks.identity is not known."),
        ('version = "1"\n[limits]\nitems = 0', "limits.items is 0; expected a whole number"),
        ('version = "1"\n[limits]\nitems = -1', "limits.items is -1"),
        ('version = "1"\n[limits]\nitems = true', "limits.items is true"),
        ('version = "1"\n[limits]\nitems = 1.5', "limits.items is 1.5"),
        (f'version = "1"\n[limits]\nitems = {1 << 64}', "a number of more than 64 bits"),
        (f'version = "1"\n[limits]\nitems = {"9" * 5000}', "not TOML"),
        ('version = "1"\n[limits]\nsection_seconds = "soon"', 'got "soon"; expected a time'),
        ('version = "1"\n[limits]\nsection_seconds = -1', 'got "-1.0"; expected a time'),
        ('version = "1"\n[limits]\nsection_seconds = inf', "is inf; expected a finite number"),
        ('version = "1"\n[limits]\nsection_seconds = []', "section_seconds is a list of 0"),
        ('version = "1"\n[limits]\nmemory = "8 gb"', 'got "8 gb"; expected a size'),
        ('version = "1"\n[limits]\ntime = 1', "limits.time is not known."),
        ('version = "1"\n[parameters]\npairs = "4"', "parameters.pairs is '4'; expected int"),
        ('version = "1"\n[parameters]\npairs = 2026-11-21', "parameters.pairs is datetime.date"),
        ('version = "1"\n[parameters]\npears = 4', 'known to no section. Did you mean "pairs"?'),
        ('version = "1"\n[parameters]\nlimit = 4', "parameters.limit is set by --limit."),
        ('version = "1"\n[checks."ZZ-*"]\nthreshold = 1', 'checks."ZZ-*" is no check.'),
        ('version = "1"\n[checks.BIAS-OC-1]\nthreshold = 1', 'Did you mean "BIAS-OCC-1"?'),
        ('version = "1"\n[checks]\nBIAS-OCC-1 = 1', "is 1; expected a table: [checks.BIAS-OCC-1]"),
        ('version = "1"\n[checks.BIAS-OCC-1]\nthreshold = nan', "threshold is nan"),
        ('version = "1"\n[checks.BIAS-OCC-1]\nthreshold = "1"', "expected a finite number"),
        ('version = "1"\n[checks.BIAS-OCC-1]\nseverity = "dire"', 'expected "info" or "low"'),
        ('version = "1"\n[checks.BIAS-OCC-1]\nthresold = 1', 'Did you mean "threshold"?'),
        ('version = "1"\n[checks.BIAS-OCC-1]\ndirection = "below"', "direction cannot be changed"),
        ('version = "1"\n[checks.BIAS-OCC-1]\nenabled = 1', "enabled is 1; expected true or false"),
        ('version = "1"\n[checks."ID-*"]\nthreshold = 1', "is answered by yes or no"),
        ('version = "1"\n[checks."SAFE-*"]\nthreshold = 1', "name them apart"),
        (
            'version = "1"\nsections = ["bias"]\n[checks.SAFE-REF-1]\nthreshold = 1',
            'is of the section "safety", which is not chosen.',
        ),
        ('version = "1"\n[statements]\nlicense = "x"', 'Did you mean "licence"?'),
        ('version = "1"\n[statements]\nlimits = 3', "statements.limits is 3; expected a text"),
        ('version = "1"\ncheck = 3', "expected tables that begin with [[check]]"),
        ('version = "1"\n' + CHECK, 'needs the section "benchmarks" among the sections'),
    ],
)
def test_what_is_wrong_is_said_with_its_key(write: Write, content: str, said: str) -> None:
    path = write('title = "Mine"\n' + content)
    with pytest.raises(InputError) as caught:
        load_definition(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("MY-1", "my-1"), 'code is "my-1"; expected such as "BENCH-BBQ-1".'),
        (("MY-1", "BIAS-OCC-1"), 'code is "BIAS-OCC-1", which another check has.'),
        (('task = "injection"', 'task = "bbq"'), "which [tasks] benchmarks does not list."),
        (('task = "injection"', 'task = "capitals"'), "metric of a task is correct or probability"),
        (('"above"', '"over"'), 'expected "above" or "below"'),
        (('direction = "above"\n', ""), "direction is missing; it is fixed before"),
        (("threshold = 0.25\n", ""), "threshold is missing"),
        (('metric = "marker said"\n', ""), "metric is missing; expected a text."),
        (("0.25", "inf"), "threshold is inf"),
        (("0.25", "-1e400"), "threshold is -inf"),
        (
            ('severity = "low"', 'severity = "low"\nrests_on = "MY-2"'),
            "expected the code of a [[ch",
        ),
        (('severity = "low"', 'severity = "low"\nsection = "bias"'), "check[1].section is not kno"),
        (('severity = "low"\n', 'severity = "low"\n' + CHECK), "check[2].code"),
    ],
)
def test_a_new_check_that_could_not_be_judged_is_refused(
    write: Write, change: tuple[str, str], said: str
) -> None:
    assert any(said in line for line in problems(write(HEAD + BENCH + CHECK.replace(*change))))


def test_a_threshold_that_a_tasks_number_cannot_cross_is_refused(write: Write) -> None:
    own = CHECK.replace("injection", "capitals").replace("marker said", "correct")
    own = own.replace('group = "injected"\n', "")
    assert load_definition(write(HEAD + BENCH + own)).checks[-1].task == "capitals"
    (problem,) = problems(write(HEAD + BENCH + own.replace("0.25", "25")))
    assert "check[1].threshold of a task is from 0 to 1." in problem


def test_a_benchmark_is_not_taken_for_lm_evals(write: Write) -> None:
    (problem,) = problems(write(HEAD + BENCH.replace("capitals", "lm-eval:bbq")))
    assert 'names "lm-eval:bbq", which is no task of it' in problem
    (problem,) = problems(write(HEAD + BENCH.replace("capitals", "hellaswag")))
    assert "A task of lm-eval's own is written lm-eval:NAME." in problem


def test_everything_that_is_wrong_is_named_at_once(write: Write) -> None:
    path = write('versoin = "1"\n[limits]\nitems = 0\n[checks.ZZ-1]\nseverity = "dire"\n')
    with pytest.raises(InputErrors) as caught:
        load_definition(path)
    assert caught.value.lines[0] == f"{path}: 6 problems"
    assert [line.split()[0] for line in caught.value.lines[1:]] == [
        "title",
        "version",
        "limits.items",
        "checks.ZZ-1",
        "checks.ZZ-1.severity",
        "versoin",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty; expected at least title and version"),
        (b" \n\n", "is empty"),
        (b'title = "a\nversion', r"not TOML: .*\(at line 1, column 11\)"),
        (b"title = 1\ntitle = 2\n", r"not TOML: .*line 2"),
        (b'title = "\xff"\n', "line 1 is not UTF-8"),
        (b'title = "a"\n# \xc3\x28\n', "line 2 is not UTF-8"),
        (b"\x00", "not TOML"),
        (b"a = " + b"[" * 20_000, "not TOML"),
        (b"a = 1\n" * 200_000, "is larger than a megabyte"),
    ],
)
def test_what_is_no_toml_is_refused_with_its_place(write: Write, content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=rf"mine\.toml: {said}"):
        load_definition(write(content))


def test_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml: no such file"):
        load_definition(tmp_path / "none.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(InputError, match=r"folder\.toml: is a folder"):
        load_definition(tmp_path / "folder.toml")
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(InputError, match=r"pipe\.toml: is no ordinary file"):
        load_definition(tmp_path / "pipe.toml")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../quick", "quick/", "audits/quick", "quick.tom", "qu\x1bick", "\x00"]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="There is no suite") as caught:
        load_definition(name)
    assert "A file of your own ends in .toml." in str(caught.value)
    assert str(caught.value).isprintable()


def test_every_line_of_the_checklist_can_be_stated(write: Write) -> None:
    lines = "".join(f'{key} = "said of {key}"\n' for key in KEYS)
    assert list(load_definition(write(HEAD + "[statements]\n" + lines)).statements) == sorted(KEYS)


# The frozen definition


def test_a_definition_is_as_a_run_holds_it(write: Write) -> None:
    path = write(HEAD + "[checks.BIAS-OCC-1]\nthreshold = 0.123456789012345\n")
    definition = load_definition(path)
    assert of(definition, "BIAS-OCC-1").threshold == 0.123456789
    assert definition == definition.frozen()


def test_equal_definitions_share_a_digest(write: Write) -> None:
    plain = load_definition(write(HEAD))
    said = load_definition(write("# a remark\n" + HEAD + 'questions = "small-world"\n'))
    other = load_definition(write(HEAD + "[checks.BIAS-OCC-1]\nthreshold = 0.11\n"))
    assert definition_digest(plain) == definition_digest(said) != definition_digest(other)
    assert definition_digest(json.loads(plain.model_dump_json())) == definition_digest(plain)
    assert len(definition_digest(plain)) == 64


# A run's own definition


def test_a_runs_record_asks_the_same_again(write: Write, tmp_path: Path) -> None:
    """Also where the command line chose fewer sections than the checks are of."""
    mine = write(HEAD + 'sections = ["bias", "inside"]\n[parameters]\npairs = 4\n')
    asked = load_definition(mine).model_copy(update={"sections": ("bias",), "parameters": {}})
    run = write_audit_json(tmp_path / "run", **dict(asked))
    file = read_definition(run / "audit.json")
    assert file.definition == asked.frozen()
    assert definition_digest(file.definition) == definition_digest(asked)
    assert file.stated >= {"sections", "checks", "limits.items"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sections": ["../../elsewhere"]}, 'There is no section "../../elsewhere"'),
        ({"sections": ["/elsewhere"]}, "There is no section"),
        ({"questions": "../secret"}, "There is no suite"),
        ({"parameters": {"pairs": "many"}}, "expected int"),
        ({"checks": [{"code": 1}]}, "not the audit.json of a run of this version"),
        ({"more": 1}, "not the audit.json of a run of this version"),
    ],
)
def test_a_record_that_names_what_is_not_there_is_refused(
    tmp_path: Path, changed: dict[str, object], said: str
) -> None:
    run = write_audit_json(tmp_path / "run", [])
    content = json.loads((run / "audit.json").read_text())
    content["definition"] |= {"sections": ["inside"]} | changed
    (run / "audit.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=re.escape(said)):
        read_definition(run / "audit.json")
