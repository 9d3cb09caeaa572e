"""Completions: what a model writes after a text, under an intervention or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import InputError
from workbench.forward import forward
from workbench.tokens import encode

if TYPE_CHECKING:
    from workbench.model import Model

__all__ = ["complete"]


def complete(
    model: Model, text: str, *, tokens: int = 20, temperature: float = 0.0, seed: int = 0
) -> str:
    """What the model writes after a text. It is untrusted text: escape it where it is shown.

    Every token is computed from the whole text again, so that all families and interventions give
    what a single pass gives; meant for short completions.

    Args:
        model: a loaded model, steered or not.
        text: what it continues.
        tokens: how many at most; it ends earlier where the model says the end, or the context does.
        temperature: 0 for the likeliest token each time.
        seed: of the drawing, where the temperature is above 0.

    Raises:
        InputError: for an empty text, fewer than one token, a temperature below 0.
    """
    import torch

    if tokens < 1 or not temperature >= 0:
        raise InputError(
            f"got tokens={tokens}, temperature={temperature}; expected at least one token and a "
            "temperature of 0 or above."
        )
    generator = torch.Generator().manual_seed(seed)
    ids = encode(model, text)
    written: list[int] = []
    limit = min(tokens, (model.context_length or len(ids) + tokens) - len(ids) + 1)
    while len(written) < limit:
        with torch.no_grad():
            given = forward(
                model, torch.tensor([ids + written], device=model.device), logits="last"
            ).logits
        assert given is not None
        logits = given[0, -1].float().cpu()
        if temperature == 0:
            token = int(logits.argmax())
        else:
            chances = torch.softmax(logits / temperature, dim=-1)
            token = int(torch.multinomial(chances, 1, generator=generator))
        if token == model.tokenizer.eos_token_id:
            break
        written.append(token)
    return str(model.tokenizer.decode(written))
