"""Where notebooks, evals, the report template and organisms' weights lie: in a clone or a wheel."""

from __future__ import annotations

from pathlib import Path

__all__ = ["evals", "notebooks", "organism_weights", "report_template"]

_PACKAGE = Path(__file__).resolve().parent


def _data(relative: str) -> Path:
    """A folder of the repository: inside the package where it was installed from a wheel."""
    packaged = _PACKAGE / "_data" / relative
    return packaged if packaged.is_dir() else _PACKAGE.parent / relative


def notebooks() -> Path:
    """The folder of the audit's section notebooks."""
    return _data("notebooks/audits")


def evals() -> Path:
    """The folder of the suites: tasks (YAML), items (JSONL) and cards."""
    return _data("evals")


def report_template() -> Path:
    """The folder of the report's template, styles and scripts."""
    return _data("reports/template")


def organism_weights() -> Path:
    """The folder that holds one Hugging Face directory for each model organism."""
    return _PACKAGE / "organisms" / "weights"
