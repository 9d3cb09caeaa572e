"""Open Weights Workbench: look inside open language models on your own machine.

The public names are imported when they are first used, so that `import workbench` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from workbench.evaluate.registration import wait_for_lm_eval

if TYPE_CHECKING:
    from workbench.activations import Activations, capture
    from workbench.audit.sections.section import Section
    from workbench.checkpoint import inspect
    from workbench.comparison import Comparison
    from workbench.errors import WorkbenchError
    from workbench.evaluate.compare import compare
    from workbench.evaluate.scorer import score
    from workbench.model import Model, load
    from workbench.quantisation import quantised
    from workbench.sites import Site
    from workbench.stats import Estimate
    from workbench.tables import Result

__all__ = [
    "Activations",
    "Comparison",
    "Estimate",
    "Model",
    "Result",
    "Section",
    "Site",
    "WorkbenchError",
    "capture",
    "compare",
    "inspect",
    "load",
    "quantised",
    "score",
]

_HOME = {
    "Activations": "workbench.activations",
    "Comparison": "workbench.comparison",
    "Estimate": "workbench.stats",
    "Model": "workbench.model",
    "Result": "workbench.tables",
    "Section": "workbench.audit.sections.section",
    "Site": "workbench.sites",
    "WorkbenchError": "workbench.errors",
    "capture": "workbench.activations",
    "compare": "workbench.evaluate.compare",
    "inspect": "workbench.checkpoint",
    "load": "workbench.model",
    "quantised": "workbench.quantisation",
    "score": "workbench.evaluate.scorer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


# An installation does this when the interpreter starts; a folder on the path has only this.
wait_for_lm_eval()
