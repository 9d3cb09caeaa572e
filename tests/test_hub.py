"""Downloads, against a small hub on this machine that has the faults of a real one."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import constants, file_download
from small_hub import SmallHub

from workbench import hub as hubs
from workbench.errors import (
    ModelError,
    OfflineError,
    StorageError,
    UnsafeWeightsError,
    WorkbenchError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

WEIGHTS = b"not real weights, but a large file to the hub" * 1000
FILES = {
    "config.json": b'{"model_type": "gpt2"}',
    "tokenizer.json": b"{}",
    "README.md": b"---\nlicense: mit\n---\n",
    "model.safetensors": WEIGHTS,
}
# Larger than one of the pieces (10 MB) that huggingface_hub writes at a time.
LARGE = {**FILES, "model.safetensors": bytes(range(256)) * 100_000}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SmallHub]:
    with SmallHub() as small:
        monkeypatch.setenv("HF_ENDPOINT", small.url)
        monkeypatch.delenv("HF_HUB_OFFLINE")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(time, "sleep", lambda _: None)  # between the client's own retries
        yield small


def ranges(hub: SmallHub, name: str) -> list[str | None]:
    """The Range of each request for a file's content."""
    return [
        where for method, path, where in hub.asked if method == "GET" and path.endswith("/" + name)
    ]


def test_a_download_is_the_commits_snapshot_and_only_what_loading_needs(hub: SmallHub) -> None:
    extra = {"onnx/model.onnx": b"x", "training_args.bin": b"x", "flax_model.msgpack": b"x"}
    commit = hub.publish("org/name", FILES | extra)
    folder = hubs.download("org/name")
    assert folder.name == commit
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES


def test_nothing_but_the_model_is_asked_for(hub: SmallHub) -> None:
    hub.publish("org/name", FILES)
    hubs.download("org/name")
    assert all("org/name" in path for _, path, _ in hub.asked)


def test_branch_tag_and_commit_give_their_own_weights(hub: SmallHub) -> None:
    old = hub.publish("org/name", FILES | {"model.safetensors": b"old"}, "v1")
    hub.publish("org/name", FILES | {"model.safetensors": b"new"}, "main")
    hub.publish("org/name", FILES | {"model.safetensors": b"draft"}, "refs/pr/1")

    def weights(revision: str | None) -> bytes:
        return (hubs.download("org/name", revision) / "model.safetensors").read_bytes()

    assert [weights(r) for r in (None, "main", "v1", old, "refs/pr/1")] == [
        b"new",
        b"new",
        b"old",
        b"old",
        b"draft",
    ]


def test_a_second_download_fetches_no_file_again(hub: SmallHub) -> None:
    hub.publish("org/name", FILES)
    first = hubs.download("org/name")
    hub.asked.clear()
    assert hubs.download("org/name") == first
    assert not any("/resolve/" in path for _, path, _ in hub.asked)


def test_shards_are_found_by_their_index(hub: SmallHub) -> None:
    shards = {
        "model.safetensors.index.json": b"{}",
        "model-00001-of-00002.safetensors": b"one",
        "model-00002-of-00002.safetensors": b"two",
        "consolidated.safetensors": b"the same again",
    }
    small = {name: content for name, content in FILES.items() if name != "model.safetensors"}
    hub.publish("org/name", small | shards)
    found = {path.name for path in hubs.download("org/name").iterdir()}
    assert found == set(small | shards) - {"consolidated.safetensors"}


def test_pickles_come_only_where_allowed(hub: SmallHub) -> None:
    small = {name: content for name, content in FILES.items() if name != "model.safetensors"}
    hub.publish("org/name", small | {"pytorch_model.bin": b"x"})
    with pytest.raises(UnsafeWeightsError, match=r"pytorch_model\.bin.*--allow-pickle"):
        hubs.download("org/name")
    assert (hubs.download("org/name", allow_pickle=True) / "pytorch_model.bin").is_file()


def test_a_dropped_connection_continues_where_it_stopped(hub: SmallHub) -> None:
    hub.publish("org/name", LARGE)
    hub.cut["model.safetensors"] = 12_000_000
    folder = hubs.download("org/name")
    assert (folder / "model.safetensors").read_bytes() == LARGE["model.safetensors"]
    assert ranges(hub, "model.safetensors") == [None, f"bytes={10 * 2**20}-"]


def test_a_killed_download_is_continued_by_the_next_process(hub: SmallHub, tmp_path: Path) -> None:
    hub.publish("org/name", LARGE)
    hub.stall["model.safetensors"] = 12_000_000
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "TRANSFORMERS_OFFLINE": "0",
    }
    program = "from workbench import hub; hub.download('org/name')"
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, cwd=Path(__file__).parents[1]
    )
    digest = hashlib.sha256(LARGE["model.safetensors"]).hexdigest()
    part = tmp_path / f"cache/models--org--name/blobs/{digest}.part"
    assert hub.stalled.wait(60)
    while not (part.exists() and part.stat().st_size):
        assert process.poll() is None
    process.kill()
    process.wait()
    arrived = part.stat().st_size
    folder = hubs.download("org/name")
    assert (folder / "model.safetensors").read_bytes() == LARGE["model.safetensors"]
    assert ranges(hub, "model.safetensors") == [None, f"bytes={arrived}-"]


def test_a_wrong_digest_is_refused_and_the_file_not_kept(hub: SmallHub) -> None:
    hub.publish("org/name", FILES)
    hub.damaged["model.safetensors"] = WEIGHTS[:-1] + b"!"
    stated = hashlib.sha256(WEIGHTS).hexdigest()
    found = hashlib.sha256(hub.damaged["model.safetensors"]).hexdigest()
    with pytest.raises(ModelError, match=rf"model\.safetensors.*{found}.*{stated}"):
        hubs.download("org/name")
    hub.damaged.clear()
    assert (hubs.download("org/name") / "model.safetensors").read_bytes() == WEIGHTS


def test_a_wrong_small_file_is_refused_and_fetched_again(hub: SmallHub) -> None:
    hub.publish("org/name", FILES)
    hub.damaged["config.json"] = FILES["config.json"].replace(b"gpt2", b"opt2")
    with pytest.raises(ModelError, match=r"config\.json arrived with the git object id"):
        hubs.download("org/name")
    hub.damaged.clear()
    assert (hubs.download("org/name") / "config.json").read_bytes() == FILES["config.json"]


def test_a_cached_file_of_another_size_is_fetched_again(hub: SmallHub) -> None:
    hub.publish("org/name", FILES)
    weights = hubs.download("org/name") / "model.safetensors"
    weights.resolve().write_bytes(b"cut short")
    assert (hubs.download("org/name") / "model.safetensors").read_bytes() == WEIGHTS


def test_a_file_that_grew_past_its_size_begins_anew(hub: SmallHub, tmp_path: Path) -> None:
    hub.publish("org/name", FILES)
    blobs = tmp_path / "cache/models--org--name/blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hashlib.sha256(WEIGHTS).hexdigest()}.part").write_bytes(WEIGHTS * 2)
    assert (hubs.download("org/name") / "model.safetensors").read_bytes() == WEIGHTS


def test_a_hub_that_is_not_there_says_to_try_again(hub: SmallHub) -> None:
    hub.publish("org/name", FILES)
    hub.go_away()
    with pytest.raises(WorkbenchError, match=r"does not answer.*Try again.*--offline"):
        hubs.download("org/name")


def test_a_hub_that_goes_away_in_the_middle_says_to_try_again(hub: SmallHub) -> None:
    hub.publish("org/name", FILES)
    hub.always_cut["model.safetensors"] = 0
    with pytest.raises(WorkbenchError, match=r"stopped in the middle.*Try again"):
        hubs.download("org/name")
    hub.always_cut.clear()
    assert (hubs.download("org/name") / "model.safetensors").read_bytes() == WEIGHTS


def test_a_repository_that_is_not_there(hub: SmallHub) -> None:
    hub.publish("org/name", FILES)
    with pytest.raises(hubs.NotOnHubError, match=r"org/nothing is not on the hub"):
        hubs.download("org/nothing")


def test_a_revision_that_is_not_there(hub: SmallHub) -> None:
    hub.publish("org/name", FILES)
    with pytest.raises(hubs.NotOnHubError, match=r"org/name on the hub has no revision 'v9'"):
        hubs.download("org/name", "v9")


def test_a_name_that_no_hub_has(hub: SmallHub) -> None:
    del hub
    with pytest.raises(hubs.NotOnHubError, match="is not a name that the hub can have"):
        hubs.download("a--b/c..d")


@pytest.mark.parametrize("revision", [None, "v1"])
def test_offline_uses_the_cache(hub: SmallHub, revision: str | None) -> None:
    hub.publish("org/name", FILES, revision or "main")
    online = hubs.download("org/name", revision)
    hub.go_away()
    assert hubs.download("org/name", revision, offline=True) == online
    assert hubs.download("org/name", online.name, offline=True) == online


def test_the_hubs_own_switch_is_offline_too(hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.publish("org/name", FILES)
    hubs.download("org/name")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.asked.clear()
    assert hubs.download("org/name").is_dir()
    assert hub.asked == []


@pytest.mark.parametrize("revision", [None, "v1", "0" * 40, "../../elsewhere"])
def test_offline_without_a_cached_copy(hub: SmallHub, revision: str | None) -> None:
    del hub
    with pytest.raises(OfflineError, match=r"not in the cache .*Run it once without --offline"):
        hubs.download("org/name", revision, offline=True)


def test_offline_with_half_of_a_copy(hub: SmallHub) -> None:
    hub.publish("org/name", FILES)
    (hubs.download("org/name") / "model.safetensors").unlink()
    with pytest.raises(OfflineError, match="not in the cache"):
        hubs.download("org/name", offline=True)


def test_a_cache_that_cannot_be_written(
    hub: SmallHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub.publish("org/name", FILES)
    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="Set HF_HOME"):
        hubs.download("org/name")


def test_a_full_disk_says_so(hub: SmallHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.publish("org/name", FILES)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(file_download, "http_get", full)
    with pytest.raises(StorageError, match="disk of the Hugging Face cache is full"):
        hubs.download("org/name")


def test_names_that_leave_the_folder_are_not_needed() -> None:
    names = ["../config.json", "a/model.safetensors", "b\\model.safetensors", "model.safetensors"]
    assert hubs.needed_files(names, allow_pickle=True) == ["model.safetensors"]
