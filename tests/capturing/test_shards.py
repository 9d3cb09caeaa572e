"""Activations on disk: whole or not there, readable by others, and believed only when checked."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from workbench.activations import Activations, capture
from workbench.capturing.new_file import Entry, NewFile
from workbench.capturing.shards import locked, read_index
from workbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from workbench.model import Model

TEXTS = ["the nurse said that she", "he", "the nurse said that he", "a nurse said"]
SITE = "resid_post.1"


# Files that are written bit by bit

ENTRIES = [Entry("a/0", "F32", (2, 3), 24), Entry("b/0", "BF16", (4,), 8)]


def test_the_library_reads_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    first, second = torch.arange(6.0).view(2, 3), torch.arange(4).bfloat16()
    file = NewFile(path, ENTRIES)
    file.add(first.numpy().data.cast("B"))
    assert not path.exists()
    file.add(second.view(torch.uint8).numpy().data)
    digest = file.finish()
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.bytes == path.stat().st_size
    assert [one.name for one in tmp_path.iterdir()] == ["file.safetensors"]
    with safe_open(path, framework="pt") as opened:
        assert torch.equal(opened.get_tensor("a/0"), first)
        assert torch.equal(opened.get_tensor("b/0"), second)


def test_an_unfinished_file_is_never_seen(tmp_path: Path) -> None:
    file = NewFile(tmp_path / "file.safetensors", ENTRIES)
    file.add(memoryview(bytes(24)))
    assert not list(tmp_path.glob("[!.]*"))
    with pytest.raises(AssertionError, match=r"8 bytes of .* were not written"):
        file.finish()
    file.abandon()
    assert not os.listdir(tmp_path)  # noqa: PTH208 - hidden files, too


def test_two_do_not_write_one_folder(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(InputError, match="another process is writing"):
        locked(tmp_path).__enter__()
    (tmp_path / ".left-by-a-kill.part").write_text("")
    with locked(tmp_path):
        assert not os.listdir(tmp_path)  # noqa: PTH208 - hidden files, too


# A folder that somebody gave us


@pytest.fixture(scope="module")
def captured(random_gpt2: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captured") / "activations"
    capture(
        random_gpt2,
        TEXTS,
        [SITE, "pattern.0"],
        out=folder,
        shard_bytes=500,
        batch_tokens=8,
        progress=False,
    )
    assert len(list(folder.glob("activations-*"))) > 2
    return folder


@pytest.fixture
def folder(captured: Path, tmp_path: Path) -> Path:
    """A copy of it, to be altered."""
    return shutil.copytree(captured, tmp_path / "copy")


def test_the_format_needs_no_workbench(captured: Path, random_gpt2: Model) -> None:
    found = Activations.open(captured)
    index = json.loads((captured / "index.json").read_text())
    assert index["weights_digest"] == random_gpt2.provenance.weights_digest
    tokens = load_file(captured / "tokens.safetensors")
    for shard in index["shards"]:
        content = (captured / shard["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == shard["sha256"]
        values = load_file(captured / shard["file"])
        for batch in range(shard["first"], shard["stop"]):
            texts = tokens["order"][tokens["starts"][batch] : tokens["starts"][batch + 1]]
            for text, value in zip(texts, values[f"{SITE}/{batch}"], strict=True):
                assert np.array_equal(found.of(int(text), SITE).numpy(), value)
                start, stop = tokens["offsets"][text], tokens["offsets"][text + 1]
                assert len(value) == stop - start


def test_opening_maps_and_reading_one_text_reads_no_more(captured: Path) -> None:
    found = Activations.open(captured, verify=False)
    value = found.of(1, SITE)
    assert value.shape == (1, 32) or value.shape[1] == 32
    # What is changed in memory stays there.
    value.zero_()
    assert Activations.open(captured).of(1, SITE).any()


def rewrite(folder: Path, **changes: Any) -> None:
    path = folder / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def shards_of(folder: Path) -> list[dict[str, Any]]:
    shards: list[dict[str, Any]] = json.loads((folder / "index.json").read_text())["shards"]
    return shards


def first_shard(folder: Path, **changes: Any) -> None:
    first, *others = shards_of(folder)
    rewrite(folder, shards=[first | changes, *others])


def tokens_altered(folder: Path, **changes: Any) -> None:
    path = folder / "tokens.safetensors"
    save_file(load_file(path) | changes, path)


def remove_last_shard(folder: Path) -> None:
    rewrite(folder, shards=shards_of(folder)[:-1])


def flip_first_token(folder: Path) -> None:
    ids = load_file(folder / "tokens.safetensors")["ids"].copy()
    ids[0] += 1
    tokens_altered(folder, ids=ids)


def grow(folder: Path, name: str) -> None:
    with (folder / name).open("ab") as file:
        file.write(bytes(20_000))


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "no index": (lambda at: (at / "index.json").unlink(), "no index.json; expected a folder"),
    "half an index": (
        lambda at: (at / "index.json").write_text('{"kind": "activ'),
        "not a Index record",
    ),
    "another file": (lambda at: (at / "index.json").write_text("[]"), "not a Index record"),
    "another version": (lambda at: rewrite(at, schema=2), "not a Index record: schema"),
    "more in it": (lambda at: rewrite(at, code="import os"), "not a Index record: code"),
    "no digest": (lambda at: first_shard(at, sha256="?"), "not a Index record: shards.0.sha256"),
    "a negative size": (lambda at: first_shard(at, bytes=-1), "shards.0.bytes"),
    "an unknown site": (
        lambda at: rewrite(at, sites=[{"site": "resid_pots.1", "shape": [None, 32]}]),
        'no site "resid_pots"',
    ),
    "no layers": (lambda at: rewrite(at, layers=0), "not a Index record: layers"),
    "a way out": (lambda at: first_shard(at, file="../../etc/passwd"), "is no shard of this"),
    "an absolute way out": (lambda at: first_shard(at, file="/etc/passwd"), "is no shard of this"),
    "a shard twice": (
        lambda at: rewrite(at, shards=[*shards_of(at), shards_of(at)[0]]),
        "is no shard of this",
    ),
    "not finished": (remove_last_shard, "not complete: .* Run the same capture again to go on"),
    "no shard": (lambda at: rewrite(at, shards=[]), "not complete: 0 finished shards"),
    "a gap": (lambda at: first_shard(at, first=1), "not complete"),
    "a missing shard": (
        lambda at: (at / "activations-00001.safetensors").unlink(),
        r"activations-00001.safetensors: cannot be read \(No such file",
    ),
    "a longer shard": (lambda at: grow(at, "activations-00000.safetensors"), "has .* expected"),
    "no tokens": (lambda at: (at / "tokens.safetensors").unlink(), "tokens.safetensors: cannot be"),
    "no safetensors": (
        lambda at: (at / "tokens.safetensors").write_bytes(b"tokens"),
        "tokens.safetensors: cannot be read",
    ),
    "more tokens": (lambda at: grow(at, "tokens.safetensors"), "larger than the tokens that"),
    "other tokens": (flip_first_token, "other tokens than index.json says"),
    "tokens as fractions": (
        lambda at: tokens_altered(at, ids=np.zeros(3, np.float32)),
        "holds other tensors than tokens",
    ),
    "more texts": (lambda at: rewrite(at, texts=10**18), "contradict each other"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_what_was_altered_is_said_when_it_is_opened(folder: Path, case: str) -> None:
    spoil, message = SPOILT[case]
    spoil(folder)
    with pytest.raises(InputError, match=message):
        Activations.open(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"order": np.array([0, 0, 1, 2])},
        {"order": np.array([0, 1, 2, 9])},
        {"starts": np.array([0, 4])},
        {"starts": np.array([0, 2, 2, 4])},
        {"starts": np.array([], np.int64)},
        {"offsets": np.array([0, 9, 3, 14, 18])},
        {"offsets": np.array([], np.int64)},
    ],
)
def test_tokens_that_contradict_themselves_are_not_believed_with_the_right_digest(
    folder: Path, changes: dict[str, Any]
) -> None:
    from workbench.capturing.corpus import Batches, Corpus

    tokens_altered(folder, **changes)
    arrays = load_file(folder / "tokens.safetensors")
    corpus = Corpus(arrays["ids"], arrays["offsets"])
    batches = Batches(arrays["order"], arrays["starts"])
    rewrite(folder, texts_digest=corpus.digest, batches_digest=batches.digest)
    with pytest.raises(InputError, match=r"contradict each other|not complete"):
        Activations.open(folder)


def test_a_shard_is_checked_before_it_is_first_read(folder: Path) -> None:
    path = folder / "activations-00000.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    found = Activations.open(folder)
    batch = read_index(folder).shards[0].first
    text = int(found.batches.texts(batch)[0])
    with pytest.raises(InputError, match=r"00000.safetensors: was altered: its SHA-256 is"):
        found.of(text, SITE)
    with pytest.raises(InputError, match="was altered"):
        found.tensor(SITE)
    with pytest.raises(InputError, match="was altered"):
        found.verify()
    assert found.of(int(found.batches.texts(len(found.batches) - 1)[0]), SITE).any()
    assert Activations.open(folder, verify=False).of(text, SITE).shape[1] == 32


@pytest.mark.parametrize(
    "tensors",
    [
        {"resid_post.1/0": np.zeros((1, 2, 32), np.float32)},
        {"something": np.zeros(3, np.float32)},
    ],
)
def test_another_safetensors_file_is_no_shard(folder: Path, tensors: dict[str, Any]) -> None:
    path = folder / "activations-00000.safetensors"
    save_file(tensors, path)
    content = path.read_bytes()
    first_shard(folder, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    found = Activations.open(folder)
    with pytest.raises(InputError, match=r"does not hold the tensors that index.json promises"):
        found.tensor(SITE)


def test_what_is_no_safetensors_file_is_no_shard(folder: Path) -> None:
    path = folder / "activations-00000.safetensors"
    content = b"\xff" * 64
    path.write_bytes(content)
    first_shard(folder, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(InputError, match="not a whole safetensors file"):
        Activations.open(folder).tensor(SITE)
