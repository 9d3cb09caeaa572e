"""Sites: one vocabulary for the places in any model whose value can be read or replaced.

Differences between architectures live here alone, as data: for each family that was proven (each
has its test on random weights), where in transformers' own modules a site is found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from workbench.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["LAYOUTS", "VOCABULARY", "Layout", "Site", "SiteKind", "expand_sites"]


@dataclass(frozen=True)
class SiteKind:
    """What a site's name means.

    Attributes:
        words: the site in words, for titles and messages.
        axes: names of the value's axes after the batch.
    """

    words: str
    axes: tuple[str, ...]


_STREAM = ("pos", "d_model")
_HEADS = ("pos", "head", "d_head")

VOCABULARY: Mapping[str, SiteKind] = MappingProxyType(
    {
        "resid_pre": SiteKind("the residual stream before a layer", _STREAM),
        "q": SiteKind("the queries, as they meet the keys (normed and rotated)", _HEADS),
        "k": SiteKind("the keys, as they meet the queries (normed and rotated)", _HEADS),
        "v": SiteKind("the values, as the pattern weighs them", _HEADS),
        "pattern": SiteKind("the attention pattern", ("head", "query", "key")),
        "head_out": SiteKind("each head's output, before the output matrix", _HEADS),
        "attn_out": SiteKind("what attention adds to the residual stream", _STREAM),
        "resid_mid": SiteKind("the residual stream between attention and MLP", _STREAM),
        "mlp_in": SiteKind("the MLP's input, after its norm", _STREAM),
        "router": SiteKind("the router's logits", ("pos", "expert")),
        "routing": SiteKind("the weight that each token gives to each expert", ("pos", "expert")),
        "neurons": SiteKind("the MLP's neurons, after the nonlinearity", ("pos", "d_mlp")),
        "mlp_out": SiteKind("what the MLP adds to the residual stream", _STREAM),
        "resid_post": SiteKind("the residual stream after a layer", _STREAM),
    }
)
"""Every site, in the order in which a forward pass comes by (in a sequential layer)."""


@dataclass(frozen=True)
class Site:
    """A place in a model: `Site("resid_post", 3)`; layer -1 is the last.

    Raises:
        InputError: for a name that is not in the vocabulary, with the closest.
    """

    name: str
    layer: int

    def __post_init__(self) -> None:
        if self.name not in VOCABULARY:
            raise InputError(
                f'There is no site "{self.name}". {did_you_mean(self.name, VOCABULARY)}'
            )

    def __str__(self) -> str:
        return f"{self.name}.{self.layer}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The site that `name.layer` means, as in `resid_post.3`."""
        name, dot, layer = text.rpartition(".")
        if not dot or not layer.lstrip("-").isdecimal():
            raise InputError(
                f'got the site "{text}"; expected a name and a layer, as in "resid_post.3".'
            )
        return cls(name, int(layer))

    def at(self, n_layers: int) -> Site:
        """The same site with its layer counted from 0.

        Raises:
            InputError: for a layer that a model of so many layers does not have.
        """
        if not -n_layers <= self.layer < n_layers:
            raise InputError(
                f"got layer {self.layer} for {self.name}; this model has layers 0 to "
                f"{n_layers - 1}; pass -1 for the last."
            )
        return Site(self.name, self.layer % n_layers)


def expand_sites(asked: str | Site | Iterable[str | Site], n_layers: int) -> tuple[Site, ...]:
    """The sites that are asked for, each once, in the order of a forward pass.

    Args:
        asked: sites, texts like `resid_post.3`, or a name alone, which means every layer.
        n_layers: of the model.

    Raises:
        InputError: for an unknown name or a layer that is not there.
    """
    found: set[Site] = set()
    for one in (asked,) if isinstance(asked, (str, Site)) else asked:
        if isinstance(one, Site):
            found.add(one.at(n_layers))
        elif "." in one:
            found.add(Site.parse(one).at(n_layers))
        else:
            found.update(Site(one, layer) for layer in range(n_layers))
    if not found:
        raise InputError('got no site; expected at least one, such as "resid_post".')
    order = list(VOCABULARY)
    return tuple(sorted(found, key=lambda site: (site.layer, order.index(site.name))))


@dataclass(frozen=True)
class Layout:
    """Where a family keeps its sites: paths inside one decoder layer of transformers.

    Attributes:
        layer: name of the decoder layer's class: what the family is known by.
        final_norm: path inside the module that holds the layers.
        attention: the attention module.
        attn_out: the module whose output is added to the residual stream.
        output_matrix: the module whose input is the heads' outputs, side by side.
        mid: the module whose input is the residual stream after attention.
        mlp, mlp_out: the same for the MLP.
        down: the module whose input is the neurons.
        router: where a layer has one.
        router_logits: module whose output is the logits; the index where it is one of several.
        routing: indices of weights and experts in the router's output; None where the one
            output at index 0 holds a weight for every expert.
        linear_attention: the module that takes attention's place in some layers.
        linear_output_matrix: its output matrix.
        cache: name of the layer's argument for cached keys and values.
        extra_out: the module whose output is added after the MLP's, where a layer has one.
        scale: the number by which a layer multiplies the stream at its end, where it has one.
        experts_axis: which axis of the experts' stacked output matrices `[expert, ..., ...]` is
            the residual stream's.
    """

    layer: str
    final_norm: str = "norm"
    attention: str = "self_attn"
    attn_out: str = "self_attn"
    output_matrix: str = "self_attn.o_proj"
    mid: str = "post_attention_layernorm"
    mlp: str = "mlp"
    mlp_out: str = "mlp"
    down: str = "mlp.down_proj"
    router: str = "mlp.gate"
    router_logits: tuple[str, int] = ("mlp.gate", 0)
    routing: tuple[int, int] | None = (1, 2)
    linear_attention: str | None = None
    linear_output_matrix: str | None = None
    cache: str = "past_key_values"
    extra_out: str | None = None
    scale: str | None = None
    experts_axis: int = 1


_GEMMA2 = Layout(
    "Gemma2DecoderLayer",
    attn_out="post_attention_layernorm",
    mid="pre_feedforward_layernorm",
    mlp_out="post_feedforward_layernorm",
)

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "gpt2": Layout(
            "GPT2Block",
            final_norm="ln_f",
            attention="attn",
            attn_out="attn",
            output_matrix="attn.c_proj",
            mid="ln_2",
            down="mlp.c_proj",
        ),
        "gpt_neox": Layout(
            "GPTNeoXLayer",
            final_norm="final_layer_norm",
            attention="attention",
            attn_out="attention",
            output_matrix="attention.dense",
            down="mlp.dense_4h_to_h",
            cache="layer_past",
        ),
        "llama": Layout("LlamaDecoderLayer"),
        "llama4_text": Layout(
            "Llama4TextDecoderLayer",
            mlp="feed_forward",
            mlp_out="feed_forward",
            down="feed_forward.down_proj",
            router="feed_forward.router",
            router_logits=("feed_forward.router", 1),
            routing=None,
            experts_axis=2,
        ),
        "mistral": Layout("MistralDecoderLayer"),
        "mixtral": Layout("MixtralDecoderLayer"),
        "qwen2": Layout("Qwen2DecoderLayer"),
        "qwen3": Layout("Qwen3DecoderLayer"),
        "qwen3_moe": Layout("Qwen3MoeDecoderLayer"),
        "qwen3_next": Layout(
            "Qwen3NextDecoderLayer",
            linear_attention="linear_attn",
            linear_output_matrix="linear_attn.out_proj",
        ),
        "gemma2": _GEMMA2,
        "gemma3_text": replace(_GEMMA2, layer="Gemma3DecoderLayer"),
        "gemma4_text": replace(
            _GEMMA2,
            layer="Gemma4TextDecoderLayer",
            router="router",
            router_logits=("router.proj", 0),
            extra_out="post_per_layer_input_norm",
            scale="layer_scalar",
        ),
        "deepseek_v2": Layout("DeepseekV2DecoderLayer"),
        "deepseek_v3": Layout("DeepseekV3DecoderLayer"),
        "glm4": Layout(
            "Glm4DecoderLayer", attn_out="post_self_attn_layernorm", mlp_out="post_mlp_layernorm"
        ),
        "glm4_moe": Layout("Glm4MoeDecoderLayer"),
        "glm_moe_dsa": Layout("GlmMoeDsaDecoderLayer"),
        "phi3": Layout("Phi3DecoderLayer"),
        "olmo2": Layout(
            "Olmo2DecoderLayer",
            attn_out="post_attention_layernorm",
            mid="mlp",
            mlp_out="post_feedforward_layernorm",
        ),
        "gpt_oss": Layout(
            "GptOssDecoderLayer",
            router="mlp.router",
            router_logits=("mlp.router", 0),
            experts_axis=2,
        ),
        "smollm3": Layout("SmolLM3DecoderLayer"),
    }
)
"""Model type -> where its sites are."""
