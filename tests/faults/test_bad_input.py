"""Bad input: exit code 2, one message that says what to do, and nothing written."""

from __future__ import annotations

import json
import os
import shutil
import struct
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from auditing import Audit, invoke, workbench
from safetensors.torch import load_file
from transformers import CTRLConfig, CTRLLMHeadModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Run = Callable[..., str]

# An encoder-decoder; and what nobody knows.
CONTINUES_NO_TEXT = "t5"
KNOWN_TO_NOBODY = "gpt2000"


@pytest.fixture
def model(gpt2_directory: Path, tmp_path: Path) -> Path:
    """A copy of the random GPT-2, to be damaged."""
    return Path(shutil.copytree(gpt2_directory, tmp_path / "model"))


def refused(audit: Audit, out: Path) -> str:
    """The one message of an audit that was refused before it wrote anything."""
    assert audit.code == 2, audit.err
    assert audit.out == ""
    assert "Traceback" not in audit.err
    *progress, line = audit.err.splitlines()
    assert all(step.endswith(" …") or not step for step in progress)
    assert line.startswith("workbench: ")
    assert not out.is_dir()
    return line


@pytest.fixture
def audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """An audit that is refused before a kernel starts; its message."""

    def call(*arguments: object) -> str:
        out = tmp_path / "out"
        ended = invoke(monkeypatch, capsys, "audit", *arguments, "--out", out)
        return refused(ended, out)

    return call


# The model


def test_a_path_that_does_not_exist(audit: Run, tmp_path: Path) -> None:
    line = audit(tmp_path / "none")
    assert str(tmp_path / "none") in line
    assert "Expected a local directory, org/name on the hub or organism:NAME." in line


def test_an_unknown_organism(audit: Run) -> None:
    assert 'Did you mean "planted"' in audit("organism:plantd")


def test_a_file_where_a_directory_is_expected(audit: Run, model: Path) -> None:
    line = audit(model / "model.safetensors")
    assert "a file; expected the directory that it lies in" in line
    assert str(model) in line


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("config.json", "no config.json; expected a Hugging Face model directory"),
        ("model.safetensors", "no weights. Expected model.safetensors"),
        ("tokenizer.json", "no tokenizer; expected tokenizer.json"),
    ],
)
def test_a_directory_that_lacks_something(audit: Run, model: Path, name: str, said: str) -> None:
    (model / name).unlink()
    line = audit(model)
    assert said in line
    assert str(model) in line


def test_an_empty_directory(audit: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no config.json" in audit(tmp_path / "empty")


def test_a_config_that_is_no_json(audit: Run, model: Path) -> None:
    (model / "config.json").write_text("{'model_type': gpt2}")
    line = audit(model)
    assert "not valid JSON" in line
    assert "config.json" in line


@pytest.mark.parametrize("kept", [0, 4, 100, 0.5, -1])
def test_truncated_weights(audit: Run, model: Path, kept: float) -> None:
    path = model / "model.safetensors"
    content = path.read_bytes()
    length = int(len(content) * kept) if 0 < kept < 1 else int(kept)
    path.write_bytes(content[:length])
    line = audit(model)
    assert "not a whole safetensors file" in line
    assert f"it has {path.stat().st_size:,} bytes" in line
    assert "download it again" in line


def test_corrupt_weights(audit: Run, model: Path) -> None:
    path = model / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[8:200] = os.urandom(192)
    path.write_bytes(content)
    assert "not a whole safetensors file" in audit(model)


def test_a_header_that_claims_too_much(audit: Run, model: Path) -> None:
    path = model / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 62) + path.read_bytes()[8:])
    assert "not a whole safetensors file" in audit(model)


def test_a_model_larger_than_memory(audit: Run, model: Path) -> None:
    """A sparse file: it claims many gigabytes and takes none."""
    numbers = 1 << 40
    name = "transformer.wte.weight"
    header = {name: {"dtype": "F32", "shape": [numbers], "data_offsets": [0, 4 * numbers]}}
    text = json.dumps(header).encode()
    path = model / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    try:
        os.truncate(path, 8 + len(text) + 4 * numbers)
    except OSError as error:
        pytest.skip(f"no sparse file of 4 TiB here: {error}")
    line = audit(model)
    assert "of memory at float32" in line
    assert f"({int(4 * numbers * 1.3):,} bytes)" in line
    assert "is available on this machine" in line
    assert "a smaller model or a larger machine" in line


def to_pickle(model: Path) -> Path:
    """The same weights as a pickle only."""
    path = model / "model.safetensors"
    torch.save(load_file(path), model / "pytorch_model.bin")
    path.unlink()
    return model


def test_a_pickle_is_refused_and_the_flag_is_named(audit: Run, model: Path) -> None:
    line = audit(to_pickle(model))
    assert "pytorch_model.bin" in line
    assert "--allow-pickle" in line
    assert "safetensors" in line


# What was asked of it


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--section", "safty"], 'no section "safty". Did you mean "safety"'),
        (["--param", "pair=4"], '"pair" is known to no section. Did you mean "pairs"'),
        (["--suite", "standart"], 'no suite "standart". Did you mean "standard"'),
        (["--param", "pairs=many"], "\"pairs\" is 'many'; expected int, as its default 12"),
        (["--param", "pairs"], 'got --param "pairs"; expected NAME=VALUE'),
        (["--param", "limit=3"], '"limit" is set by --limit'),
        (["--limit", "0"], "got --limit 0; expected at least 1"),
    ],
)
def test_an_option_that_cannot_be(audit: Run, arguments: list[str], said: str) -> None:
    assert said in audit("organism:planted", *arguments)


# Where to write


def unwritable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], out: Path
) -> str:
    ended = invoke(monkeypatch, capsys, "audit", "organism:planted", "--out", out)
    line = refused(ended, out / "planted")
    assert "cannot be written" in line
    assert "--out" in line
    return line


def test_a_file_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file")
    assert str(tmp_path / "out") in unwritable(monkeypatch, capsys, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "a file"


def test_a_folder_that_may_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    if os.access(closed, os.W_OK):  # nothing is closed to root but what the kernel keeps
        closed = Path("/proc")
        if not closed.is_dir():
            pytest.skip("no folder here that cannot be written")
    unwritable(monkeypatch, capsys, closed / "out")


# What only loading finds: these start a kernel


@pytest.fixture(scope="module")
def loading(
    gpt2_directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[Future[Audit], Path]]]:
    folder = tmp_path_factory.mktemp("loading")

    def copy(name: str, **config: Any) -> Path:
        target = Path(shutil.copytree(gpt2_directory, folder / name))
        path = target / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | config))
        return target

    commands: dict[str, list[object]] = {
        "other": [copy("other", model_type=CONTINUES_NO_TEXT)],
        "unproven": [*to_ctrl(copy("unproven")), "--section", "inside", "--json"],
        "nobody": [copy("nobody", model_type=KNOWN_TO_NOBODY)],
        "pickle": [
            *(to_pickle(copy("pickle")), "--allow-pickle", "--section", "identity", "--json"),
        ],
    }
    with ThreadPoolExecutor(2) as pool:
        yield {
            name: (
                pool.submit(workbench, "audit", *command, "--out", folder / f"out-{name}"),
                folder / f"out-{name}",
            )
            for name, command in commands.items()
        }
        pool.shutdown(cancel_futures=True)


Loading = dict[str, tuple[Future[Audit], Path]]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("other", "t5 is no architecture of a causal language model"),
        ("nobody", "transformers does not know the architecture 'gpt2000'"),
    ],
)
def test_a_model_that_cannot_be_loaded(loading: Loading, name: str, said: str) -> None:
    ended, out = loading[name]
    assert said in refused(ended.result(), out)
    assert not out.exists()


def to_ctrl(model: Path) -> list[object]:
    """The folder with a network whose sites nobody has proven."""
    config = CTRLConfig(vocab_size=300, n_embd=32, dff=32, n_layer=2, n_head=2, n_positions=64)
    CTRLLMHeadModel(config).save_pretrained(model)
    return [model]


def test_what_is_not_proven_is_not_looked_into_and_the_audit_says_so(loading: Loading) -> None:
    ended = loading["unproven"][0].result()
    assert ended.code == 0, ended.err
    for code in ("INSIDE-FID-1", "INSIDE-LOC-1"):
        assert ended.findings[code]["verdict"] == "skipped"
        assert "sites of a CTRLLMHeadModel are not proven" in ended.findings[code]["reason"]


def test_the_nearest_architecture_is_offered(loading: Loading) -> None:
    assert "'gpt2'" in loading["nobody"][0].result().err


def test_a_pickle_is_audited_where_that_is_allowed(loading: Loading) -> None:
    ended = loading["pickle"][0].result()
    assert ended.code == 0, ended.err
    assert ended.states == {"identity": "complete"}
    assert ended.verdicts["ID-FILES-1"] == "fail"
    assert "pytorch_model.bin" in ended.findings["ID-FILES-1"]["reason"]
    assert ended.verdicts["ID-WEIGHTS-1"] == "pass"
    passed = json.loads((ended.run / "audit.json").read_text())["passed"]
    assert passed["allow_pickle"] is True
