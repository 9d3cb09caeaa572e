from __future__ import annotations

import io
import re

import pytest

from workbench.audit.running.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_than_on_a_terminal_a_step_is_one_plain_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = Progress()
    with progress.step("bias", 3) as advance:
        advance()
        advance()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "bias …\n"


def test_on_a_terminal_it_is_a_bar_on_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    progress = Progress()
    with progress.step("bias", 2) as advance:
        advance()
        advance()
    with progress.step("write the report"):
        pass
    assert "bias" in terminal.getvalue()
    assert "write the report" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_a_step_that_fails_is_timed_too() -> None:
    progress = Progress()
    with pytest.raises(RuntimeError), progress.step("bias"):
        raise RuntimeError
    assert set(progress.seconds) == {"bias"}


def test_the_summary_adds_up() -> None:
    progress = Progress()
    progress.seconds = {"load the model": 7.25, "bias": 10.5}
    assert progress.summary() == (
        "Time:\n  load the model    7.2 s\n  bias             10.5 s\n  total            17.8 s"
    )


def test_the_summary_of_nothing_is_zero() -> None:
    assert re.fullmatch(r"Time:\n  total\s+0\.0 s", Progress().summary())
