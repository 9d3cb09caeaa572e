"""The sweep: on every architecture the same results as full passes with hooks, by any way."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from transformers.activations import NewGELUActivation

from workbench.forward import forward
from workbench.interpret.pairs import EncodedPairs, MinimalPair, encode_pairs, logit_difference
from workbench.interpret.patching import sweep as sweeping
from workbench.interpret.patching.fused import fused_activations
from workbench.interpret.patching.patch import patching_effects
from workbench.interpret.patching.sweep import WAYS, WHOLE, Sweep
from workbench.interpret.readout import Readout
from workbench.model import load
from workbench.sites import Site

if TYPE_CHECKING:
    from workbench.model import Model

# Layers that read what earlier layers put aside cannot be run alone.
NOT_ALONE = {"gemma4_text_per_layer", "glm_moe_dsa"}
RECURRENT = {"qwen3_next"}


def random_pairs(
    changed: tuple[int, ...] = (3, 5), length: int = 9, count: int = 3
) -> EncodedPairs:
    generator = torch.Generator().manual_seed(0)
    clean = torch.randint(1, 250, (count, length), generator=generator)
    corrupted = clean.clone()
    corrupted[:, list(changed)] = (corrupted[:, list(changed)] + 7) % 250
    return EncodedPairs(
        clean=clean,
        corrupted=corrupted,
        answers=torch.tensor([10, 20, 30][:count]),
        foils=torch.tensor([40, 50, 60][:count]),
        labels=tuple(str(at) for at in range(length)),
        changed=changed,
    )


def by_hooks(model: Model, pairs: EncodedPairs, site: str, head: int | None = None) -> torch.Tensor:
    """The result of each patch by a pass of its own `[layer, pos, pair]`."""
    rows = []
    with torch.no_grad():
        for layer, position in product(range(model.n_layers), range(pairs.clean.shape[1])):
            place = Site(site, layer)
            clean = forward(model, pairs.clean, read=[place]).values[place]

            def put(value: torch.Tensor, clean: Any = clean, position: int = position) -> Any:
                value = value.clone()
                where = (slice(None), position) if head is None else (slice(None), position, head)
                value[where] = clean[where]
                return value

            run = forward(model, pairs.corrupted, edit={place: put}, logits="last")
            assert run.logits is not None
            rows.append(logit_difference(run.logits, pairs))
    return torch.stack(rows).view(model.n_layers, pairs.clean.shape[1], -1)


@pytest.mark.parametrize("site", ["resid_pre", "attn_out", "mlp_out"])
def test_every_family_gives_what_hooks_give(family: Model, family_name: str, site: str) -> None:
    pairs = random_pairs()
    effects = patching_effects(family, pairs, site)
    with torch.no_grad():
        corrupted = logit_difference(family.hf(pairs.corrupted).logits, pairs)
        clean = logit_difference(family.hf(pairs.clean).logits, pairs)
    expected = by_hooks(family, pairs, site) - corrupted
    found = torch.from_numpy(effects.gained)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(
        torch.from_numpy(effects.effect), clean - corrupted, rtol=0, atol=1e-4
    )
    way = effects.provenance["way"]
    if family_name in NOT_ALONE:
        assert way == WHOLE.name
    elif family_name in RECURRENT:
        assert way == "from the patched layer on"
    else:
        assert way == WAYS[0].name
    assert effects.provenance["difference_from_full_passes"] < 1e-4


def test_heads_of_every_family(family: Model) -> None:
    pairs = random_pairs(count=2)
    pairs = replace(pairs, answers=pairs.answers[:2], foils=pairs.foils[:2])
    effects = patching_effects(family, pairs, "head_out", by="head and position")
    with torch.no_grad():
        corrupted = logit_difference(family.hf(pairs.corrupted).logits, pairs)
    layers = [n for n in range(family.n_layers) if "head_out" in family.anatomy.sites_of(n)]
    missing = [n for n in range(family.n_layers) if n not in layers]
    assert bool(missing) == (effects.gained[missing] != effects.gained[missing]).any()
    if missing:
        return  # a layer without heads: the hooks below have none either
    expected = by_hooks(family, pairs, "head_out", head=1) - corrupted
    found = torch.from_numpy(effects.gained[:, 1])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("way", [*WAYS, WHOLE])
def test_every_way_gives_the_same(
    random_llama: Model, monkeypatch: pytest.MonkeyPatch, way: sweeping.Way
) -> None:
    pairs = random_pairs()
    expected = by_hooks(random_llama, pairs, "resid_pre")
    monkeypatch.setattr(sweeping, "WAYS", () if way is WHOLE else (way,))
    readout = Readout.of(pairs)
    sweep = Sweep(random_llama, readout)
    assert sweep.way == way
    clean = torch.stack(sweep.stream(readout.clean)[:-1])
    found = sweep.patched(clean, range(random_llama.n_layers)).detach()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["gpt2_directory", "llama_directory"])
def test_half_precision_gives_what_its_own_full_passes_give(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(request.getfixturevalue(name), dtype="bfloat16", reuse=False)
    found = patching_effects(model, random_pairs(), "resid_pre")
    assert found.provenance["way"] == WAYS[0].name
    monkeypatch.setattr(sweeping, "WAYS", ())
    expected = patching_effects(model, random_pairs(), "resid_pre")
    np.testing.assert_allclose(found.gained, expected.gained, atol=0.01)


def test_activations_are_as_they_were_afterwards(random_gpt2: Model) -> None:
    """And one kernel gives what transformers' formula gives."""
    activations = [m for m in random_gpt2.hf.modules() if type(m) is NewGELUActivation]
    assert activations
    value = torch.linspace(-6, 6, 1001)
    expected = activations[0](value)
    with fused_activations(random_gpt2.anatomy.layers):
        fused = activations[0](value)
        assert "forward" in vars(activations[0])
    torch.testing.assert_close(fused, expected, rtol=0, atol=1e-6)
    assert not any("forward" in vars(module) for module in activations)


def test_a_way_that_gives_other_results_is_not_taken(
    random_llama: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here keys and values are cut off one position too early."""
    honest = sweeping.Recording.layer

    def wrong(self: Any, number: int, hidden: Any, runs: Any, start: int) -> Any:
        return honest(self, number, hidden * (1.01 if start else 1), runs, start)

    monkeypatch.setattr(sweeping.Recording, "layer", wrong)
    effects = patching_effects(random_llama, random_pairs(), "resid_pre")
    assert effects.provenance["way"] == "from the patched layer on"


def test_nothing_runs_where_the_prompts_agree(
    random_llama: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first changed token no cell differs, and of layer 0 only changed tokens do."""
    readout = Readout.of(random_pairs(changed=(4,)))
    sweep = Sweep(random_llama, readout)
    clean = torch.stack(sweep.stream(readout.clean)[:-1])
    ran: list[tuple[int, int, int]] = []
    honest = Sweep._run

    def counted(self: Sweep, column: Any, layers: range, rows: Any) -> Any:
        ran.extend((layers[index], column.start, len(runs)) for index, runs in rows)
        return honest(self, column, layers, rows)

    monkeypatch.setattr(Sweep, "_run", counted)
    sweep.patched(clean, range(2))
    assert sorted(ran) == [(0, 4, 3), *((1, at, 3) for at in range(4, 9))]


def test_patching_everything_restores_the_clean_run(family: Model) -> None:
    readout = Readout.of(random_pairs())
    sweep = Sweep(family, readout)
    clean = sweep.stream(readout.clean)
    everything = torch.arange(3)
    with torch.no_grad():
        expected = readout.score(family.anatomy, clean[-1][:, -1:], everything)
        layers = family.n_layers
        found = sweep.patched_together(torch.stack(clean[:layers]), range(layers))
        nothing = sweep.patched_together(torch.stack(sweep.entered[:layers]), range(layers))
    assert torch.equal(nothing, sweep.corrupted.expand(layers, -1))
    for layer in range(layers):
        reads_more = hasattr(family.anatomy.layers[layer], "per_layer_input_gate") or getattr(
            family.anatomy.part(layer, "self_attn"), "skip_topk", False
        )
        if not reads_more:
            torch.testing.assert_close(found[layer], expected, rtol=0, atol=1e-4)


def test_answers_of_several_tokens_are_measured_in_full(random_gpt2: Model) -> None:
    """Against the log-probabilities of a plain pass over prompt and answer."""
    pairs = encode_pairs(
        random_gpt2,
        [
            MinimalPair("the nurse said that", "the nurse that that", " xylophone", " he"),
            MinimalPair("the nurse that that", "the nurse said that", " he", " she was here"),
        ],
        answers="sum",
    )
    effects = patching_effects(random_gpt2, pairs, "resid_pre")

    def in_full(prompts: torch.Tensor) -> list[float]:
        totals = []
        assert pairs.whole is not None
        for prompt, (answer, foil) in zip(prompts.tolist(), pairs.whole, strict=True):
            two = []
            for ids in (answer, foil):
                tokens = torch.tensor([[*prompt, *ids]])
                with torch.no_grad():
                    scores = random_gpt2.hf(tokens).logits[0].log_softmax(-1)
                at = range(len(prompt) - 1, len(prompt) - 1 + len(ids))
                two.append(sum(float(scores[p, t]) for p, t in zip(at, ids, strict=True)))
            totals.append(two[0] - two[1])
        return totals

    expected = torch.tensor(in_full(pairs.clean)) - torch.tensor(in_full(pairs.corrupted))
    torch.testing.assert_close(torch.from_numpy(effects.effect), expected, rtol=0, atol=1e-4)
    (changed,) = pairs.changed
    # Giving the changed word its embedding back gives everything back.
    torch.testing.assert_close(
        torch.from_numpy(effects.gained[0, changed]), expected, rtol=0, atol=1e-4
    )
    assert effects.provenance["answers"] == "log-probability of all tokens"
