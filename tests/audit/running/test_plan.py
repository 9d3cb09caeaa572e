from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from auditing import CUSTOM, write_suite

from workbench import resources
from workbench.audit.definitions.limits import Limits
from workbench.audit.running import plan as plans
from workbench.audit.running.plan import AuditRequest, Plan, plan_audit
from workbench.errors import InputError, InputErrors, ModelError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

HEAD = 'title = "Mine"\nversion = "1.0"\n'
NOTHING_GIVEN = {
    "suite": "standard",
    "limit": None,
    "section_timeout": None,
    "memory_limit": None,
    "device": None,
    "dtype": None,
    "allow_pickle": False,
    "offline": False,
}


def planned(tmp_path: Path, **changes: Any) -> Plan:
    settings: dict[str, Any] = {"model": "organism:planted", "out": tmp_path / "runs"}
    return plan_audit(AuditRequest(**{**settings, **changes}))


def written(tmp_path: Path, content: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + content, encoding="utf-8")
    return str(path)


def test_the_default_is_every_section_of_the_suite_in_its_order(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    first, *_, last = plan.definition.sections
    assert (first, last) == ("identity", "intervention")
    assert list(plan.sections) == list(plan.definition.sections)
    assert plan.definition.name == "standard"
    assert plan.definition.questions == "small-world"
    assert all(path.is_file() for path in plan.sections.values())


def test_planning_writes_nothing(tmp_path: Path) -> None:
    planned(tmp_path)
    assert not list(tmp_path.iterdir())


def test_sections_keep_the_order_of_the_suite(tmp_path: Path) -> None:
    assert list(planned(tmp_path, sections=("inside", "bias")).sections) == ["bias", "inside"]


def test_checks_of_sections_that_are_not_asked_for_stay_in_the_record(tmp_path: Path) -> None:
    """The report says that they were not judged."""
    whole, part = planned(tmp_path), planned(tmp_path, sections=("bias",))
    assert part.definition.checks == whole.definition.checks


def test_each_notebook_is_given_the_parameters_that_it_has(tmp_path: Path) -> None:
    plan = planned(tmp_path, limits=Limits(items=3), parameters={"pairs": 4}, dtype="float32")
    assert plan.parameters["inside"]["pairs"] == 4
    assert plan.parameters["inside"]["limit"] == 3
    assert "pairs" not in plan.parameters["bias"]
    assert "limit" not in plan.parameters["identity"]
    for given in plan.parameters.values():
        assert given["model"] == "organism:planted"
        assert given["dtype"] == "float32"
        # The model is there by now: a notebook has no network.
        assert given["offline"] is True


def test_a_local_model_is_given_as_an_absolute_path(
    gpt2_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(gpt2_directory.parent)
    plan = planned(tmp_path, model=gpt2_directory.name)
    assert plan.load_arguments["model"] == str(gpt2_directory)
    assert plan.model == gpt2_directory.name
    assert plan.checkpoint.name == gpt2_directory.name


# Where a value comes from


def test_nothing_given_is_all_defaults(tmp_path: Path) -> None:
    plan = planned(tmp_path, model=None, sections=())
    assert plan.passed == {}
    assert plan.from_suite == {"sections": list(plan.definition.sections)}
    assert plan.defaulted["model"] == plan.model == "organism:planted"
    assert plan.defaulted["pairs"] == 12
    assert NOTHING_GIVEN.items() <= plan.defaulted.items()


def test_what_the_file_states_is_neither_passed_nor_a_default(tmp_path: Path) -> None:
    suite = written(
        tmp_path,
        'model = "organism:clean"\nsections = ["inside", "bias"]\n'
        '[limits]\nitems = 5\nsection_seconds = "1 min"\n[parameters]\npairs = 3\n',
    )
    plan = planned(tmp_path, model=None, suite=suite)
    assert plan.model == "organism:clean"
    assert plan.passed == {"suite": suite}
    assert plan.from_suite == {
        "model": "organism:clean",
        "sections": ["bias", "inside"],
        "limit": 5,
        "section_timeout": 60,
        "pairs": 3,
    }
    assert not set(plan.defaulted) & {*plan.passed, *plan.from_suite}
    assert plan.parameters["inside"]["pairs"] == 3


def test_what_is_passed_wins_over_the_file(tmp_path: Path) -> None:
    suite = written(
        tmp_path,
        'model = "organism:clean"\nsections = ["inside", "bias"]\n'
        '[limits]\nitems = 5\nmemory = "8 GB"\n[parameters]\npairs = 3\n',
    )
    plan = planned(
        tmp_path, suite=suite, limits=Limits(items=2), parameters={"pairs": 4}, sections=("inside",)
    )
    assert plan.passed == {
        "model": "organism:planted",
        "suite": suite,
        "sections": ["inside"],
        "limit": 2,
        "pairs": 4,
    }
    assert plan.from_suite == {"memory_limit": 8_000_000_000}
    assert plan.definition.limits == Limits(items=2, memory_bytes=8_000_000_000)
    assert plan.definition.parameters == {"pairs": 4}
    assert plan.definition.model == "organism:clean"


def test_a_default_that_was_passed_counts_as_passed(tmp_path: Path) -> None:
    plan = planned(tmp_path, suite="standard", given=frozenset({"suite", "device", "as_json"}))
    assert plan.passed == {"model": "organism:planted", "suite": "standard", "device": None}


def test_parameters_of_the_file_may_be_of_a_section_that_is_not_asked_for(tmp_path: Path) -> None:
    suite = written(tmp_path, "[parameters]\npairs = 3\n")
    plan = planned(tmp_path, suite=suite, sections=("bias",))
    assert "pairs" not in {**plan.passed, **plan.from_suite, **plan.defaulted}


def test_the_definition_is_what_a_run_holds_of_it(tmp_path: Path) -> None:
    plan = planned(tmp_path, limits=Limits(section_seconds=100 / 3))
    assert plan.definition == plan.definition.frozen()
    assert plan.definition.limits.section_seconds == 33.33333333


# What is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"suite": "standrad"}, 'no suite "standrad". Did you mean "standard"'),
        ({"sections": ("bais",)}, 'no section "bais". Did you mean "bias"'),
        ({"sections": ("bias", "x")}, 'no section "x". Known: abilities, bias, identity, inside'),
        ({"parameters": {"pars": 4}}, 'parameter "pars" is known to no section. Did you mean "pai'),
        ({"parameters": {"limit": 4}}, '"limit" is set by --limit'),
        ({"parameters": {"run": "x"}}, '"run" is set by --out'),
        ({"parameters": {"model": "x"}}, '"model" is set by the argument MODEL'),
        ({"parameters": {"pairs": 4}, "sections": ("bias",)}, '"pairs" is known to no section'),
        ({"parameters": {"pairs": "4"}}, "\"pairs\" is '4'; expected int, as its default 12"),
        ({"parameters": {"pairs": date(2026, 1, 1)}}, '"pairs" is datetime.date'),
    ],
)
def test_what_is_unknown_is_refused_with_the_closest_name(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        planned(tmp_path, **changes)
    assert message in str(caught.value)


def test_every_parameter_that_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputErrors) as caught:
        planned(tmp_path, parameters={"pars": 4, "pairs": "4"})
    assert len(caught.value.lines) == 2


def test_a_suite_of_its_own_notebooks_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_suite(tmp_path / "typed", {"first": [""]}, [("A-1", "first")])
    monkeypatch.setattr(resources, "evals", lambda: folder / "evals")
    monkeypatch.setattr(resources, "notebooks", lambda: folder / "notebooks")
    plan = planned(tmp_path, suite=CUSTOM, parameters={"ready": "now"})
    assert plan.parameters["first"]["ready"] == "now"
    assert [check.code for check in plan.definition.checks] == ["A-1"]


def test_a_file_in_the_way_of_the_output_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(StorageError, match="cannot be written"):
        planned(tmp_path)
    with pytest.raises(StorageError, match="cannot be written"):
        planned(tmp_path, out=tmp_path / "runs" / "below")


def test_a_dangling_link_as_the_output_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match="cannot be written"):
        planned(tmp_path)


def test_too_little_space_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "NEEDED_BYTES", 1 << 60)
    with pytest.raises(StorageError, match=r"only \d+ MiB are free and a run needs \d+ MiB"):
        planned(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such directory"):
        planned(tmp_path, model=str(tmp_path / "none"))
