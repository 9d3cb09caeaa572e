"""What a model's folder is: identity, digests, licence, safety, and each way it can be wrong."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from workbench import checkpoint, weights
from workbench.checkpoint import inspect, resolve, survey
from workbench.errors import ModelError, UnsafeWeightsError

ROOT = Path(__file__).parents[1]


def header(tensors: dict[str, Any]) -> bytes:
    """The start of a safetensors file, made by hand."""
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text


def tensor(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.fixture
def model(gpt2_directory: Path, tmp_path: Path) -> Path:
    """A copy of the random GPT-2, to be damaged."""
    return Path(shutil.copytree(gpt2_directory, tmp_path / "model"))


def config(model: Path, **changes: Any) -> None:
    path = model / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# What an inspection says


def test_an_inspection_of_a_gpt2(gpt2_directory: Path) -> None:
    found = inspect(gpt2_directory)
    assert found.architecture == "GPT2LMHeadModel"
    assert (found.model_type, found.context_length) == ("gpt2", 256)
    assert (
        found.vocabulary == json.loads((gpt2_directory / "config.json").read_text())["vocab_size"]
    )
    assert found.stored_dtypes == ("float32",)
    assert found.tied_embeddings
    assert found.unsafe_files == found.remote_code == ()
    assert found.quantisation is None
    assert not found.chat_template
    assert found.memory_bytes == int(found.parameters * 4 * 1.3)  # type: ignore[operator]  # it is known here


def test_each_file_that_loading_reads_has_its_digest(gpt2_directory: Path) -> None:
    files = inspect(gpt2_directory).files
    assert {file.name for file in files} == {path.name for path in gpt2_directory.iterdir()}
    for file in files:
        content = (gpt2_directory / file.name).read_bytes()
        assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_the_weights_digest_is_what_the_shell_says(gpt2_directory: Path) -> None:
    line = "sha256sum *.safetensors | LC_ALL=C sort | sha256sum"
    said = subprocess.run(
        line, shell=True, cwd=gpt2_directory, capture_output=True, text=True, check=True
    )
    assert inspect(gpt2_directory).weights_digest == said.stdout.split()[0]


def test_one_byte_changes_the_digest(model: Path) -> None:
    before = inspect(model)
    path = model / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    after = inspect(model)
    assert after.weights_digest != before.weights_digest
    assert [a == b for a, b in zip(after.files, before.files, strict=True)].count(False) == 1


@pytest.mark.parametrize("name", ["gpt2_directory", "llama_directory"])
def test_parameters_are_those_of_the_loaded_model(
    name: str, request: pytest.FixtureRequest
) -> None:
    from transformers import AutoModelForCausalLM

    directory = request.getfixturevalue(name)
    loaded: Any = AutoModelForCausalLM.from_pretrained(directory)
    found = inspect(directory)
    assert found.parameters == sum(weight.numel() for weight in loaded.parameters())
    assert found.tied_embeddings == loaded.config.tie_word_embeddings


def test_a_tied_head_that_is_stored_twice_counts_once(model: Path) -> None:
    from safetensors.numpy import load_file, save_file

    once = inspect(model)
    content = load_file(model / "model.safetensors")
    embedding = content["transformer.wte.weight"]
    masks = {"transformer.h.0.attn.bias": embedding[:1, :1, None, None]}
    save_file(content | masks | {"lm_head.weight": embedding}, model / "model.safetensors")
    twice = inspect(model)
    assert twice.parameters == once.parameters
    assert twice.tensors == (once.tensors or 0) + 2


def test_nothing_heavy_is_imported(gpt2_directory: Path) -> None:
    program = (
        "import sys; from workbench import checkpoint; "
        f"print(checkpoint.describe(checkpoint.inspect({str(gpt2_directory)!r}))); "
        "assert not {'torch', 'transformers', 'transformer_lens'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def test_pickles_beside_safetensors_are_named(model: Path) -> None:
    for name in ("pytorch_model.bin", "optimizer.PT", "vectors.npy", "flax_model.msgpack"):
        (model / name).touch()
    assert inspect(model).unsafe_files == ("optimizer.PT", "pytorch_model.bin")


def test_custom_code_is_named(model: Path) -> None:
    config(model, auto_map={"AutoModelForCausalLM": "modeling_x.X"})
    (model / "modeling_x.py").touch()
    assert inspect(model).remote_code == ("auto_map in config.json", "modeling_x.py")


@pytest.mark.parametrize(
    ("settings", "method"),
    [
        ({"quant_method": "gptq"}, "gptq"),
        ({}, "method not stated"),
        (None, None),
        ("gptq", None),
    ],
)
def test_quantisation(model: Path, settings: Any, method: str | None) -> None:
    config(model, quantization_config=settings)
    found = inspect(model)
    assert found.quantisation == method
    if method:
        assert found.memory_bytes == int(found.weights_bytes * 1.3)


def test_a_chat_template_is_found_in_each_of_its_places(model: Path) -> None:
    tokenizer = json.loads((model / "tokenizer_config.json").read_text())
    stated = json.dumps(tokenizer | {"chat_template": "{{ messages }}"})
    (model / "tokenizer_config.json").write_text(stated)
    assert inspect(model).chat_template
    (model / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    assert not inspect(model).chat_template
    (model / "chat_template.jinja").touch()
    assert inspect(model).chat_template


def test_settings_of_a_wrong_type_are_unknown(model: Path) -> None:
    config(model, architectures="GPT2", n_positions="many", vocab_size=True)
    found = inspect(model)
    assert (found.architecture, found.context_length) == (None, None)
    assert found.vocabulary == survey(resolve(model)).vocabulary


def test_a_multimodal_config_nests_its_text(model: Path) -> None:
    config(model, n_positions=None, text_config={"max_position_embeddings": 77, "vocab_size": 9})
    assert (inspect(model).context_length, inspect(model).vocabulary) == (77, 9)


# Shards


def shard(model: Path) -> dict[str, Any]:
    """Divide the weights into two files with an index, which is returned."""
    from safetensors.numpy import load_file, save_file

    content = load_file(model / "model.safetensors")
    names = sorted(content)
    files = {"model-1-of-2.safetensors": names[:5], "model-2-of-2.safetensors": names[5:]}
    for file, held in files.items():
        save_file({name: content[name] for name in held}, model / file)
    (model / "model.safetensors").unlink()
    index = {"weight_map": {name: file for file, held in files.items() for name in held}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    return index


def test_shards_count_as_one_model(model: Path) -> None:
    whole = inspect(model)
    shard(model)
    parts = inspect(model)
    assert (parts.parameters, parts.tensors) == (whole.parameters, whole.tensors)
    assert {"model.safetensors.index.json", "model-1-of-2.safetensors"} < {
        file.name for file in parts.files
    }


def test_a_missing_shard_is_named(model: Path) -> None:
    shard(model)
    (model / "model-2-of-2.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model-2-of-2\.safetensors is missing, one of 2"):
        inspect(model)


@pytest.mark.parametrize(
    "name", ["../model.safetensors", "/etc/passwd", "a/../../b", "..\\b", "C:\\b", "\\\\host\\b"]
)
def test_an_index_that_leaves_the_folder_is_refused(model: Path, name: str) -> None:
    index = shard(model)
    index["weight_map"]["extra"] = name
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="outside the model's folder"):
        inspect(model)


@pytest.mark.parametrize("content", ["{}", '{"weight_map": []}', '{"weight_map": {}}'])
def test_an_index_without_a_map(model: Path, content: str) -> None:
    shard(model)
    (model / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ModelError, match='has no "weight_map"'):
        inspect(model)


def test_links_into_a_cache_are_followed_and_checked(model: Path) -> None:
    weights_file = model / "model.safetensors"
    digest = hashlib.sha256(weights_file.read_bytes()).hexdigest()
    blob = model.parent / digest
    weights_file.rename(blob)
    weights_file.symlink_to(blob)
    inspect(model)
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    with pytest.raises(ModelError, match=rf"the hub stated {digest}.*delete"):
        inspect(model)


# What is not a whole model


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no config.json; expected a Hugging Face model directory"),
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[]", "holds a JSON list"),
        (b"null", "holds a JSON NoneType"),
        (b'{"a": "\xff"}', r"not UTF-8 text \(byte 7\)"),
        (b"[" * 100_000, "not valid JSON"),
        (b"{}", 'no "model_type"'),
        (b'{"model_type": 3}', 'no "model_type"'),
    ],
)
def test_a_config_that_is_not_one(model: Path, content: bytes | None, reason: str) -> None:
    path = model / "config.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=reason):
        inspect(model)


def test_a_huge_config_is_not_read(model: Path) -> None:
    os.truncate(model / "config.json", 10**12)
    with pytest.raises(ModelError, match=r"config\.json: holds 1 TB; expected a small JSON"):
        inspect(model)


def test_a_config_with_a_byte_order_mark_is_read(model: Path) -> None:
    path = model / "config.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    inspect(model)


def test_no_weights(model: Path) -> None:
    (model / "model.safetensors").rename(model / "consolidated.safetensors")
    with pytest.raises(ModelError, match=r"no weights.*Found consolidated\.safetensors"):
        inspect(model)


def test_an_adapter_without_its_base(model: Path) -> None:
    (model / "model.safetensors").rename(model / "adapter_model.safetensors")
    (model / "adapter_config.json").touch()
    with pytest.raises(ModelError, match="This is an adapter: merge it"):
        inspect(model)


def test_no_tokenizer(model: Path) -> None:
    (model / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"no tokenizer; expected tokenizer\.json"):
        inspect(model)
    (model / "vocab.json").touch()
    with pytest.raises(ModelError, match=r"vocab\.json without merges\.txt"):
        inspect(model)
    (model / "merges.txt").touch()
    inspect(model)


def test_pickles_only(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(UnsafeWeightsError, match=r"pytorch_model\.bin.*--allow-pickle \(allow_p"):
        inspect(model)
    found = inspect(model, allow_pickle=True)
    assert (found.parameters, found.tensors, found.stored_dtypes) == (None, None, ())
    assert found.unsafe_files == ("pytorch_model.bin",)
    assert "pytorch_model.bin" in {file.name for file in found.files}
    assert found.memory_bytes > found.weights_bytes


def test_a_pickle_that_no_loader_reads(model: Path) -> None:
    (model / "model.safetensors").rename(model / "weights.pkl")
    with pytest.raises(ModelError, match="not a name that transformers loads"):
        inspect(model, allow_pickle=True)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[:-100], id="cut short"),
        pytest.param(lambda content: content[:4], id="cut in the length"),
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda content: content + b"x", id="too long"),
        pytest.param(lambda content: struct.pack("<Q", 2**62) + content[8:], id="huge header"),
        pytest.param(lambda content: struct.pack("<Q", 10**6) + content[8:], id="past the end"),
        pytest.param(lambda content: content[:8] + b"!" + content[9:], id="not JSON"),
        pytest.param(lambda _: b"PK\x03\x04" + bytes(100), id="a pickle"),
        pytest.param(lambda _: header({"a": tensor("F32", [2], 0, 4)}) + bytes(4), id="shape"),
        pytest.param(lambda _: header({"a": tensor("F99", [1], 0, 4)}) + bytes(4), id="type"),
    ],
)
def test_corrupt_weights_are_named_with_their_size(model: Path, damage: Any) -> None:
    path = model / "model.safetensors"
    content = damage(path.read_bytes())
    path.write_bytes(content)
    expected = rf"model\.safetensors: not a whole safetensors file .*{len(content):,} bytes"
    with pytest.raises(ModelError, match=expected):
        inspect(model)


def test_a_weights_file_that_cannot_be_read(model: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "model.safetensors").mkdir()
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        inspect(model)


@pytest.mark.skipif(os.geteuid() == 0, reason="an administrator reads everything")
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_file_without_permission(model: Path, name: str) -> None:
    (model / name).chmod(0)
    with pytest.raises(ModelError, match="cannot be read"):
        inspect(model)


# Memory


def test_a_model_larger_than_the_memory_is_refused_before_it_is_read(model: Path) -> None:
    elements = 50_000_000_000
    with (model / "model.safetensors").open("wb") as file:
        file.write(header({"big": tensor("F32", [elements], 0, elements * 4)}))
        file.truncate(file.tell() + elements * 4)
    found = survey(resolve(model))
    assert found.parameters == elements
    with pytest.raises(ModelError, match=r"needs 260 GB.*available on cpu.*\"bfloat16\" halves"):
        checkpoint.check_fits(found, "float32", "cpu")


def test_what_fits_is_let_through(gpt2_directory: Path) -> None:
    found = survey(resolve(gpt2_directory))
    needed = checkpoint.memory_needed(found, "bfloat16")
    checkpoint.check_fits(found, "bfloat16", "cpu", needed)
    with pytest.raises(ModelError, match=rf"\({needed:,} bytes\) of memory at bfloat16.*Use a sma"):
        checkpoint.check_fits(found, "bfloat16", "cpu", needed - 1)


def test_inspect_counts_memory_at_the_dtype_that_is_asked_for(gpt2_directory: Path) -> None:
    half, whole = inspect(gpt2_directory, dtype="float16"), inspect(gpt2_directory)
    assert half.memory_bytes * 2 == pytest.approx(whole.memory_bytes, abs=2)


@pytest.mark.parametrize(
    ("dtype", "size"),
    [("float64", 8), ("bfloat16", 2), ("float8_e4m3fn", 1), ("bool", 1), ("?", 4)],
)
def test_bytes_of_a_dtype(dtype: str, size: int) -> None:
    assert weights.dtype_bytes(dtype) == size


# The text


def test_the_text_has_every_fact(model: Path) -> None:
    (model / "training_args.bin").touch()
    (model / "modeling_x.py").touch()
    (model / "LICENSE").write_text("MIT License")
    found = inspect(model)
    text = checkpoint.describe(found)
    assert f"{found.parameters:,} (embedding and head shared)" in text
    assert "! training_args.bin (can run code when read)" in text
    assert "! modeling_x.py (never run here)" in text
    assert "mit (stated in LICENSE)" in text
    assert found.weights_digest in text
    assert all(file.sha256 in text for file in found.files)


def test_the_text_obeys_no_control_characters(model: Path) -> None:
    config(model, architectures=["A\x1b[2J\r\n\u202eB"], model_type="gpt2\x07")
    (model / "README.md").write_text('---\nlicense: "mit\\e[31m"\n---\n')
    text = checkpoint.describe(inspect(model))
    assert all(letter.isprintable() for letter in text.replace("\n", ""))
    assert "\u202e" not in text


def test_the_text_of_a_pickle(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    text = checkpoint.describe(inspect(model, allow_pickle=True))
    assert "pickle: unknown without running it" in text


def test_an_inspection_is_written_and_read_back(gpt2_directory: Path, tmp_path: Path) -> None:
    found = inspect(gpt2_directory)
    found.write(tmp_path / "inspection.json")
    assert checkpoint.Inspection.read(tmp_path / "inspection.json") == found
