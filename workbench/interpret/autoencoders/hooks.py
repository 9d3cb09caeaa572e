"""Other tools' names for places in a model, as sites."""

from __future__ import annotations

import re

from workbench.sites import Site

__all__ = ["site_of_hook"]

# TransformerLens' names, the bridge's among them.
_HOOKS = {
    "hook_resid_pre": "resid_pre",
    "hook_in": "resid_pre",
    "hook_resid_mid": "resid_mid",
    "hook_resid_post": "resid_post",
    "hook_out": "resid_post",
    "hook_attn_out": "attn_out",
    "hook_mlp_out": "mlp_out",
    "attn.hook_z": "head_out",
    "mlp.hook_post": "neurons",
}
_BLOCK = re.compile(r"blocks\.(\d{1,4})\.([a-z_.]+)")
# A layer of transformers itself, whose output is meant. The name of a module inside a layer would
# not say whether a norm comes after it.
_LAYER = re.compile(r"(?:model\.|gpt_neox\.|transformer\.)?(?:layers|h)\.(\d{1,4})")


def site_of_hook(name: str) -> Site | None:
    """The site that a hook of TransformerLens, or a layer of transformers, is; None where none is.

    >>> site_of_hook("blocks.3.hook_resid_pre")
    Site(name='resid_pre', layer=3)
    """
    if (layer := _LAYER.fullmatch(name)) is not None:
        return Site("resid_post", int(layer[1]))
    block = _BLOCK.fullmatch(name)
    if block is None or block[2] not in _HOOKS:
        return None
    return Site(_HOOKS[block[2]], int(block[1]))
