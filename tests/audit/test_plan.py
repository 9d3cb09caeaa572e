from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from auditing import CUSTOM, write_suite

from workbench import resources
from workbench.audit import plan as plans
from workbench.audit.plan import AuditRequest, Plan, plan_audit
from workbench.errors import InputError, ModelError, StorageError

if TYPE_CHECKING:
    from pathlib import Path


def planned(tmp_path: Path, **changes: Any) -> Plan:
    settings: dict[str, Any] = {"model": "organism:planted", "out": tmp_path / "runs"}
    return plan_audit(AuditRequest(**{**settings, **changes}))


def test_the_default_is_every_section_of_the_suite_in_its_order(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert list(plan.sections) == ["identity", "bias", "safety", "inside"]
    assert plan.suite.name == "small-world"
    assert plan.defaulted == {"pairs": 12}
    assert all(path.is_file() for path in plan.sections.values())


def test_planning_writes_nothing(tmp_path: Path) -> None:
    planned(tmp_path)
    assert not list(tmp_path.iterdir())


def test_sections_keep_the_order_of_the_suite(tmp_path: Path) -> None:
    assert list(planned(tmp_path, sections=("inside", "bias")).sections) == ["bias", "inside"]


def test_each_notebook_is_given_the_parameters_that_it_has(tmp_path: Path) -> None:
    plan = planned(tmp_path, limit=3, parameters={"pairs": 4}, dtype="float32")
    assert plan.parameters["inside"]["pairs"] == 4
    assert plan.parameters["inside"]["limit"] == 3
    assert "pairs" not in plan.parameters["bias"]
    assert "limit" not in plan.parameters["identity"]
    assert plan.defaulted == {}
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
    assert plan.request.model == gpt2_directory.name
    assert plan.checkpoint.name == gpt2_directory.name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"suite": "smal-world"}, 'no suite "smal-world". Did you mean "small-world"'),
        ({"sections": ("bais",)}, 'no section "bais". Did you mean "bias"'),
        ({"sections": ("bias", "x")}, 'no section "x". Known: bias, identity, inside, safety'),
        ({"parameters": {"pars": 4}}, 'parameter "pars". Did you mean "pairs"'),
        ({"parameters": {"zzz": 4}}, 'parameter "zzz". Known: pairs'),
        ({"parameters": {"limit": 4}}, '"limit" is set by --limit'),
        ({"parameters": {"run": "x"}}, '"run" is set by --out'),
        ({"parameters": {"model": "x"}}, '"model" is set by the argument MODEL'),
        ({"parameters": {"pairs": 4}, "sections": ("bias",)}, 'No section has a parameter "pairs"'),
        ({"limit": 0}, "got --limit 0; expected at least 1"),
        ({"limit": -1}, "got --limit -1"),
    ],
)
def test_what_is_unknown_is_refused_with_the_closest_name(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        planned(tmp_path, **changes)
    assert message in str(caught.value)


@pytest.mark.parametrize("value", ["4", 4.5, True, None, [4]])
def test_a_parameter_has_the_type_of_its_default(tmp_path: Path, value: object) -> None:
    with pytest.raises(InputError, match=r'"pairs" is .*; expected int, as its default 12'):
        planned(tmp_path, parameters={"pairs": value})


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite whose notebook has a parameter of each type."""
    folder = write_suite(tmp_path / "typed", {"first": [""]}, [("A-1", "first")])
    path = folder / "notebooks" / "first.ipynb"
    defaults = r"share = 0.5\nword = \"a\"\nyes = True\nwords = [\"a\"]\nanything = None\n"
    text = path.read_text().replace(r"ready = \"\"\n", defaults)
    path.write_text(text)
    monkeypatch.setattr(resources, "evals", lambda: folder / "evals")
    monkeypatch.setattr(resources, "notebooks", lambda: folder / "notebooks")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("share", 0.25),
        ("share", 1),
        ("word", "b"),
        ("yes", False),
        ("words", []),
        ("anything", 3),
        ("anything", "three"),
        ("anything", None),
    ],
)
def test_a_fitting_value_is_passed_on(typed: Path, name: str, value: object) -> None:
    plan = planned(typed, suite=CUSTOM, parameters={name: value})
    assert plan.parameters["first"][name] == value
    assert name not in plan.defaulted


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("share", "0.5", "float"),
        ("share", float("nan"), "float"),
        ("share", float("inf"), "float"),
        ("share", True, "float"),
        ("word", 1, "str"),
        ("yes", 1, "bool"),
        ("yes", "yes", "bool"),
        ("words", "a", "list"),
    ],
)
def test_a_value_of_another_type_is_refused(
    typed: Path, name: str, value: object, expected: str
) -> None:
    with pytest.raises(InputError, match=f'"{name}" is .*; expected {expected}'):
        planned(typed, suite=CUSTOM, parameters={name: value})


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
