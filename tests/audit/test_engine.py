"""One kernel for all sections: the model is loaded once, and nothing leaks from one to the next."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import papermill
import pytest
from auditing import LOAD, PARAMETERS, v4
from papermill.engines import papermill_engines
from papermill.exceptions import PapermillExecutionError

from workbench.audit.engine import WarmKernel, WarmKernelEngine
from workbench.audit.status import death
from workbench.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

ENGINE = "warm-test"
LOOK = """\
import os, workbench
before = sorted({"leftover", "loaded"} & set(globals()))
loaded = workbench.load(model, offline=True)
leftover = 1
print(os.getpid(), id(loaded), before)
"""
SURROUNDINGS = """\
import os, socket
from pathlib import Path
from workbench.errors import OfflineError
try:
    socket.create_connection(("192.0.2.1", 80), timeout=1)
    print("connected")
except OfflineError:
    print("offline")
for name in ("IPYTHONDIR", "HF_DATASETS_CACHE", "PLOTLY_RENDERER", "HF_HUB_OFFLINE"):
    print(os.environ[name])
"""


@pytest.fixture(scope="module")
def kernel(gpt2_directory: Path) -> Iterator[WarmKernel]:
    papermill_engines.register(ENGINE, WarmKernelEngine)
    with WarmKernel({"model": str(gpt2_directory), "offline": True}) as kernel:
        kernel.start()
        yield kernel


def execute(
    kernel: WarmKernel, folder: Path, *sources: str, on_cell: Any = lambda: None, model: str = ""
) -> list[str]:
    """Run cells as a notebook of their own; what each printed."""
    cells = [v4.new_code_cell("model = ''"), *map(v4.new_code_cell, sources)]
    cells[0].metadata["tags"] = ["parameters"]
    metadata = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python"}}
    source = folder / "source.ipynb"
    nbformat.write(v4.new_notebook(cells=cells, metadata=metadata), source)
    papermill.execute_notebook(
        str(source),
        str(folder / "output.ipynb"),
        parameters={"model": model},
        engine_name=ENGINE,
        kernel_name="python3",
        progress_bar=False,
        kernel=kernel,
        on_cell=on_cell,
    )
    executed = nbformat.read(folder / "output.ipynb", as_version=4)
    outputs = [cell.outputs for cell in executed.cells]
    return ["".join(output.get("text", "") for output in each) for each in outputs]


def test_the_model_is_loaded_once_and_the_namespace_is_cleared(
    kernel: WarmKernel, gpt2_directory: Path, tmp_path: Path
) -> None:
    first = execute(kernel, tmp_path, LOOK, model=str(gpt2_directory))[-1]
    second = execute(kernel, tmp_path, LOOK, model=str(gpt2_directory))[-1]
    assert first.endswith(" []\n")
    # The same process, and in it the same object at the same place.
    assert second == first
    assert int(first.split()[0]) != os.getpid()


def test_the_kernel_has_no_network_and_leaves_no_traces_at_home(
    kernel: WarmKernel, tmp_path: Path
) -> None:
    connected, ipython, cache, renderer, hub = execute(kernel, tmp_path, SURROUNDINGS)[-1].split()
    assert connected == "offline"
    assert not Path(ipython).is_relative_to(Path.home() / ".ipython")
    assert cache == ipython
    assert renderer == "plotly_mimetype"
    assert hub == "1"


def test_every_cell_is_counted(kernel: WarmKernel, tmp_path: Path) -> None:
    counted: list[None] = []
    execute(kernel, tmp_path, "1", "2", on_cell=lambda: counted.append(None))
    assert len(counted) == 4  # with the parameters, and those that papermill injects


def test_a_cell_that_raises_leaves_the_kernel_alive(kernel: WarmKernel, tmp_path: Path) -> None:
    with pytest.raises(PapermillExecutionError, match="ZeroDivisionError"):
        execute(kernel, tmp_path, "1 / 0")
    assert kernel.alive
    assert execute(kernel, tmp_path, "print(6 * 7)")[-1] == "42\n"


def test_a_kernel_that_died_is_replaced(
    kernel: WarmKernel, gpt2_directory: Path, tmp_path: Path
) -> None:
    pid = int(execute(kernel, tmp_path, "import os; print(os.getpid())")[-1])
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert not kernel.alive
    assert death(kernel.exit_status()).startswith("The kernel was killed by SIGKILL")
    fresh = execute(kernel, tmp_path, LOOK, model=str(gpt2_directory))[-1]
    assert int(fresh.split()[0]) != pid
    assert kernel.exit_status() is None


def test_a_model_that_cannot_be_loaded_is_said_in_words(tmp_path: Path) -> None:
    with (
        WarmKernel({"model": str(tmp_path / "none"), "offline": True}) as kernel,
        pytest.raises(ModelError, match="no such directory") as caught,
    ):
        kernel.start()
    assert "Traceback" not in str(caught.value)
    assert not kernel.alive


def test_parameters_of_a_section_are_those_of_the_helper() -> None:
    compile(PARAMETERS, "parameters", "exec")
    compile(LOAD.format(name="x"), "load", "exec")
