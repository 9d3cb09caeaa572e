"""A model of the same architecture that has learnt nothing: a control for what methods find.

(Zhang and Bowman 2018, arXiv 1809.10040, on probes.)
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.errors import ModelError
from workbench.memory import available_memory, human_bytes
from workbench.network import ATTENTION, quiet

if TYPE_CHECKING:
    from workbench.model import Model

__all__ = ["untrained"]


def untrained(model: Model, seed: int) -> Model:
    """The model with weights drawn anew, as its family draws them before training.

    The tokenizer is shared; the provenance stays that of the model that it is a control for.

    Raises:
        ModelError: where the memory does not hold a second model, or the family leaves weights
            undefined.
    """
    import torch
    from transformers import AutoModelForCausalLM

    _require_memory(model)
    config = copy.deepcopy(model.hf.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    auto: Any = AutoModelForCausalLM
    # Drawn on the CPU, so that a seed means the same weights on every device.
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = auto.from_config(config, attn_implementation=ATTENTION, dtype=_dtype(model))
    for name, weight in network.named_parameters():
        if not weight.isfinite().all():
            raise ModelError(
                f"{name} of an untrained {type(network).__name__} is not finite: this family does "
                "not say how its weights begin, so that there is no such control."
            )
    return replace(model, hf=network.to(model.device).eval())


def _dtype(model: Model) -> Any:
    """Of the embedding: a quantised model's own is no type to draw numbers of."""
    return model.hf.get_input_embeddings().weight.dtype


def _require_memory(model: Model) -> None:
    import torch

    size = sum(weight.numel() * weight.element_size() for weight in model.hf.parameters())
    left = available_memory()
    if model.device.type == "cuda":
        left = min(left, int(torch.cuda.mem_get_info(model.device)[0]))
    if size > left:
        raise ModelError(
            f"the control needs an untrained model beside this one: {human_bytes(size)}, and "
            f"{human_bytes(left)} are free. Load the model in a smaller type (dtype='bfloat16')."
        )
