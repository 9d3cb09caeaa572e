"""A papermill engine whose notebooks say what happened, on a kernel of its own or a warm one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import nbformat
import papermill
import pytest
from auditing import v4
from nbclient.exceptions import DeadKernelError
from papermill.engines import papermill_engines
from papermill.exceptions import PapermillExecutionError

from workbench.audit.records.status import cells_run, failed_cell
from workbench.audit.running.engine import ENGINE, WarmKernelEngine
from workbench.audit.running.outputs import SAVE_EVERY
from workbench.audit.running.warm import WarmKernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KERNEL = {"name": "python3", "language": "python", "display_name": "Python 3"}
KILL = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    papermill_engines.register(ENGINE, WarmKernelEngine)


@pytest.fixture(scope="module")
def kernel() -> Iterator[WarmKernel]:
    """A warm kernel without a model."""
    with WarmKernel() as kernel:
        yield kernel


def write(folder: Path, *sources: str) -> Path:
    cells = [v4.new_code_cell("parameter = 1", metadata={"tags": ["parameters"]})]
    cells += [v4.new_markdown_cell("# Words"), *map(v4.new_code_cell, sources)]
    notebook = v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    nbformat.write(notebook, folder / "source.ipynb")
    return folder / "source.ipynb"


def execute(folder: Path, *sources: str, **options: Any) -> Any:
    """Run cells as a notebook of their own, saved as `output.ipynb`; the notebook."""
    papermill.execute_notebook(
        str(write(folder, *sources)),
        None,
        engine_name=ENGINE,
        progress_bar=False,
        save_to=folder / "output.ipynb",
        **options,
    )
    return saved(folder)


def saved(folder: Path) -> Any:
    return nbformat.read(folder / "output.ipynb", as_version=4)


def marks(notebook: Any) -> list[tuple[str, bool | None]]:
    """What the notebook says of each of its cells."""
    about = [cell.metadata.papermill for cell in notebook.cells]
    return [(each.status, each.exception) for each in about]


def test_cells_run_and_are_counted_on_a_warm_kernel(kernel: WarmKernel, tmp_path: Path) -> None:
    kernel.ready()
    counted: list[int] = []
    notebook = execute(tmp_path, "print(6 * 7)", kernel=kernel, on_cell=lambda: counted.append(1))
    assert notebook.cells[-1].outputs[0].text == "42\n"
    assert marks(notebook) == [("completed", False)] * 3
    assert cells_run(notebook) == (2, 2)
    assert len(counted) == 3
    assert kernel.alive


def test_a_cell_that_raises_is_marked_and_leaves_the_kernel_alive(
    kernel: WarmKernel, tmp_path: Path
) -> None:
    kernel.ready()
    with pytest.raises(PapermillExecutionError, match="ZeroDivisionError"):
        execute(tmp_path, "1 / 0", "print(1)", kernel=kernel)
    assert marks(saved(tmp_path))[2:] == [("failed", True), ("pending", None)]
    assert failed_cell(saved(tmp_path)) == 2
    assert kernel.alive


@pytest.mark.parametrize("warm", [True, False])
def test_a_kernel_that_dies_is_no_completed_cell(
    warm: bool,  # noqa: FBT001 - a parameter of the test
    kernel: WarmKernel,
    tmp_path: Path,
) -> None:
    """papermill alone writes `completed` on the cell that was cut off and on those after it."""
    if warm:
        kernel.ready()
    with pytest.raises(DeadKernelError):
        execute(tmp_path, "print(1)", KILL, "print(2)", kernel=kernel if warm else None)
    notebook = saved(tmp_path)
    assert marks(notebook)[2:] == [("completed", False), ("failed", True), ("pending", None)]
    assert notebook.metadata.papermill.exception is True
    assert cells_run(notebook) == (2, 4)
    assert failed_cell(notebook) == 3


def test_what_an_earlier_run_said_of_a_cell_is_gone(kernel: WarmKernel, tmp_path: Path) -> None:
    kernel.ready()
    source = write(tmp_path, KILL, "print(2)")
    notebook = nbformat.read(source, as_version=4)
    notebook.cells[-1].metadata["execution"] = {"shell.execute_reply": "2026-11-21T04:58:03Z"}
    nbformat.write(notebook, source)
    with pytest.raises(DeadKernelError):
        papermill.execute_notebook(
            str(source),
            None,
            engine_name=ENGINE,
            progress_bar=False,
            kernel=kernel,
            save_to=tmp_path / "output.ipynb",
        )
    assert cells_run(saved(tmp_path)) == (1, 3)


def test_what_a_cell_says_is_saved_while_it_runs(kernel: WarmKernel, tmp_path: Path) -> None:
    kernel.ready()
    seen = tmp_path / "seen"
    speak = (
        "import time, pathlib\n"
        "print('I have begun', flush=True)\n"
        "end = time.monotonic() + 60\n"
        f"saved = pathlib.Path({str(tmp_path / 'output.ipynb')!r})\n"
        f"seen = pathlib.Path({str(seen)!r})\n"
        "start = time.monotonic()\n"
        "while 'begun\\\\n' not in saved.read_text() and time.monotonic() < end:\n"
        "    time.sleep(0.05)\n"
        "seen.write_text(str(time.monotonic() - start))\n"
    )
    execute(tmp_path, speak, kernel=kernel)
    assert float(seen.read_text()) < 2 * SAVE_EVERY + 2


def test_lone_surrogates_can_be_saved(kernel: WarmKernel, tmp_path: Path) -> None:
    kernel.ready()
    notebook = execute(tmp_path, "'a\\udc80b'", kernel=kernel)
    assert cells_run(notebook) == (2, 2)


def test_the_command_line_of_papermill_finds_the_engine(tmp_path: Path) -> None:
    source, output = write(tmp_path, "print(6 * 7)", KILL, "print(2)"), tmp_path / "output.ipynb"
    command = [sys.executable, "-m", "papermill", "--engine", ENGINE, "--no-progress-bar"]
    done = subprocess.run(
        [*command, str(source), str(output)], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "DeadKernelError" in done.stderr
    states = [("completed", False), ("failed", True), ("pending", None)]
    assert marks(saved(tmp_path))[-3:] == states


# The kernel's own process


LOOK = "import os, sys; print(os.getpid(), sorted({'leftover'} & set(globals())), '' in sys.path)"
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


def printed(notebook: Any) -> str:
    return "".join(output.get("text", "") for output in notebook.cells[-1].outputs)


def test_the_namespace_is_cleared(kernel: WarmKernel, tmp_path: Path) -> None:
    kernel.ready()
    first = printed(execute(tmp_path, "leftover = 1", LOOK, kernel=kernel))
    kernel.ready()
    second = printed(execute(tmp_path, LOOK, kernel=kernel))
    # The same process; nothing is imported from the folder where it was started.
    assert first.split() == [second.split()[0], "['leftover']", "False"]
    assert second.split()[1:] == ["[]", "False"]
    assert int(first.split()[0]) == kernel.pid != os.getpid()


def test_the_kernel_has_no_network_and_leaves_no_traces_at_home(
    kernel: WarmKernel, tmp_path: Path
) -> None:
    kernel.ready()
    words = printed(execute(tmp_path, SURROUNDINGS, kernel=kernel)).split()
    connected, ipython, cache, renderer, hub = words
    assert connected == "offline"
    assert not ipython.endswith(".ipython")
    assert cache == ipython
    assert renderer == "plotly_mimetype"
    assert hub == "1"


def test_a_kernel_that_died_is_replaced(kernel: WarmKernel) -> None:
    kernel.ready()
    pid = kernel.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert not kernel.alive
    assert kernel.exit_status == -signal.SIGKILL
    kernel.ready()
    assert kernel.alive
    assert kernel.pid != pid
    assert kernel.exit_status is None


def test_a_signal_to_a_kernel_that_is_gone_does_nothing() -> None:
    with WarmKernel() as kernel:
        kernel.signal(signal.SIGKILL)
        kernel.launch()
        kernel.signal(signal.SIGKILL)
        end = time.monotonic() + 10
        while kernel.alive and time.monotonic() < end:
            time.sleep(0.01)
        kernel.signal(signal.SIGKILL)
        assert kernel.pid is None
