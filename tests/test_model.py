"""Loading: the same numbers as transformers alone, and each way in which a model is refused."""

from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, CTRLConfig, CTRLLMHeadModel

from workbench import model as models
from workbench.checkpoint import inspect
from workbench.errors import InputError, ModelError, UnsafeWeightsError
from workbench.model import load
from workbench.provenance import ModelProvenance, package_versions

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = "the nurse said that he"
EXTRA = os.environ.get("WORKBENCH_EXTRA_MODELS")


@pytest.fixture(autouse=True)
def _nothing_loaded() -> Iterator[None]:
    yield
    models.unload()


@pytest.fixture
def model(gpt2_directory: Path, tmp_path: Path) -> Path:
    """A copy of the random GPT-2, to be damaged."""
    return Path(shutil.copytree(gpt2_directory, tmp_path / "model"))


def change_config(model: Path, **changes: Any) -> None:
    path = model / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_weights(model: Path, **changes: torch.Tensor | None) -> None:
    """Replace tensors by name (with dots as `__`), or take them away."""
    content = load_file(model / "model.safetensors")
    for name, value in changes.items():
        key = name.replace("__", ".")
        if value is None:
            del content[key]
        else:
            content[key] = value
    save_file(content, model / "model.safetensors", metadata={"format": "pt"})


def plain_logits(directory: Path, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """What transformers alone computes."""
    auto: Any = AutoModelForCausalLM
    network = auto.from_pretrained(directory, attn_implementation="eager", dtype=dtype)
    tokens = AutoTokenizer.from_pretrained(directory)(TEXT, return_tensors="pt").input_ids
    with torch.no_grad():
        logits: torch.Tensor = network(tokens).logits
    return logits


# TransformerLens computes GPT-2's joint projection in three parts.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}


def logits(loaded: models.Model) -> torch.Tensor:
    tokens = loaded.tokenizer(TEXT, return_tensors="pt").input_ids
    with torch.no_grad():
        through_bridge: torch.Tensor = loaded.bridge(tokens)
        found: torch.Tensor = loaded.hf(tokens).logits
    torch.testing.assert_close(through_bridge, found, rtol=0, atol=TOLERANCE[found.dtype])
    return found


# The same numbers


@pytest.mark.parametrize("name", ["gpt2_directory", "llama_directory"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_are_those_of_transformers(
    name: str, dtype: torch.dtype, request: pytest.FixtureRequest
) -> None:
    directory = request.getfixturevalue(name)
    found = logits(load(directory, dtype=dtype, device="cpu"))
    assert found.dtype == dtype
    torch.testing.assert_close(found, plain_logits(directory, dtype), rtol=0, atol=1e-5)


@pytest.mark.skipif(not EXTRA, reason="WORKBENCH_EXTRA_MODELS names no folder of models")
def test_logits_of_real_weights() -> None:
    for directory in sorted(Path(EXTRA or "").iterdir()):
        if (directory / "config.json").is_file():
            found = logits(load(directory, device="cpu", dtype="float32"))
            torch.testing.assert_close(found, plain_logits(directory), rtol=0, atol=1e-5)


def test_a_relative_directory_named_like_an_alias_loads_from_the_disk(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    model.rename("gpt2")
    loaded = load("gpt2", device="cpu")
    assert loaded.n_layers == 2
    assert loaded.name == "gpt2"


def test_shards_load(model: Path) -> None:
    network: Any = AutoModelForCausalLM.from_pretrained(model)
    (model / "model.safetensors").unlink()
    network.save_pretrained(model, max_shard_size="20KB")
    assert (model / "model.safetensors.index.json").is_file()
    torch.testing.assert_close(logits(load(model, device="cpu")), plain_logits(model))


# What is said about it


def test_provenance(llama_directory: Path) -> None:
    loaded = load(llama_directory, device="cpu")
    found, inspection = loaded.provenance, inspect(llama_directory)
    assert found.source == str(llama_directory)
    assert (found.kind, found.revision) == ("local", None)
    assert found.files == inspection.files
    assert found.weights_digest == inspection.weights_digest
    assert (found.architecture, found.model_type) == ("LlamaForCausalLM", "llama")
    assert found.parameters == sum(weight.numel() for weight in loaded.hf.parameters())
    assert found.vocabulary == loaded.hf.get_input_embeddings().num_embeddings
    assert (found.dtype, found.stored_dtypes) == ("float32", ("float32",))
    assert (found.device, found.attention, found.non_finite) == ("cpu", "eager", ())
    assert found.packages == package_versions()
    assert ModelProvenance.model_validate_json(found.model_dump_json()) == found


def test_the_model_says_what_it_is(llama_directory: Path) -> None:
    loaded = load(llama_directory, device="cpu")
    assert repr(loaded).startswith("Model(random-llama: LlamaForCausalLM, ")
    assert repr(loaded).endswith(" parameters, 2 layers, float32 on cpu)")
    assert (loaded.n_layers, loaded.context_length) == (2, 128)
    assert loaded.device == torch.device("cpu")
    assert not loaded.hf.training


def test_the_tokenizer_is_transformers_own(gpt2_directory: Path) -> None:
    loaded = load(gpt2_directory, device="cpu")
    plain = AutoTokenizer.from_pretrained(gpt2_directory)
    assert loaded.tokenizer(TEXT).input_ids == plain(TEXT).input_ids
    assert loaded.tokenizer.pad_token == plain.pad_token
    assert loaded.bridge.to_tokens(TEXT)[0].tolist() == [0, *plain(TEXT).input_ids]


def test_weights_that_are_not_finite_are_named(model: Path) -> None:
    bad = load_file(model / "model.safetensors")["transformer.ln_f.bias"]
    bad[3] = float("nan")
    change_weights(model, transformer__ln_f__bias=bad, transformer__h__1__ln_1__bias=bad / 0)
    named = load(model, device="cpu").provenance.non_finite
    assert named == ("transformer.h.1.ln_1.bias", "transformer.ln_f.bias")


def test_loading_says_nothing_and_leaves_logging_as_it_was(
    model: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    from transformers.utils import logging as reports

    before = reports.get_verbosity(), reports.is_progress_bar_enabled(), logging.root.handlers
    change_weights(model, extra=torch.zeros(2))
    load(model, device="cpu")
    after = reports.get_verbosity(), reports.is_progress_bar_enabled(), logging.root.handlers
    assert after == before
    assert logging.root.manager.disable == 0
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


# Once in a process


def test_the_same_model_is_loaded_once(model: Path) -> None:
    first = load(model, device="cpu")
    assert load(str(model), device="cpu") is first
    assert load(model, device="cpu", dtype="float32") is first
    assert load(model, device="cpu", dtype="bfloat16") is not first
    assert load(model, device="cpu", reuse=False) is not first
    models.unload()
    assert load(model, device="cpu") is not first


def test_another_name_for_it_is_recorded(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(model, device="cpu")
    monkeypatch.chdir(model)
    second = load(".", device="cpu")
    assert second.hf is first.hf
    assert second.provenance.source == "."


def test_changed_files_are_loaded_again(model: Path) -> None:
    first = load(model, device="cpu")
    change_weights(model, transformer__ln_f__bias=torch.ones(32))
    second = load(model, device="cpu")
    assert second.provenance.weights_digest != first.provenance.weights_digest


def test_weights_that_were_folded_in_place_are_loaded_again(model: Path) -> None:
    first = load(model, device="cpu")
    first.bridge.compatibility_mode = True
    assert load(model, device="cpu") is not first


# Where and how


@pytest.mark.parametrize("device", ["gpu", "cud", "cpu:x", "", "cpu:1", "cuda:99"])
def test_a_device_that_is_not_there(model: Path, device: str) -> None:
    with pytest.raises(InputError, match=r"There is no device|This machine has no"):
        load(model, device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_no_cuda_here(model: Path) -> None:
    with pytest.raises(InputError, match="This machine has no cuda; it has 0 of that kind"):
        load(model, device="cuda")
    assert load(model).provenance.device in {"cpu", "mps"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_on_cuda(model: Path) -> None:
    loaded = load(model)
    assert (loaded.device.type, loaded.provenance.dtype) == ("cuda", "float32")
    tokens = loaded.tokenizer(TEXT, return_tensors="pt").input_ids.to(loaded.device)
    with torch.no_grad():
        found = loaded.bridge(tokens).cpu()
    torch.testing.assert_close(found, plain_logits(model), rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", ["floot32", torch.int8, "fp32", "float8"])
def test_a_dtype_that_is_none(model: Path, dtype: Any) -> None:
    with pytest.raises(InputError, match="expected one of float32, bfloat16, float16"):
        load(model, dtype=dtype)


def test_the_stored_dtype_is_taken_where_float32_does_not_fit(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    network.save_pretrained(model)
    found = inspect(model)
    assert found.stored_dtypes == ("bfloat16",)
    monkeypatch.setattr("workbench.checkpoint.available_memory", lambda: found.memory_bytes)
    assert load(model, device="cpu").provenance.dtype == "bfloat16"
    models.unload()
    monkeypatch.setattr("workbench.checkpoint.available_memory", lambda: found.memory_bytes - 1)
    with pytest.raises(ModelError, match="of memory at bfloat16"):
        load(model, device="cpu")


def test_a_model_larger_than_the_memory_is_refused_at_once(model: Path) -> None:
    stated = {"big": {"dtype": "F32", "shape": [10**11], "data_offsets": [0, 4 * 10**11]}}
    text = json.dumps(stated).encode()
    with (model / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(file.tell() + 4 * 10**11)
    with pytest.raises(ModelError, match=r"needs 520 GB .*available on cpu"):
        load(model, device="cpu")


# What is refused


def test_pickles_need_permission_and_run_nothing_even_then(model: Path) -> None:
    network: Any = AutoModelForCausalLM.from_pretrained(model)
    expected = plain_logits(model)
    torch.save(network.state_dict(), model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()
    with pytest.raises(UnsafeWeightsError, match="--allow-pickle"):
        load(model, device="cpu")
    loaded = load(model, device="cpu", allow_pickle=True)
    torch.testing.assert_close(logits(loaded), expected)
    assert loaded.provenance.parameters == network.num_parameters()


class _Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("attacked",)


def test_a_hostile_pickle_is_not_run(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model)
    (model / "model.safetensors").unlink()
    torch.save({"transformer.wte.weight": _Attack()}, model / "pytorch_model.bin")
    with pytest.raises(ModelError, match="weights cannot be loaded"):
        load(model, device="cpu", allow_pickle=True)
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(_Attack()))
    with pytest.raises(ModelError, match="weights cannot be loaded"):
        load(model, device="cpu", allow_pickle=True)
    assert not (model / "attacked").exists()


def test_an_architecture_that_transformers_does_not_know(model: Path) -> None:
    change_config(model, model_type="llamma")
    with pytest.raises(ModelError, match=r"does not know the architecture 'llamma'.*'llama'"):
        load(model, device="cpu")


def test_custom_code_is_never_run(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model)
    (model / "modeling_x.py").write_text("import os; os.mkdir('attacked')")
    code = {"AutoConfig": "modeling_x.C", "AutoModelForCausalLM": "modeling_x.X"}
    change_config(model, auto_map=code)
    assert load(model, device="cpu").provenance.architecture == "GPT2LMHeadModel"
    change_config(model, model_type="custom_x")
    with pytest.raises(ModelError, match="Python code of its own, which is never run"):
        load(model, device="cpu")
    assert not (model / "attacked").exists()


def test_a_model_that_continues_no_text_is_refused(model: Path) -> None:
    change_config(model, model_type="t5")
    with pytest.raises(ModelError, match="t5 is no architecture of a causal language model"):
        load(model, device="cpu")


@pytest.fixture
def unproven(model: Path) -> models.Model:
    """A CTRL: transformers knows it, TransformerLens and the sites do not."""
    config = CTRLConfig(vocab_size=300, n_embd=32, dff=32, n_layer=2, n_head=2, n_positions=64)
    CTRLLMHeadModel(config).save_pretrained(model)
    return load(model, device="cpu", reuse=False)


def test_what_is_inside_an_unproven_family_is_refused_and_not_guessed(
    unproven: models.Model,
) -> None:
    tokens = unproven.tokenizer(TEXT, return_tensors="pt").input_ids
    assert unproven.hf(tokens).logits.isfinite().all()
    with pytest.raises(ModelError, match="sites of a CTRLLMHeadModel are not proven"):
        _ = unproven.anatomy
    with pytest.raises(ModelError, match="TransformerLens does not know CTRLLMHeadModel"):
        _ = unproven.bridge


def test_the_plain_network_is_the_same_weights_and_takes_no_memory(model: Path) -> None:
    loaded = load(model, device="cpu", reuse=False)
    plain = loaded.plain()
    assert plain is not loaded.hf
    mine = {tensor.data_ptr() for tensor in loaded.hf.parameters()}
    assert {tensor.data_ptr() for tensor in plain.parameters()} == mine
    tokens = loaded.tokenizer(TEXT, return_tensors="pt").input_ids
    with torch.no_grad():
        assert torch.equal(plain(tokens).logits, loaded.hf(tokens).logits)


def test_missing_tensors_are_not_made_up(model: Path) -> None:
    change_weights(model, transformer__ln_f__bias=None)
    with pytest.raises(ModelError, match=r"lack 1 tensors .*transformer\.ln_f\.bias"):
        load(model, device="cpu")


def test_weights_of_another_shape(model: Path) -> None:
    change_config(model, n_embd=64)
    with pytest.raises(ModelError, match=r"weights cannot be loaded.*do not belong to this config"):
        load(model, device="cpu")


@pytest.mark.parametrize("changes", [{"n_embd": "many"}, {"n_embd": -1}, {"n_head": 7}])
def test_a_config_that_makes_no_model(model: Path, changes: dict[str, Any]) -> None:
    change_config(model, **changes)
    with pytest.raises(ModelError):
        load(model, device="cpu")


def test_a_tokenizer_of_another_model(model: Path) -> None:
    rows = load_file(model / "model.safetensors")["transformer.wte.weight"]
    change_weights(model, transformer__wte__weight=rows[:100].clone())
    change_config(model, vocab_size=100)
    with pytest.raises(ModelError, match=rf"ids up to {len(rows) - 1}, and the embedding has 100"):
        load(model, device="cpu")


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"model": {"type": "BPE"}}'])
def test_a_broken_tokenizer(model: Path, content: str) -> None:
    (model / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError, match="tokenizer cannot be loaded"):
        load(model, device="cpu")


def test_no_token_is_invented_past_the_embedding(llama_directory: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(llama_directory, tmp_path / "bare"))
    (directory / "tokenizer_config.json").unlink()
    words = directory / "tokenizer.json"
    words.write_text(words.read_text().replace("<|endoftext|>", "<start>"))
    loaded = load(directory, device="cpu")
    assert loaded.tokenizer.bos_token_id == loaded.bridge.tokenizer.bos_token_id == 0
    change_config(directory, bos_token_id=None, eos_token_id=None)
    bare = load(directory, device="cpu")
    assert bare.tokenizer.bos_token_id is None
    with pytest.raises(ModelError, match="states no BOS and EOS"):
        _ = bare.bridge


def test_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such directory"):
        load(tmp_path / "nothing")
