"""Small real models, made on the spot, and an environment without a network."""

from __future__ import annotations

import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest
from families import FAMILIES, make_family
from small_tokenizer import save_tokenizer

from workbench.offline import HUB_SWITCHES

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.model import Model
    from workbench.tables import Result

# Before anything imports a Hugging Face library: they read these once.
os.environ.update(HUB_SWITCHES)
# A shell that starts tests in the background has them ignore Ctrl-C, and nohup a closed terminal;
# and with them whatever they start and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
# The models here are too small to gain from threads, which only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session")
def gpt2_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 with random weights and a tokenizer of its own, as a Hugging Face directory."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    directory = tmp_path_factory.mktemp("models") / "random-gpt2"
    directory.mkdir()
    vocabulary = save_tokenizer(directory)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=256,
        n_embd=32,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
    )
    GPT2LMHeadModel(config).save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def llama_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with grouped-query attention, random weights and an output head of its own."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    directory = tmp_path_factory.mktemp("models") / "random-llama"
    directory.mkdir()
    vocabulary = save_tokenizer(directory)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        max_position_embeddings=128,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=0,
        eos_token_id=0,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).save_pretrained(directory)
    return directory


# Loaded once and shared: a test leaves them as they are.


@pytest.fixture(scope="session")
def random_gpt2(gpt2_directory: Path) -> Model:
    """The random GPT-2, loaded; its tokenizer adds no BOS."""
    from workbench.model import load

    return load(gpt2_directory, reuse=False)


@pytest.fixture(scope="session")
def broken_gpt2(gpt2_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The random GPT-2 with a NaN among the weights of its last layer, loaded."""
    from safetensors.torch import load_file, save_file

    from workbench.model import load

    directory = tmp_path_factory.mktemp("models") / "broken-gpt2"
    shutil.copytree(gpt2_directory, directory)
    weights = load_file(directory / "model.safetensors")
    weights["transformer.h.1.mlp.c_fc.weight"][0, 0] = float("nan")
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    return load(directory, reuse=False)


@pytest.fixture(scope="session")
def random_llama(llama_directory: Path) -> Model:
    """The random Llama with grouped-query attention, loaded."""
    from workbench.model import load

    return load(llama_directory, reuse=False)


@pytest.fixture(scope="session")
def planted() -> Model:
    """The organism in which everything is planted."""
    from workbench.model import load

    return load("organism:planted", reuse=False)


@pytest.fixture(scope="session")
def clean() -> Model:
    """Its twin, in which nothing is."""
    from workbench.model import load

    return load("organism:clean", reuse=False)


@pytest.fixture(scope="session")
def planted_scores(planted: Model) -> dict[str, Result]:
    """Every task of the small world, scored on the planted organism."""
    return _all_scores(planted)


@pytest.fixture(scope="session")
def clean_scores(clean: Model) -> dict[str, Result]:
    """Every task of the small world, scored on the clean organism."""
    return _all_scores(clean)


def _all_scores(model: Model) -> dict[str, Result]:
    from workbench.evaluate.scorer import score
    from workbench.evaluate.suites import load_suite

    return score(model, load_suite().task_names())


# Models whose answer is known: see the modules that make them.


@pytest.fixture(scope="session")
def hand_built_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The transformer with its circuit written into its weights, as a Hugging Face directory."""
    import hand_built

    return hand_built.write(tmp_path_factory.mktemp("models") / "hand-built")


@pytest.fixture(scope="session")
def hand_built(hand_built_directory: Path) -> Model:
    """The same, loaded: `from hand_built import PREVIOUS, INDUCTION, NEURON, ...`."""
    from workbench.model import load

    return load(hand_built_directory, reuse=False)


# A model of every architecture: a test that takes one runs on each.


@pytest.fixture(scope="session", params=list(FAMILIES))
def family_name(request: pytest.FixtureRequest) -> str:
    """The name of an architecture, or of a variant of one."""
    return str(request.param)


@pytest.fixture(scope="session")
def family_directory(family_name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of that architecture with random weights, as a Hugging Face directory."""
    return make_family(family_name, tmp_path_factory.mktemp("families") / family_name)


@pytest.fixture(scope="session")
def family(family_directory: Path) -> Model:
    """The same, loaded."""
    from workbench.model import load

    return load(family_directory, reuse=False)


@pytest.fixture(scope="session")
def induction(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A small Llama that was trained on repeated sequences until it had induction heads."""
    import induction_toy

    from workbench.model import load

    return load(induction_toy.write(tmp_path_factory.mktemp("models") / "induction"), reuse=False)


@pytest.fixture(scope="session")
def seeded_planted() -> list[Model]:
    """The organism in which everything is planted, smaller, from seeds 1, 2 and 3."""
    import seeded_organisms

    from workbench.model import load

    return [load(seeded_organisms.directory(seed), reuse=False) for seed in seeded_organisms.SEEDS]
