"""A tiny model of every architecture, with random weights under which every part of it matters.

`FAMILIES` has a family's own settings; a name that is no model type is a variant, and says which.
The sizes are small, and so are windows, chunks and the number of keys that an indexer lets through:
a text of a few words shows what they do. What architectures can have (layers of two kinds, shared
keys, several groups of experts) these models have.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from small_tokenizer import save_tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WINDOW = 4
"""Tokens that a sliding window, a chunk or an indexer lets a token see."""

GAIN, SPREAD, EMBEDDING = 1.4, 0.3, 0.5
"""Standard deviations: of a matrix's outputs for inputs of 1, of vectors, of embeddings."""

_COMMON: Mapping[str, Any] = MappingProxyType(
    {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 0,
    }
)

_ALTERNATING = ["sliding_attention", "full_attention"] * 2

_LATENT = {
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 12,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 10,
}

_EXPERTS = {"moe_intermediate_size": 16, "num_experts_per_tok": 2}

_DEEPSEEK = {
    **_LATENT,
    **_EXPERTS,
    "n_routed_experts": 8,
    "n_group": 2,
    "topk_group": 1,
    "first_k_dense_replace": 1,
}

_GEMMA4 = {
    "head_dim": 8,
    "global_head_dim": 16,
    "layer_types": _ALTERNATING,
    "sliding_window": WINDOW,
    "final_logit_softcapping": 10.0,
    "hidden_size_per_layer_input": 0,
}

_YARN = {
    "rope_type": "yarn",
    "factor": 32.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "original_max_position_embeddings": 4,
}

FAMILIES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "gpt2": {},
        "gpt_neox": {"use_parallel_residual": True},
        "gpt_neox_sequential": {"model_type": "gpt_neox", "use_parallel_residual": False},
        "llama": {},
        "llama4_text": {
            "head_dim": 8,
            "intermediate_size_mlp": 48,
            "intermediate_size": 16,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "interleave_moe_layer_step": 2,
            "attention_chunk_size": WINDOW,
            "floor_scale": 2,
        },
        "mistral": {"sliding_window": WINDOW},
        "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2, "intermediate_size": 24},
        "qwen2": {},
        "qwen3": {"head_dim": 16},
        "qwen3_moe": {"head_dim": 16, "num_experts": 8, "mlp_only_layers": [1], **_EXPERTS},
        "qwen3_next": {
            "head_dim": 16,
            "num_experts": 8,
            "mlp_only_layers": [1],
            **_EXPERTS,
            "shared_expert_intermediate_size": 16,
            "layer_types": ["linear_attention", "full_attention"] * 2,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
        },
        "gemma2": {
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "layer_types": _ALTERNATING,
            "sliding_window": WINDOW,
            "attn_logit_softcapping": 4.0,
            "final_logit_softcapping": 10.0,
        },
        "gemma3_text": {
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "layer_types": _ALTERNATING,
            "sliding_window": WINDOW,
        },
        "gemma4_text": _GEMMA4,
        "gemma4_text_per_layer": {
            **_GEMMA4,
            "model_type": "gemma4_text",
            "hidden_size_per_layer_input": 8,
            "num_kv_shared_layers": 2,
            "use_double_wide_mlp": True,
        },
        "gemma4_text_moe": {
            **_GEMMA4,
            "model_type": "gemma4_text",
            "enable_moe_block": True,
            "num_experts": 8,
            "top_k_experts": 2,
            "moe_intermediate_size": 16,
            "attention_k_eq_v": True,
            "num_global_key_value_heads": 1,
        },
        "deepseek_v2": {**_DEEPSEEK, "q_lora_rank": None, "topk_method": "group_limited_greedy"},
        "deepseek_v3": _DEEPSEEK,
        # Kimi K2: the architecture of DeepSeek V3, with one group of many experts and YaRN.
        "tiny_kimi": {
            **_DEEPSEEK,
            "model_type": "deepseek_v3",
            "n_routed_experts": 32,
            "n_group": 1,
            "topk_group": 1,
            "num_experts_per_tok": 4,
            "moe_intermediate_size": 8,
            "routed_scaling_factor": 2.827,
            "rope_parameters": {
                **_YARN,
                "rope_theta": 50_000.0,
                "beta_fast": 1.0,
                "mscale": 1.0,
                "mscale_all_dim": 1.0,
            },
        },
        "glm4": {"head_dim": 16},
        "glm4_moe": {
            **_EXPERTS,
            "head_dim": 16,
            "n_routed_experts": 8,
            "first_k_dense_replace": 1,
            "attention_bias": True,
            "use_qk_norm": True,
        },
        "glm_moe_dsa": {
            **_DEEPSEEK,
            "n_group": 1,
            "index_topk": WINDOW,
            "index_n_heads": 16,  # so many that no two keys are equally good
            "index_head_dim": 8,
            "indexer_types": ["full", "shared"] * 2,
        },
        "phi3": {"sliding_window": WINDOW, "partial_rotary_factor": 0.75},
        "olmo2": {},
        "gpt_oss": {
            "head_dim": 16,
            "intermediate_size": 16,
            "num_local_experts": 8,
            "num_experts_per_tok": 2,
            "sliding_window": WINDOW,
            "rope_parameters": {**_YARN, "rope_theta": 150_000.0, "truncate": False},
        },
        "smollm3": {"no_rope_layer_interval": 2},
    }
)
"""Name -> settings beside the common ones."""


def make_family(name: str, directory: Path, seed: int = 0) -> Path:
    """Make a model of a family, with a tokenizer, in a new Hugging Face directory."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    directory.mkdir(parents=True)
    sizes = {**_COMMON, "vocab_size": save_tokenizer(directory)}
    sizes["vocab_size_per_layer_input"] = sizes["vocab_size"]
    own = dict(FAMILIES[name])
    family = own.pop("model_type", name)
    usual = AutoConfig.for_model(family)
    known = {key: size for key, size in sizes.items() if hasattr(usual, key)}
    config = AutoConfig.for_model(family, **{**known, **own})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        auto: Any = AutoModelForCausalLM
        network = auto.from_config(config, dtype=torch.float32)
        _enliven(network)
    network.save_pretrained(directory)
    return directory


def _enliven(network: Any) -> None:
    """Weights of the size at which a model of this width is neither flat nor saturated.

    As transformers makes them, matrices are near 0, and biases, gains and scales do nothing.
    """
    import torch

    with torch.no_grad():
        for name, weight in network.state_dict().items():
            noise = torch.randn_like(weight)
            if weight.ndim == 1 or name.endswith("bias"):
                weight.add_(noise, alpha=SPREAD)
            else:
                # The smaller side: whichever way the matrix lies, about as many inputs.
                inputs = max(8, min(weight.shape[-2:]))
                weight.copy_(noise).mul_(GAIN / math.sqrt(inputs))
        for module in network.modules():
            if isinstance(module, torch.nn.Embedding):
                module.weight.normal_(std=EMBEDDING)


ROUTED = {
    "llama4_text",
    "mixtral",
    "qwen3_moe",
    "qwen3_next",
    "gemma4_text_moe",
    "deepseek_v2",
    "deepseek_v3",
    "tiny_kimi",
    "glm4_moe",
    "glm_moe_dsa",
    "gpt_oss",
}
"""Families with a mixture of experts in some layer."""
