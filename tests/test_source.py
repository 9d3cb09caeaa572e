"""What a name means: a folder of this machine, the hub, or a model organism."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import InputError, ModelError, OfflineError
from workbench.source import Checkpoint, resolve


@pytest.fixture
def model(gpt2_directory: Path, tmp_path: Path) -> Path:
    """A copy of the random GPT-2, to be renamed."""
    return Path(shutil.copytree(gpt2_directory, tmp_path / "model"))


@pytest.mark.parametrize("alias", ["gpt2", "pythia-70m"])
def test_a_relative_directory_named_like_an_alias_is_that_directory(
    model: Path, alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    model.rename(alias)
    found = resolve(alias)
    assert found == Checkpoint(alias, "local", model.parent / alias, None)
    assert found.name == alias


def test_a_directory_named_like_a_hub_id_wins(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent)
    (model.parent / "org").mkdir()
    model.rename("org/name")
    assert resolve("org/name").kind == "local"


def test_home_is_expanded(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(model.parent))
    assert resolve("~/model").directory == model


@pytest.mark.parametrize(
    "spec",
    ["./no/such", "/no/such", "~/no", "nothing", "", " ", "a/b/c", "../x", "a\0b", "x" * 999],
)
def test_a_path_that_is_not_there(spec: str) -> None:
    with pytest.raises(ModelError, match=r"Expected a local directory, org/name on the hub or"):
        resolve(spec)


def test_a_file_instead_of_its_directory(model: Path) -> None:
    with pytest.raises(ModelError, match=r"a file; expected the directory that it lies in.*model$"):
        resolve(model / "model.safetensors")


@pytest.mark.parametrize("spec", ["org/name", "org/name@v1"])
def test_a_hub_id_offline_says_both_where_it_was_looked_for(spec: str) -> None:
    with pytest.raises(OfflineError, match=r"no such directory here, and org/name .*--offline"):
        resolve(spec, offline=True)


def test_two_revisions(model: Path) -> None:
    with pytest.raises(InputError, match=r"names revision 'v1', and revision='v2'"):
        resolve("org/name@v1", revision="v2")
    with pytest.raises(InputError, match="a folder on this machine"):
        resolve(model, revision="v2")


def test_organisms_are_found_by_name(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(model, tmp_path / "organisms/planted")
    monkeypatch.setattr("workbench.source.organism_weights", lambda: tmp_path / "organisms")
    found = resolve("organism:planted")
    assert (found.kind, found.name) == ("organism", "planted")
    assert found.directory == tmp_path / "organisms/planted"
    with pytest.raises(ModelError, match=r"'plantd'\. Did you mean .planted"):
        resolve("organism:plantd")
    with pytest.raises(ModelError, match="no model organism"):
        resolve("organism:../organisms/planted")


def test_no_organisms_are_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.source.organism_weights", lambda: tmp_path)
    with pytest.raises(ModelError, match="None are installed"):
        resolve("organism:planted")


@pytest.mark.parametrize(
    ("source", "kind", "directory", "name"),
    [
        ("org/name@v1", "hub", "/cache/snapshots/0123", "org--name"),
        (".", "local", "/models/a b\n<c>", "a-b-c"),
        ("/", "local", "/", "model"),
        ("x", "local", "/models/..hidden", "hidden"),
    ],
)
def test_names_are_safe_for_folders(source: str, kind: Any, directory: str, name: str) -> None:
    assert Checkpoint(source, kind, Path(directory), None).name == name
