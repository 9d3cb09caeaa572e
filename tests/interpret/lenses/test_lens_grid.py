"""A lens over a text: its last layer is the model's own answer, and each cell plain HF's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hand_built as known
import pytest
import torch

from workbench.errors import InputError
from workbench.interpret.lenses.lens_grid import lens_grid

if TYPE_CHECKING:
    import pandas as pd

    from workbench.model import Model

TEXT = "one nurse said that"


def grid_of(model: Model, text: str = TEXT) -> pd.DataFrame:
    return lens_grid(model, text).cells.frame().set_index(["layer", "position"])


def test_the_last_layer_is_what_each_family_says_itself(family: Model) -> None:
    found = lens_grid(family, TEXT, k=3)
    ids = torch.tensor([family.tokenizer(TEXT).input_ids])
    with torch.no_grad():
        own = family.plain()(ids).logits[0].float().softmax(dim=-1)
    cells = found.cells.frame()
    assert cells["layer"].unique().tolist() == list(range(family.n_layers + 1))
    last = cells[cells["layer"] == family.n_layers]
    assert last["kl"].tolist() == [0.0] * len(ids[0])
    assert last["chosen_rank"].tolist() == [1] * len(ids[0])
    top = found.top.frame()
    best = top[top["layer"] == family.n_layers]["probability"].to_numpy()
    # exp(log_softmax) against softmax: the same logits, rounded in another order.
    assert best == pytest.approx(own.topk(3).values.flatten().numpy(), rel=1e-6)
    says = family.tokenizer.batch_decode(own.argmax(dim=-1)[:, None])
    assert last["best"].tolist() == says


@pytest.mark.parametrize("name", ["random_gpt2", "random_llama"])
def test_every_cell_is_that_of_plain_hugging_face(
    name: str, request: pytest.FixtureRequest
) -> None:
    model: Model = request.getfixturevalue(name)
    ids = torch.tensor([model.tokenizer(TEXT).input_ids])
    followed = model.tokenizer.convert_tokens_to_ids("h")
    cells = lens_grid(model, TEXT, token=followed).cells.frame()
    network = model.plain()
    with torch.no_grad():
        states = network(ids, output_hidden_states=True).hidden_states
        norm = network.get_submodule({"random_gpt2": "transformer.ln_f"}.get(name, "model.norm"))
        heads = [norm(state) for state in states[:-1]] + [states[-1]]
        logits = torch.stack([network.get_output_embeddings()(state)[0] for state in heads])
    shares = logits.double().softmax(dim=-1)
    entropy = -(shares * shares.log()).sum(dim=-1)
    kl = (shares[-1] * (shares[-1] / shares).log()).sum(dim=-1)
    order = logits.argsort(dim=-1, descending=True)
    rank = (order == followed).int().argmax(dim=-1) + 1
    expected = {
        "probability": shares.amax(dim=-1),
        "entropy": entropy,
        "kl": kl,
        "chosen_probability": shares[..., followed],
    }
    for column, values in expected.items():
        assert cells[column].to_numpy() == pytest.approx(values.flatten().numpy(), abs=1e-5)
    assert cells["chosen_rank"].tolist() == rank.flatten().tolist()
    assert set(cells["chosen"]) == {"h"}


def test_the_answer_appears_after_the_layer_that_copies_it(hand_built: Model) -> None:
    """The induction head says the word in layer 1; before, there is nothing to be read."""
    assert known.INDUCTION.layer == 1
    said = known.SAID
    found = lens_grid(hand_built, said.clean, token=said.answer)
    last = found.cells.frame().query("position == position.max()").set_index("layer")
    assert last["best"][[2, 3]].tolist() == [said.answer.strip()] * 2
    assert (last["chosen_probability"][[2, 3]] > 0.99).all()
    assert (last["chosen_probability"][[0, 1]] < 0.1).all()
    assert last["chosen_rank"][[2, 3]].tolist() == [1, 1]


def test_the_most_likely_tokens_stand_in_order(planted: Model) -> None:
    top = lens_grid(planted, TEXT, k=4).top.frame()
    assert top["rank"].tolist() == [1, 2, 3, 4] * (len(top) // 4)
    for _, cell in top.groupby(["layer", "position"]):
        assert cell["probability"].is_monotonic_decreasing


def test_a_long_text_is_read_in_blocks(
    random_llama: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = grid_of(random_llama)
    monkeypatch.setattr("workbench.interpret.lenses.lens_grid.LOGITS_AT_ONCE", 1)
    blocks = grid_of(random_llama)
    for column in ("probability", "entropy", "kl"):
        assert blocks[column].tolist() == pytest.approx(whole[column].tolist(), abs=1e-5)
    assert blocks["best"].tolist() == whole["best"].tolist()


def test_the_grid_can_be_drawn_and_says_what_it_is(planted: Model) -> None:
    found = lens_grid(planted, TEXT)
    assert found.cells.figure().data
    assert found.cells.provenance["weights_digest"] == planted.provenance.weights_digest
    assert found.cells.provenance["sites"][:2] == ["resid_pre.0", "resid_post.0"]
    assert found.cells.provenance["method"] == "logit lens"


def test_broken_weights_leave_their_cells_undefined(broken_gpt2: Model) -> None:
    found = lens_grid(broken_gpt2, TEXT, token=5)
    cells = found.cells.frame()
    last = cells["layer"] == 2
    for column in ("best", "probability", "entropy", "kl", "chosen_probability", "chosen_rank"):
        assert cells[column][last].isna().all()
    assert cells["probability"][~last].notna().all()
    assert set(found.top.frame()["layer"]) == {0, 1}


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "empty text"),
        ("nurse " * 200, {}, "the model's context has 128"),
        (TEXT, {"k": 0}, "got k=0; expected from 1 to"),
        (TEXT, {"k": 10_000}, "the size of the vocabulary"),
        (TEXT, {"token": " he she"}, r"expected one token .* it is \[' he', ' she'\]"),
        (TEXT, {"token": ""}, "expected one token"),
        (TEXT, {"token": -1}, "got token -1; ids go from 0 to"),
    ],
)
def test_what_cannot_be_read_is_refused(
    random_llama: Model, text: str, options: dict[str, int | str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        lens_grid(random_llama, text, **options)  # type: ignore[arg-type]
