"""Looking inside: every method by its name, imported when it is first used.

`from workbench.interpret import patching_map` needs no knowledge of where it is written.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.interpret.attention.head_scores import head_scores
    from workbench.interpret.attention.patterns import attention_pattern
    from workbench.interpret.attribution.direct import attribute
    from workbench.interpret.autoencoders.features import feature_frequencies, features_on_texts
    from workbench.interpret.autoencoders.files import load_sae
    from workbench.interpret.autoencoders.loss import loss_recovered
    from workbench.interpret.autoencoders.reconstruction import reconstruction
    from workbench.interpret.certificate.fidelity import fidelity, require_faithful
    from workbench.interpret.comparing.activations import compare_activations
    from workbench.interpret.comparing.predictions import compare_predictions
    from workbench.interpret.comparing.weights import compare_weights
    from workbench.interpret.examples.features import Feature, direction, head, neuron
    from workbench.interpret.examples.top import top_examples
    from workbench.interpret.intervening.ablate import ablate
    from workbench.interpret.intervening.completion import complete
    from workbench.interpret.intervening.components import components
    from workbench.interpret.intervening.contrast import (
        Contrast,
        difference_of_means,
        differences_of_means,
    )
    from workbench.interpret.intervening.derived import save_checkpoint
    from workbench.interpret.intervening.directions import Direction, random_direction
    from workbench.interpret.intervening.interventions import ablated, steered
    from workbench.interpret.intervening.orthogonalise import orthogonalise
    from workbench.interpret.intervening.replacement import Replacement
    from workbench.interpret.intervening.steer import direction_ablation, dose_response
    from workbench.interpret.lenses.lens_comparison import compare_lenses
    from workbench.interpret.lenses.lens_grid import lens_grid
    from workbench.interpret.lenses.logit_lens import logit_lens
    from workbench.interpret.lenses.translators import load_tuned_lens
    from workbench.interpret.lenses.tuned_lens import fit_tuned_lens
    from workbench.interpret.locating import located, pull_probes, writing_layer
    from workbench.interpret.pairs import EncodedPairs, MinimalPair, encode_pairs
    from workbench.interpret.patching.attribution_patching import (
        attribution_effects,
        attribution_map,
        faithfulness,
    )
    from workbench.interpret.patching.patch import patching_effects, patching_map, strongest
    from workbench.interpret.probing.probe import linear_probes
    from workbench.interpret.routing.by_token import routing_by_token
    from workbench.interpret.routing.load import router_load

__all__ = [
    "Contrast",
    "Direction",
    "EncodedPairs",
    "Feature",
    "MinimalPair",
    "Replacement",
    "ablate",
    "ablated",
    "attention_pattern",
    "attribute",
    "attribution_effects",
    "attribution_map",
    "compare_activations",
    "compare_lenses",
    "compare_predictions",
    "compare_weights",
    "complete",
    "components",
    "difference_of_means",
    "differences_of_means",
    "direction",
    "direction_ablation",
    "dose_response",
    "encode_pairs",
    "faithfulness",
    "feature_frequencies",
    "features_on_texts",
    "fidelity",
    "fit_tuned_lens",
    "head",
    "head_scores",
    "lens_grid",
    "linear_probes",
    "load_sae",
    "load_tuned_lens",
    "located",
    "logit_lens",
    "loss_recovered",
    "neuron",
    "orthogonalise",
    "patching_effects",
    "patching_map",
    "pull_probes",
    "random_direction",
    "reconstruction",
    "require_faithful",
    "router_load",
    "routing_by_token",
    "save_checkpoint",
    "steered",
    "strongest",
    "top_examples",
    "writing_layer",
]

_HOME = {
    "Contrast": "intervening.contrast",
    "Direction": "intervening.directions",
    "EncodedPairs": "pairs",
    "Feature": "examples.features",
    "MinimalPair": "pairs",
    "Replacement": "intervening.replacement",
    "ablate": "intervening.ablate",
    "ablated": "intervening.interventions",
    "attention_pattern": "attention.patterns",
    "attribute": "attribution.direct",
    "attribution_effects": "patching.attribution_patching",
    "attribution_map": "patching.attribution_patching",
    "compare_activations": "comparing.activations",
    "compare_lenses": "lenses.lens_comparison",
    "compare_predictions": "comparing.predictions",
    "compare_weights": "comparing.weights",
    "complete": "intervening.completion",
    "components": "intervening.components",
    "difference_of_means": "intervening.contrast",
    "differences_of_means": "intervening.contrast",
    "direction": "examples.features",
    "direction_ablation": "intervening.steer",
    "dose_response": "intervening.steer",
    "encode_pairs": "pairs",
    "faithfulness": "patching.attribution_patching",
    "feature_frequencies": "autoencoders.features",
    "features_on_texts": "autoencoders.features",
    "fidelity": "certificate.fidelity",
    "fit_tuned_lens": "lenses.tuned_lens",
    "head": "examples.features",
    "head_scores": "attention.head_scores",
    "lens_grid": "lenses.lens_grid",
    "linear_probes": "probing.probe",
    "load_sae": "autoencoders.files",
    "load_tuned_lens": "lenses.translators",
    "located": "locating",
    "logit_lens": "lenses.logit_lens",
    "loss_recovered": "autoencoders.loss",
    "neuron": "examples.features",
    "orthogonalise": "intervening.orthogonalise",
    "patching_effects": "patching.patch",
    "patching_map": "patching.patch",
    "pull_probes": "locating",
    "random_direction": "intervening.directions",
    "reconstruction": "autoencoders.reconstruction",
    "require_faithful": "certificate.fidelity",
    "router_load": "routing.load",
    "routing_by_token": "routing.by_token",
    "save_checkpoint": "intervening.derived",
    "steered": "intervening.interventions",
    "strongest": "patching.patch",
    "top_examples": "examples.top",
    "writing_layer": "locating",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'workbench.interpret' has no attribute {name!r}")
    value = getattr(import_module(f"workbench.interpret.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
