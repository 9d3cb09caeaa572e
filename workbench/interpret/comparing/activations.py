"""Two checkpoints side by side: where inside do their activations differ, on the same texts?

A checkpoint before and after training on something, an organism and its twin, a model and its copy
with one direction removed: whatever has the same parts and the same tokenizer.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import InputError
from workbench.forward import sites_in
from workbench.interpret.by_layer import lines_by_layer
from workbench.interpret.comparing.alike import provenance_of_both, require_alike, values_of_both
from workbench.interpret.comparing.cka import linear_cka
from workbench.interpret.reading import over_encoded
from workbench.interpret.text_sums import TextSums
from workbench.tables import Result
from workbench.tokens import encode_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import torch
    from numpy.typing import NDArray

    from workbench.interpret.reading import Batch
    from workbench.model import Model
    from workbench.sites import Site
    from workbench.stats import Estimate

    Floats = NDArray[np.float64]

__all__ = ["SITES", "Differences", "compare_activations"]

SITES = ("resid_post", "attn_out", "mlp_out")
CKA_TOKENS = 1024
VALUES_HELD = 100_000_000


@dataclass(frozen=True)
class Differences:
    """What `compare_activations` gives: one row per site and layer in each.

    Attributes:
        cosine: of the two values of a token, mean over tokens.
        distance: of the second value from the first as a share of the first's length, mean over
            tokens.
        alignment: linear CKA, which a rotation of the axes leaves at 1.
    """

    cosine: Result
    distance: Result
    alignment: Result


def compare_activations(
    first: Model,
    second: Model,
    texts: Iterable[str],
    *,
    sites: Sequence[str] = SITES,
    seed: int = 0,
) -> Differences:
    """How far apart two checkpoints' activations are, layer by layer, on the same texts.

    Args:
        first: what is compared with.
        second: with the same parts and the same tokenizer.
        texts: read by both.
        sites: names of sites whose value is one vector a token.
        seed: of the tokens that the alignment is measured on, where there are more than
            `CKA_TOKENS`.

    Raises:
        InputError: for models that are not alike (what differs is named), texts that cannot be
            read, or a site with more than one vector a token.
        ModelError: where no layer has a site.
    """
    require_alike(first, second)
    encoded = encode_all(first, texts)
    places = [site for name in sites for site in sites_in(first, name)]
    picked = _picked([len(ids) for ids in encoded], seed)
    found = _Found()
    for some in _few(places, first.hf.config.get_text_config().hidden_size):
        found.read((first, second), encoded, some, picked)
    provenance = provenance_of_both(first, second, "activations of two checkpoints") | {
        "sites": [str(site) for site in places],
        "texts": len(encoded),
        "tokens": sum(map(len, encoded)),
        "alignment_tokens": sum(map(len, picked.values())),
        "seed": seed,
    }
    cosine = {site: total.means((-1, 1)).item() for site, total in found.cosine.items()}
    distance = {site: total.means((0, np.inf)).item() for site, total in found.distance.items()}
    return Differences(
        _result("cosine", ("Direction of the activations", "cosine"), cosine, provenance),
        _result(
            "distance",
            ("Distance of the activations", "share of the first's length"),
            distance,
            provenance,
        ),
        _result(
            "alignment", ("Alignment of the activations", "linear CKA"), found.alignment, provenance
        ),
    )


class _Found:
    """Sums over tokens for each site, and the vectors of the tokens that are aligned."""

    def __init__(self) -> None:
        self.cosine: dict[Site, TextSums] = defaultdict(TextSums)
        self.distance: dict[Site, TextSums] = defaultdict(TextSums)
        self.alignment: dict[Site, Estimate] = {}

    def read(
        self,
        models: tuple[Model, Model],
        encoded: Sequence[Sequence[int]],
        sites: Sequence[Site],
        picked: Mapping[int, Sequence[int]],
    ) -> None:
        """Some sites, on all texts."""
        texts: list[int] = []
        vectors: dict[Site, list[tuple[Floats, Floats]]] = defaultdict(list)

        def work(batch: Batch) -> list[_Compared]:
            one, other = values_of_both(*models, batch.tokens, sites)
            rows = [row for row, number in enumerate(batch.numbers) for _ in picked[number]]
            positions = [at for number in batch.numbers for at in picked[number]]
            return [_compared(one[site], other[site], (rows, positions)) for site in sites]

        for batch, found in over_encoded(models[0], encoded, work):
            texts += [number for number in batch.numbers for _ in picked[number]]
            for site, compared in zip(sites, found, strict=True):
                self.cosine[site].add_tokens(compared.cosine)
                self.distance[site].add_tokens(compared.distance)
                vectors[site].append(compared.picked)
        for site in sites:
            one, other = (np.concatenate(part) for part in zip(*vectors.pop(site), strict=True))
            self.alignment[site] = linear_cka(one, other, texts)


@dataclass(frozen=True)
class _Compared:
    """One site of a batch: by token `[text, pos]`, and the picked tokens' vectors."""

    cosine: Floats
    distance: Floats
    picked: tuple[Floats, Floats]


def _compared(
    first: torch.Tensor, second: torch.Tensor, picked: tuple[list[int], list[int]]
) -> _Compared:
    if first.ndim != 3:  # noqa: PLR2004 - [text, pos, d]
        raise InputError(
            f"got a site whose value has the axes {list(first.shape)}; expected one vector for "
            f"each token, as of {', '.join(SITES)}."
        )
    one, other = (np.asarray(value.float().cpu(), dtype=float) for value in (first, second))
    product = (one * other).sum(axis=-1)
    lengths = (one**2).sum(axis=-1), (other**2).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _Compared(
            cosine=product / np.sqrt(lengths[0] * lengths[1]),
            distance=np.sqrt(((other - one) ** 2).sum(axis=-1) / lengths[0]),
            picked=(one[picked].astype(np.float32), other[picked].astype(np.float32)),
        )


def _picked(lengths: Sequence[int], seed: int) -> dict[int, list[int]]:
    """The positions of each text on which the alignment is measured."""
    tokens = [(text, at) for text, length in enumerate(lengths) for at in range(length)]
    if len(tokens) > CKA_TOKENS:
        drawn = np.random.default_rng(seed).choice(len(tokens), CKA_TOKENS, replace=False)
        tokens = [tokens[place] for place in sorted(drawn.tolist())]
    picked: dict[int, list[int]] = {text: [] for text in range(len(lengths))}
    for text, at in tokens:
        picked[text].append(at)
    return picked


def _few(sites: Sequence[Site], width: int) -> Iterator[Sequence[Site]]:
    """As many sites at once as may be held; the texts are read once for each lot."""
    size = max(1, VALUES_HELD // (2 * CKA_TOKENS * width))
    return (sites[start : start + size] for start in range(0, len(sites), size))


def _result(
    name: str, words: tuple[str, str], found: Mapping[Site, Estimate], provenance: dict[str, Any]
) -> Result:
    rows = [
        {"site": site.name, "layer": site.layer, **estimate.row()}
        for site, estimate in sorted(
            found.items(), key=lambda entry: (entry[0].name, entry[0].layer)
        )
    ]
    return Result.of(f"checkpoint_{name}", rows, provenance, lines_by_layer("site", *words))
