"""A lens over a text: what would be said next after each layer, at each position.

Through the logit lens (nostalgebraist 2020, "interpreting GPT: the logit lens"), or through a tuned
lens (Belrose et al. 2023, arXiv 2303.08112).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any

from workbench.batches import in_batches
from workbench.errors import InputError
from workbench.forward import forward
from workbench.interpret.lenses.stream import (
    LOGITS_AT_ONCE,
    divergence,
    log_probabilities,
    stream_sites,
)
from workbench.tables import Chart, Result
from workbench.tokens import encode, token_texts

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch

    from workbench.interpret.lenses.translators import TunedLens
    from workbench.model import Model

__all__ = ["LensGrid", "lens_grid"]


@dataclass(frozen=True)
class LensGrid:
    """What `lens_grid` gives.

    Attributes:
        cells: one row per layer and position: `layer` (0 is the embedding), `position`, `token`
            (what stands there), `best` (what would be said next) and its `probability`, `entropy`
            and `kl` (from the model's own distribution) in nats; `chosen`, its
            `chosen_probability` and `chosen_rank` (1 is the most likely).
        top: the most likely tokens of each cell: `layer`, `position`, `rank`, `token`,
            `probability`.
    """

    cells: Result
    top: Result


def lens_grid(
    model: Model,
    text: str,
    *,
    k: int = 5,
    token: str | int | None = None,
    lens: TunedLens | None = None,
) -> LensGrid:
    """What would be said next, after each layer and at each position of a text.

    The last layer is the model's own answer.

    Args:
        model: a loaded model.
        text: a prompt.
        k: most likely tokens of each cell.
        token: whose probability and rank are followed: a text that would follow the prompt (one
            token, with its leading space) or an id. None follows, at each position, what the model
            says there in the end.
        lens: a tuned lens to look through. None is the logit lens.

    Raises:
        InputError: for a text that is empty or too long, a `k` that is no count of tokens, a token
            that is not one token of this model.
    """
    import torch

    if lens is not None:
        lens.require(model)
    ids = encode(model, text)
    vocabulary = _vocabulary(model)
    if not 1 <= k <= vocabulary:
        raise InputError(f"got k={k}; expected from 1 to {vocabulary}, the size of the vocabulary.")
    followed = None if token is None else _one_token(model, text, ids, token)
    with torch.no_grad():
        found = _read_cells(model, ids, followed, k, lens)
    provenance = {
        "weights_digest": model.provenance.weights_digest,
        "method": "logit lens" if lens is None else "tuned lens",
        "sites": list(map(str, stream_sites(model))),
        "text": text,
        "k": k,
        "followed": "the model's own answer" if followed is None else token,
        "lens": None if lens is None else lens.record.weights_sha256,
    }
    says = _texts(model, [ids, found["top"].flatten().tolist(), found["chosen"].flatten().tolist()])
    cells, top = _rows(ids, found, says)
    return LensGrid(
        Result.of("lens_grid", cells, provenance, _grid_chart(text)),
        Result.of("lens_top", top, provenance),
    )


def _read_cells(
    model: Model, ids: list[int], followed: int | None, k: int, lens: TunedLens | None
) -> dict[str, torch.Tensor]:
    """What is read of each cell `[layer, position, ...]`."""
    import torch

    sites = stream_sites(model)
    values = forward(model, torch.tensor([ids], device=model.device), read=sites).values
    stream = [values[site] for site in sites]

    def block(part: slice) -> dict[str, torch.Tensor]:
        final = log_probabilities(model, stream[-1][:, part])
        chosen = final.argmax(dim=-1)
        if followed is not None:
            chosen = torch.full_like(chosen, followed)
        layers = []
        for layer, residual in enumerate(stream):
            seen = residual[:, part]
            read = log_probabilities(model, seen if lens is None else lens(layer, seen))
            layers.append(_measures(read, final, chosen, k))
        return {name: torch.cat([one[name] for one in layers]).cpu() for name in layers[0]}

    size = max(1, LOGITS_AT_ONCE // _vocabulary(model))
    blocks = [done for _, done in in_batches(block, len(ids), size)]
    return {name: torch.cat([one[name] for one in blocks], dim=1) for name in blocks[0]}


def _measures(
    read: torch.Tensor, final: torch.Tensor, chosen: torch.Tensor, k: int
) -> dict[str, torch.Tensor]:
    best = read.topk(k, dim=-1)
    own = read.gather(-1, chosen[..., None])
    return {
        "top": best.indices,
        "probabilities": best.values.exp(),
        "entropy": -(read.exp() * read).sum(dim=-1),
        "kl": divergence(final, read),
        "chosen": chosen,
        "chosen_probability": own[..., 0].exp(),
        "chosen_rank": (read > own).sum(dim=-1) + 1,
    }


def _rows(
    ids: list[int], found: dict[str, torch.Tensor], says: dict[int, str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of the cells and of their most likely tokens; what is not a number is missing."""
    read = {name: values.tolist() for name, values in found.items()}
    cells, top = [], []
    for layer in range(len(read["entropy"])):
        for position, token in enumerate(ids):
            cell = {name: values[layer][position] for name, values in read.items()}
            place = {"layer": layer, "position": position}
            best = cell["probabilities"][0]
            # A broken weight leaves no distribution, and so no order either.
            defined = not isnan(best)
            cells.append(
                {
                    **place,
                    "token": says[token],
                    "best": says[cell["top"][0]] if defined else None,
                    "probability": best,
                    "entropy": cell["entropy"],
                    "kl": cell["kl"],
                    "chosen": says[cell["chosen"]],
                    "chosen_probability": cell["chosen_probability"],
                    "chosen_rank": cell["chosen_rank"] if defined else None,
                }
            )
            ranked = zip(cell["top"], cell["probabilities"], strict=True) if defined else ()
            top += [
                {**place, "rank": rank, "token": says[one], "probability": probability}
                for rank, (one, probability) in enumerate(ranked, 1)
            ]
    return cells, top


def _one_token(model: Model, text: str, ids: list[int], token: str | int) -> int:
    if isinstance(token, int):
        if not 0 <= token < _vocabulary(model):
            raise InputError(f"got token {token}; ids go from 0 to {_vocabulary(model) - 1}.")
        return token
    whole = encode(model, text + token)
    after = whole[len(ids) :] if whole[: len(ids)] == ids else []
    if len(after) != 1:
        cut = (
            f"it is {token_texts(model, after)}" if after else "it changes the prompt's own tokens"
        )
        raise InputError(
            f'got the token "{token}"; expected one token of this model, and after the prompt '
            f"{cut}. Begin it with a space where a word begins, or pass an id."
        )
    return after[0]


def _vocabulary(model: Model) -> int:
    return int(model.provenance.vocabulary)


def _texts(model: Model, several: Iterable[list[int]]) -> dict[int, str]:
    """Each token's text, decoded once."""
    ids = sorted({token for some in several for token in some})
    return dict(zip(ids, token_texts(model, ids), strict=True))


def _grid_chart(text: str) -> Chart:
    return Chart(
        kind="heatmap",
        options={
            "x": "position",
            "y": "layer",
            "value": "probability",
            "x_text": "token",
            "text": "best",
            "midpoint": None,
            "title": "What would be said next, after each layer",
            "x_title": "position",
            "y_title": "layers run (0: the embedding)",
            "scale_title": "probability",
            "alt": f"The most likely next token after each layer, at each position of: {text}",
        },
    )
