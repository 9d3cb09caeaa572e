"""A transformer whose circuit is written into its weights, as Tracr compiles one: all is known.

It continues a repetition: after `red sun cat red` it says `sun`. And it answers one word, `key`,
with another, `door`. Three things do this, and nothing else in the network does anything:

- the previous-token head `PREVIOUS` attends to the position before and notes its word there;
- the induction head `INDUCTION` attends to the position whose note is the current word, and says
  the word that stands there; where there is none, it rests on the first position and says nothing;
- the neuron `NEURON` fires by `FIRES` on `KEY`, and on nothing else, and says `ANSWER`.

All other heads attend evenly and write exactly 0; all other neurons are exactly 0.

How: the residual stream has channels that are orthogonal to each other (rows of a Hadamard matrix,
so that a channel is no coordinate, and no sum of channels has a mean). Words and positions are
embedded in channels of their own, notes and what is to be said have others, and a constant that is
much larger than all of them makes each LayerNorm the identity, to within 0.3 %. An architecture
that all tools know, GPT-2, runs it; the logit of a word is `SAYS` times how much of it is said.

The construction follows Lindner et al. (2023), "Tracr: Compiled Transformers as a Laboratory for
Interpretability"; the circuit is that of Elhage et al. (2021), "A Mathematical Framework for
Transformer Circuits".
"""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from word_tokenizer import BOS, UNKNOWN, word_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from transformers import GPT2LMHeadModel

WORDS = tuple(
    "red sun cat key door tree fish blue lamp ring milk star boat salt wind gold "
    "bell snow leaf drum rose corn".split()
)
VOCABULARY = (BOS, UNKNOWN, *WORDS)

LAYERS, HEADS, D_HEAD, D_MODEL, D_MLP, CONTEXT = 3, 4, 32, 128, 16, 64


class Head(NamedTuple):
    layer: int
    head: int


class Neuron(NamedTuple):
    layer: int
    neuron: int


PREVIOUS = Head(0, 1)
INDUCTION = Head(1, 2)
NEURON = Neuron(2, 7)
KEY, ANSWER = "key", "door"

SHARPNESS = 20.0  # the score of the key that is looked for, where that of the others is 0
REST = 0.5  # the score of the place to rest, as a share of that
SAYS = 10.0  # logit of a word that is said once
FIRES = 10.0  # value of the neuron at `KEY`
PUSHES = 0.8  # how much of `ANSWER` is said then
CONSTANT = 32.0  # length of the channel that is always on; that of a word is 1


def repeated_text(length: int, seed: int) -> str:
    """Different words in a random order, twice; `KEY`, which has an answer anyway, is not there."""
    words = Random(seed).sample([word for word in WORDS if word != KEY], length)
    return " ".join(words * 2)


class Contrast(NamedTuple):
    """Two prompts that differ in one thing.

    Attributes:
        clean, corrupted: of equal length in tokens; BOS is position 0.
        answer, foil: what follows the clean prompt, and what follows the corrupted one (after
            `FIRED`'s, nothing does).
        carried: positions at which the residual stream differs, before each layer and after the
            last. Before layer 0 it is where the prompts differ. Patching the stream restores the
            answer in full where all these positions are patched, or where the only one is.

    Gradients along the line from the corrupted to the clean embeddings add up to the exact effect
    in 32 steps. One step is enough where only what is said differs; where attention moves, it gives
    more than six times the effect, as the softmax is steep.
    """

    clean: str
    corrupted: str
    answer: str
    foil: str
    carried: tuple[tuple[int, ...], ...]

    @property
    def changed(self) -> tuple[int, ...]:
        return self.carried[0]


SAID = Contrast(
    clean="red sun cat tree red",
    corrupted="red fish cat tree red",
    answer=" sun",
    foil=" fish",
    carried=((2,), (2, 3), (2, 3, 5), (2, 3, 5)),
)
"""Another word is said. It matters at 2 until `INDUCTION` copies it to 5; the note at 3 is idle."""

ASKED = Contrast(
    clean="red sun cat tree red",
    corrupted="red sun cat tree cat",
    answer=" sun",
    foil=" tree",
    carried=((5,), (5,), (5,), (5,)),
)
"""Another word is asked for. It matters at 5 alone."""

NOTED = Contrast(
    clean="red sun cat tree red",
    corrupted="cat sun red tree red",
    answer=" sun",
    foil=" tree",
    carried=((1, 3), (1, 2, 3, 4), (1, 2, 3, 4, 5), (1, 2, 3, 4, 5)),
)
"""Another place is found. `PREVIOUS` notes it at 2 and 4, by which `INDUCTION` at 5 finds it."""

FIRED = Contrast(
    clean="red sun cat key",
    corrupted="red sun cat blue",
    answer=f" {ANSWER}",
    foil=" sun",
    carried=((4,), (4,), (4,), (4,)),
)
"""`NEURON` fires, or does not. It matters at 4 alone."""

CONTRASTS = {"said": SAID, "asked": ASKED, "noted": NOTED, "fired": FIRED}


def write(directory: Path, *, sharpness: float = SHARPNESS) -> Path:
    """The model as an ordinary Hugging Face directory; the directory."""
    network(sharpness=sharpness).save_pretrained(directory)
    word_tokenizer(VOCABULARY, CONTEXT).save_pretrained(directory)
    return directory


def network(*, sharpness: float = SHARPNESS) -> GPT2LMHeadModel:
    """The model with its weights written in.

    Args:
        sharpness: of both heads' attention. What is looked for gets all but about
            `CONTEXT * exp(-sharpness)` of it, and the place to rest all but
            `CONTEXT * exp(-sharpness * REST)`.
    """
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=len(VOCABULARY),
        n_positions=CONTEXT,
        n_embd=D_MODEL,
        n_layer=LAYERS,
        n_head=HEADS,
        n_inner=D_MLP,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(devices=[]):
        made: GPT2LMHeadModel = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
        _embed(made)
        _attend_to_previous(_Attention(made, PREVIOUS), sharpness)
        _attend_to_induction(_Attention(made, INDUCTION), sharpness)
        _fire(made)
        _normalise(made)
        made.lm_head.weight += SAYS * _channels()["said"]
    return made


def _channels() -> dict[str, torch.Tensor]:
    """Directions of the residual stream `[channel, d_model]`, all orthogonal and of length 1.

    `word`, `note` and `said` have one for each token; `place` has two for each frequency.
    """
    import torch

    hadamard = torch.ones(1, 1)
    while len(hadamard) < D_MODEL:
        rows = torch.cat([hadamard, hadamard], dim=1), torch.cat([hadamard, -hadamard], dim=1)
        hadamard = torch.cat(rows)
    tokens = len(VOCABULARY)
    # The first row, all ones, is left out: LayerNorm takes it away.
    sizes = {"constant": 1, "first": 1, "word": tokens, "note": tokens, "said": tokens}
    sizes["place"] = CONTEXT // 2
    rest = D_MODEL - 1 - sum(sizes.values())
    parts = (hadamard[1:] / math.sqrt(D_MODEL)).split([*sizes.values(), rest])
    return dict(zip(sizes, parts, strict=False))


def _places() -> torch.Tensor:
    """Each position's coordinates `[pos, CONTEXT / 2]`, of length 1.

    Pairs (cos, sin) at the odd multiples of pi / 32: any two positions are orthogonal, but those
    that are half of the context apart are opposite.
    """
    import torch

    odd = torch.arange(1, CONTEXT // 2, 2) * (2 * math.pi / CONTEXT)
    angles = torch.arange(CONTEXT)[:, None] * odd
    return torch.cat([angles.cos(), angles.sin()], dim=1) / math.sqrt(len(odd))


def _embed(made: GPT2LMHeadModel) -> None:
    channels = _channels()
    transformer: Any = made.transformer
    transformer.wte.weight += channels["word"] + CONSTANT * channels["constant"]
    transformer.wpe.weight += _places() @ channels["place"]
    transformer.wpe.weight[0] += channels["first"][0]


def _normalise(made: GPT2LMHeadModel) -> None:
    """Each LayerNorm divides by the standard deviation, which the constant decides: undo it."""
    transformer: Any = made.transformer
    norms = [norm for block in transformer.h for norm in (block.ln_1, block.ln_2)]
    for norm in [*norms, transformer.ln_f]:
        norm.weight += CONSTANT / math.sqrt(D_MODEL)


class _Attention:
    """The matrices of one head, as views into the model: query, key and value `[d_model, d_head]`.

    `output` is `[d_head, d_model]`.
    """

    def __init__(self, made: GPT2LMHeadModel, head: Head) -> None:
        transformer: Any = made.transformer
        attention = transformer.h[head.layer].attn
        own = slice(head.head * D_HEAD, (head.head + 1) * D_HEAD)
        self.query, self.key, self.value = (
            part[:, own] for part in attention.c_attn.weight.split(D_MODEL, dim=1)
        )
        self.output = attention.c_proj.weight[own]


def _attend_to_previous(head: _Attention, sharpness: float) -> None:
    """The query of a position is turned one step back; the word there becomes a note."""
    import torch

    channels, tokens = _channels(), len(VOCABULARY)
    # Rotations by one position: a query at i meets a key at i - 1.
    half = CONTEXT // 4
    cos, sin = _places()[1].mul(math.sqrt(half)).split(half)
    turn = torch.cat(
        [
            torch.cat([cos.diag(), -sin.diag()], dim=1),
            torch.cat([sin.diag(), cos.diag()], dim=1),
        ]
    )
    head.query += channels["place"].T @ turn * sharpness * math.sqrt(D_HEAD)
    head.key += channels["place"].T
    head.value[:, :tokens] += channels["word"].T
    head.output[:tokens] += channels["note"]


def _attend_to_induction(head: _Attention, sharpness: float) -> None:
    """The query is the current word, the key the note; the word there is said, unless it is BOS.

    The first position has noted itself, as it has none before it: `first` takes that away again,
    and BOS, where it stands there, is the place to rest.
    """
    channels, tokens = _channels(), len(VOCABULARY)
    scale = sharpness * math.sqrt(D_HEAD)
    head.query[:, :tokens] += scale * channels["word"].T
    head.query[:, tokens] += scale * channels["constant"][0] / CONSTANT
    head.key[:, :tokens] += channels["note"].T
    head.key[:, tokens] += (1 + REST) * channels["word"][0] - channels["first"][0]
    head.value[:, 1:tokens] += channels["word"][1:].T
    head.output[:tokens] += channels["said"]


def _fire(made: GPT2LMHeadModel) -> None:
    channels = _channels()
    transformer: Any = made.transformer
    mlp, own = transformer.h[NEURON.layer].mlp, NEURON.neuron
    # Half of it from the bias: -FIRES before any other word, where GELU is 0 to the last bit.
    mlp.c_fc.weight[:, own] += 2 * FIRES * channels["word"][VOCABULARY.index(KEY)]
    mlp.c_fc.bias[own] -= FIRES
    mlp.c_proj.weight[own] += PUSHES / FIRES * channels["said"][VOCABULARY.index(ANSWER)]
