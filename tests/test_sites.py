"""Sites: names that mean the same place in every architecture."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InputError
from workbench.sites import VOCABULARY, Site, expand_sites

sites = st.builds(Site, st.sampled_from(sorted(VOCABULARY)), st.integers(-9, 9))


@given(sites)
def test_a_site_reads_back_from_its_text(site: Site) -> None:
    assert Site.parse(str(site)) == site


@given(sites, st.integers(10, 40))
def test_a_layer_from_the_end_is_one_from_the_start(site: Site, n_layers: int) -> None:
    found = site.at(n_layers)
    assert 0 <= found.layer < n_layers
    assert (found.layer - site.layer) % n_layers == 0


def test_an_unknown_name_is_refused_with_the_closest() -> None:
    with pytest.raises(InputError, match=r'no site "resid_pots".* Did you mean "resid_post"'):
        Site("resid_pots", 0)


@pytest.mark.parametrize("layer", [-5, 4, 100])
def test_a_layer_that_is_not_there_is_refused_with_the_range(layer: int) -> None:
    with pytest.raises(InputError, match="this model has layers 0 to 3; pass -1 for the last"):
        Site("resid_post", layer).at(4)


@pytest.mark.parametrize("text", ["resid_post", "resid_post.", "resid_post.x", "3", ".3", ""])
def test_a_text_that_names_no_site_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"expected a name and a layer|There is no site"):
        Site.parse(text)


def test_a_name_alone_means_every_layer() -> None:
    assert [str(site) for site in expand_sites("pattern", 3)] == [
        "pattern.0",
        "pattern.1",
        "pattern.2",
    ]


def test_sites_come_in_the_order_of_a_forward_pass_and_once_each() -> None:
    found = expand_sites(["mlp_out.1", Site("resid_pre", 1), "q.-1", "resid_post.0", "mlp_out"], 2)
    assert [str(site) for site in found] == [
        "mlp_out.0",
        "resid_post.0",
        "resid_pre.1",
        "q.1",
        "mlp_out.1",
    ]


def test_no_site_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="got no site"):
        expand_sites([], 2)
