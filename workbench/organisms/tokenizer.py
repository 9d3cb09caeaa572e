"""The tokenizer of the small world: byte-level BPE in which every word of the world is one token.

Any text can be encoded (unknown words fall back to their bytes), a document starts with one BOS,
and prompts that differ in one word have equal length, as comparisons of activations need.
"""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING

from workbench.organisms.grammar import PLANTED, documents

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["build_tokenizer"]

BOS, EOS, PAD = "<s>", "</s>", "<pad>"
CONTEXT = 128
SAMPLED_DOCUMENTS = 20_000


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The world's tokenizer, the same on every call."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4096,  # never reached: merging stops when every word is one token
        min_frequency=1,
        special_tokens=[BOS, EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_words(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A",
        pair=f"{BOS} $A {BOS} $B",
        special_tokens=[(BOS, tokenizer.token_to_id(BOS))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def _words() -> list[str]:
    """Every word that the world's documents contain, once, in a fixed order."""
    sample = documents(Random(0), Random(0), PLANTED, count=SAMPLED_DOCUMENTS)
    return sorted({word for pair in sample for word in re.findall(r" ?[^ ]+", "".join(pair))})
