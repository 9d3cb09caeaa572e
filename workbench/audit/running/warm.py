"""A kernel that loads a model once and then runs one notebook after another.

The namespace is cleared between notebooks, and a kernel that died is replaced for the next one.
"""

from __future__ import annotations

import ast
import json
import os
import secrets
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any, Self

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync

from workbench.audit.running.kernel import PARENT
from workbench.errors import ModelError, WorkbenchError
from workbench.offline import HUB_SWITCHES

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping
    from types import TracebackType

__all__ = ["WarmKernel"]

PROGRAM = (sys.executable, "-P", "-m", "workbench.audit.running.kernel")
_START_TIMEOUT = 120
_STEP_TIMEOUT = 1800
_SOCKET_PATH = 90
"""Characters that a socket's path may have; the system's limit is little above 100."""

# Runs in the kernel, while the audit still reads its input.
PREPARE = "import torch, transformers.modeling_utils, transformers.models.auto.modeling_auto"
# Runs in the kernel. What goes wrong comes back as text, not as a traceback.
LOAD = """
import json as _json
import workbench as _workbench
_answer = {{"error": "", "digest": "", "files": {{}}}}
try:
    _model = _workbench.load(**_json.loads({arguments!r}))
    _answer["digest"] = _model.provenance.weights_digest
    _answer["files"] = {{_file.name: _file.sha256 for _file in _model.provenance.files}}
except _workbench.WorkbenchError as _error:
    _answer["error"] = str(_error)
_answer = _json.dumps(_answer)
"""
_RESET = "get_ipython().run_line_magic('reset', '-f')"


class _Manager(AsyncKernelManager):
    """Starts this interpreter, whatever kernels somebody has installed under whatever name."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """The command that starts the kernel."""
        argv = [*PROGRAM, "-f", "{connection_file}"]
        return KernelSpec(argv=argv, language="python", display_name="Python 3")


class WarmKernel:
    """A kernel of an audit: `launch`, `load` a model, and `ready` before each notebook.

    Launch it from a thread that lives as long as it should: it ends with that thread.

    Attributes:
        manager: jupyter's manager of the process; None where there is none.
        client: what talks to it.
        digest: the weights digest of the model that was loaded first; every later one must have it.
        files: name -> SHA-256 of that model's files.
    """

    def __init__(self) -> None:
        self.manager: Any = None
        self.client: Any = None
        self._answers = False
        self.digest: str | None = None
        self.files: Mapping[str, str] = {}
        self._arguments: dict[str, Any] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="workbench-", ignore_cleanup_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._folder.cleanup()

    @property
    def alive(self) -> bool:
        """Whether the kernel's process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Its process id; None where it is not alive."""
        process = self._process
        return None if process is None or process.poll() is not None else int(process.pid)

    @property
    def exit_status(self) -> int | None:
        """The process's own exit status (negative: the signal); None while it lives."""
        status: int | None = None if self._process is None else self._process.poll()
        return status

    @property
    def _process(self) -> Any:
        return getattr(getattr(self.manager, "provisioner", None), "process", None)

    def launch(self) -> None:
        """Start the process; it comes up while one does something else."""
        self.stop()
        connection = str(Path(self._folder.name) / f"{secrets.token_hex(4)}.json")
        # Sockets in a folder of our own, where there are such: nobody else can listen.
        sockets = os.name != "nt" and len(connection) < _SOCKET_PATH
        self.manager = _Manager(transport="ipc" if sockets else "tcp", connection_file=connection)
        run_sync(self.manager.start_kernel)(env=self._environment(), cwd=str(Path.cwd()))
        self.client = self.manager.client()
        self.client.allow_stdin = False
        # No heartbeat: whether the process is there says more, and its thread may outlive the rest.
        self.client.start_channels(stdin=False, hb=False, control=False)
        # It waits in the socket until the kernel is there.
        self.client.execute(PREPARE, silent=True, store_history=False)

    def load(self, arguments: Mapping[str, Any]) -> None:
        """Load a model in it.

        Args:
            arguments: what `workbench.load` is called with.

        Raises:
            ModelError: where it cannot be loaded, the kernel dies of it, or its files are not
                those that this kernel had loaded before.
        """
        if self.manager is None:
            self.launch()
        self._arguments = dict(arguments)
        answer = json.loads(self._run(LOAD.format(arguments=json.dumps(arguments)), "_answer"))
        if answer["error"]:
            raise ModelError(answer["error"])
        self._expect(answer["digest"], answer["files"])
        self._run(_RESET)

    def ready(self) -> None:
        """A living kernel with an empty namespace, and the model that was loaded.

        Raises:
            ModelError: where a kernel that died cannot be replaced.
        """
        if self.alive:
            self._run(_RESET)
        else:
            self.launch()
            if self._arguments is None:
                self._run(_RESET)
            else:
                self.load(self._arguments)

    def stop(self) -> None:
        """End the kernel's process, where there is one."""
        if self.client is not None:
            self.client.stop_channels()
            self.client = None
            self._answers = False
        if self.manager is not None:
            if self.alive:
                run_sync(self.manager.shutdown_kernel)(now=True)
            run_sync(self.manager.cleanup_resources)()
            self.manager = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the kernel and all that it has started; safe from any thread."""
        pid = self.pid
        if pid is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            # The kernel leads a session of its own.
            os.killpg(pid, number)

    def _expect(self, digest: str, files: Mapping[str, str]) -> None:
        """Remember the first model; refuse another one."""
        if self.digest is None:
            self.digest, self.files = digest, files
            return
        names = sorted(self.files.keys() | files.keys())
        changed = [name for name in names if self.files.get(name) != files.get(name)]
        if changed:
            raise ModelError(
                f"The model is not the one that this audit began with: {', '.join(changed)} "
                f"differs. Weights digest then: {self.digest}; now: {digest}. "
                "Put the old files back, or start a new audit."
            )

    def _environment(self) -> dict[str, str]:
        """No network, figures as data, and nothing read from or written to the user's folders."""
        return {
            # Threads that wait for each other by spinning take five times as long where something
            # else is running.
            "OMP_WAIT_POLICY": "PASSIVE",
            **os.environ,
            **HUB_SWITCHES,
            PARENT: str(os.getpid()),
            "PLOTLY_RENDERER": "plotly_mimetype",
            "IPYTHONDIR": self._folder.name,
            "HF_DATASETS_CACHE": self._folder.name,
            "TOKENIZERS_PARALLELISM": "false",
            "TQDM_DISABLE": "1",
        }

    def _run(self, code: str, wanted: str | None = None) -> str:
        """Run code in the kernel; the text of the variable that is wanted.

        Raises:
            ModelError: where the kernel dies.
            WorkbenchError: where the code fails.
        """
        expressions = {} if wanted is None else {"wanted": wanted}
        try:
            client = self._connected()
            asked = client.execute(code, store_history=False, user_expressions=expressions)
            content = run_sync(self._reply)(asked)["content"]
        except (RuntimeError, TimeoutError) as error:
            raise ModelError(
                "The kernel ended while the model was being loaded "
                f"(exit status {self.exit_status}). "
                "Most often there was too little memory: try a smaller dtype or a smaller model."
            ) from error
        if content["status"] != "ok":
            raise WorkbenchError(f"{content.get('ename')}: {content.get('evalue')}")
        if wanted is None:
            return ""
        text: str = content["user_expressions"]["wanted"]["data"]["text/plain"]
        return str(ast.literal_eval(text))  # the text is the variable's repr

    def _connected(self) -> Any:
        """The client, once the kernel answers.

        Raises:
            RuntimeError: of jupyter_client, where it dies or does not.
        """
        if not self._answers:
            run_sync(self.client.wait_for_ready)(timeout=_START_TIMEOUT)
            self._answers = True
        return self.client

    async def _reply(self, asked: str) -> Any:
        """The kernel's reply to a message.

        Raises:
            RuntimeError: where the kernel dies before it.
            TimeoutError: where there is none for too long.
        """
        end = time.monotonic() + _STEP_TIMEOUT
        while time.monotonic() < end:
            with suppress(Empty):
                message = await self.client.get_shell_msg(timeout=0.5)
                if message["parent_header"].get("msg_id") == asked:
                    return message
            if not self.alive:
                raise RuntimeError("the kernel died")
        raise TimeoutError
