"""A model in a warm kernel: loaded once, the same each time, or refused in words."""

from __future__ import annotations

import json
import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest
from auditing import LOAD, PARAMETERS

from workbench.audit.running.warm import WarmKernel
from workbench.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_model_that_cannot_be_loaded_is_said_in_words(tmp_path: Path) -> None:
    with (
        WarmKernel() as kernel,
        pytest.raises(ModelError, match="no such directory") as caught,
    ):
        kernel.load({"model": str(tmp_path / "none"), "offline": True})
    assert "Traceback" not in str(caught.value)
    assert not kernel.alive


def kill(kernel: WarmKernel) -> None:
    assert kernel.pid is not None
    os.kill(kernel.pid, signal.SIGKILL)
    os.waitid(os.P_PID, kernel.pid, os.WEXITED | os.WNOWAIT)


def test_a_replaced_kernel_loads_the_same_model_or_none(
    gpt2_directory: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(gpt2_directory, tmp_path / "model")
    with WarmKernel() as kernel:
        kernel.load({"model": str(folder), "offline": True})
        digest = kernel.digest
        assert digest is not None
        assert "model.safetensors" in kernel.files
        kill(kernel)
        kernel.ready()
        assert kernel.digest == digest
        kill(kernel)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"bos_token_id": 1}))
        with pytest.raises(ModelError, match=r"config\.json differs") as caught:
            kernel.ready()
    assert digest in str(caught.value)


def test_parameters_of_a_section_are_those_of_the_helper() -> None:
    compile(PARAMETERS, "parameters", "exec")
    compile(LOAD.format(name="x"), "load", "exec")
