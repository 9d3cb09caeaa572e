"""The project's own files are found, in a clone and in a wheel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from workbench import resources

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS = {"notebooks": "notebooks/audits", "evals": "evals", "report_template": "reports/template"}


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_of_this_copy(name: str) -> None:
    assert getattr(resources, name)().is_dir()


def test_organism_weights_lie_in_the_package() -> None:
    assert resources.organism_weights().parts[-3:] == ("workbench", "organisms", "weights")


@pytest.mark.parametrize(("name", "folder"), FOLDERS.items())
def test_a_wheel_carries_its_own(
    name: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "workbench")
    packaged = tmp_path / "workbench/_data" / folder
    packaged.mkdir(parents=True)
    assert getattr(resources, name)() == packaged
