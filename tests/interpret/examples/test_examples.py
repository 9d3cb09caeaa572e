"""Top examples: the neuron that fires on a known word, ends that do not depend on the order."""

from __future__ import annotations

import tracemalloc
from random import Random
from typing import TYPE_CHECKING, Any

import hand_built as known
import numpy as np
import pytest
import torch

from workbench.errors import InputError, ModelError
from workbench.interpret import reading
from workbench.interpret.examples.extremes import Extremes
from workbench.interpret.examples.features import Feature, direction, head, neuron
from workbench.interpret.examples.spread import Spread
from workbench.interpret.examples.top import top_examples
from workbench.interpret.reading import over_texts
from workbench.sites import Site
from workbench.tokens import encode, token_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.interpret.examples.top import Examples
    from workbench.model import Model

TEXTS = (
    "the nurse said that she",
    "the engineer said that he",
    "he said that the nurse said",
    "she said",
    "the engineer and the nurse",
)


def drawn(count: int, *, key: tuple[int, ...] = (), seed: int = 0) -> Iterator[str]:
    """Texts of the hand-built model's words; those numbered in `key` hold its key word."""
    random = Random(seed)
    others = [word for word in known.WORDS if word != known.KEY]
    for number in range(count):
        words = random.sample(others, random.randrange(3, 9))
        if number in key:
            words[random.randrange(len(words))] = known.KEY
        yield " ".join(words)


def end(found: Examples, which: str) -> Any:
    frame = found.examples.frame()
    return frame[frame["end"] == which]


# Known answers


def test_the_neurons_word_is_found(hand_built: Model) -> None:
    texts = list(drawn(60, key=(3, 17, 44)))
    found = top_examples(hand_built, texts, neuron(hand_built, *known.NEURON), count=5)
    top = end(found, "largest")
    assert top["token"].tolist()[:3] == [known.KEY] * 3
    assert set(top["text"][:3]) == {3, 17, 44}
    assert top["value"].tolist()[:3] == pytest.approx([known.FIRES] * 3, rel=0.01)
    assert top["value"].tolist()[3:] == [0, 0]
    for row in top.head(3).to_dict("records"):
        words = texts[row["text"]].split()
        assert words[row["position"] - 1] == known.KEY
        assert row["before"].split() == ["<s>", *words[: row["position"] - 1]]
        assert row["after"].split() == words[row["position"] :]
    statistics = found.distribution.frame().set_index("statistic")
    assert statistics.loc["largest", "estimate"] == pytest.approx(known.FIRES, rel=0.01)
    assert statistics.loc["median", ["estimate", "low", "high"]].tolist() == [0, 0, 0]
    tokens = sum(len(text.split()) + 1 for text in texts)
    above = statistics.loc["share above 0"]
    assert above["estimate"] == pytest.approx(3 / tokens)
    assert above["low"] < 3 / tokens < above["high"]
    assert found.examples.provenance["tokens"] == tokens


def test_the_strip_shows_what_each_token_does(hand_built: Model) -> None:
    found = top_examples(
        hand_built, ["red sun key cat tree"], neuron(hand_built, *known.NEURON), window=2, count=1
    )
    strip = found.strips.frame()
    top = strip[strip["end"] == "largest"]
    assert top["token"].str.strip().tolist() == ["red", "sun", "key", "cat", "tree"]
    assert top["offset"].tolist() == [-2, -1, 0, 1, 2]
    assert top["position"].tolist() == [1, 2, 3, 4, 5]
    assert top["value"].tolist() == pytest.approx([0, 0, known.FIRES, 0, 0], rel=0.01)
    assert found.strips.figure().data
    assert found.distribution.figure().data


def test_a_head_is_strong_where_it_finds_something(hand_built: Model) -> None:
    """The induction head adds a word of length 1 where one is repeated, and nothing elsewhere."""
    repeated = "red sun cat tree sun"
    found = top_examples(
        hand_built, ["red sun cat tree", repeated], head(hand_built, *known.INDUCTION), count=2
    )
    first = end(found, "largest").iloc[0]
    assert (first["text"], first["position"]) == (1, 5)
    assert first["value"] == pytest.approx(1, rel=0.01)
    assert end(found, "largest").iloc[1]["value"] < 0.01


def test_a_heads_part_in_an_answer_is_its_direct_contribution(hand_built: Model) -> None:
    """Towards the unembedding of `cat`: what the head says of `cat`, in logits."""
    unembedding = hand_built.hf.lm_head.weight.detach()
    word = known.VOCABULARY.index("cat")
    towards = unembedding[word] - unembedding[known.VOCABULARY.index("sun")]
    repeated = "red sun cat tree sun"
    feature = head(hand_built, *known.INDUCTION, towards=towards)
    top = end(top_examples(hand_built, [repeated], feature, count=1), "largest").iloc[0]
    assert top["position"] == 5
    # SAYS is undone by the final norm, which makes the constant channel's length sqrt(d_model).
    assert top["value"] == pytest.approx(known.SAYS, rel=0.01)


def test_a_direction_reads_the_stream(hand_built: Model) -> None:
    word = hand_built.hf.transformer.wte.weight.detach()[known.VOCABULARY.index("cat")]
    rest = hand_built.hf.transformer.wte.weight.detach()[known.VOCABULARY.index("sun")]
    feature = direction("resid_pre.0", word - rest)
    found = top_examples(hand_built, ["red sun tree", "red cat tree"], feature, count=1)
    assert end(found, "largest")["token"].item().strip() == "cat"
    assert end(found, "smallest")["token"].item().strip() == "sun"
    assert end(found, "largest")["value"].item() == pytest.approx(1 / np.sqrt(2), rel=0.01)


# The same by other means


@pytest.mark.parametrize("name", ["random_gpt2", "random_llama"])
def test_features_are_those_of_plain_hugging_face(
    request: pytest.FixtureRequest, name: str
) -> None:
    model: Model = request.getfixturevalue(name)
    ids = torch.tensor([encode(model, TEXTS[0])])
    network = model.plain()
    block = (network.transformer.h if name == "random_gpt2" else network.model.layers)[1]
    attention = block.attn if name == "random_gpt2" else block.self_attn
    output = attention.c_proj if name == "random_gpt2" else attention.o_proj
    down = block.mlp.c_proj if name == "random_gpt2" else block.mlp.down_proj
    seen: dict[str, torch.Tensor] = {}
    handles = [
        module.register_forward_pre_hook(lambda _, args, key=key: seen.__setitem__(key, args[0]))
        for key, module in (("heads", output), ("neurons", down))
    ]
    with torch.no_grad():
        network(ids)
    for handle in handles:
        handle.remove()
    heads = model.hf.config.num_attention_heads
    alone = torch.zeros_like(seen["heads"])
    width = alone.shape[-1] // heads
    alone[..., width : 2 * width] = seen["heads"][..., width : 2 * width]
    with torch.no_grad():
        added = output(alone) - (0 if output.bias is None else output.bias)
    vector = torch.randn(32, generator=torch.Generator().manual_seed(0))
    for feature, values in (
        (head(model, 1, 1), added.norm(dim=-1)),
        (head(model, 1, 1, towards=vector), added @ vector),
        (neuron(model, -1, 7), seen["neurons"][..., 7]),
    ):
        frame = top_examples(model, TEXTS[:1], feature, count=1, window=99).strips.frame()
        mine = frame[frame["end"] == "largest"]["value"].tolist()
        assert mine == pytest.approx(values[0].tolist(), abs=1e-5)


def test_every_family_has_features(family: Model) -> None:
    layer = next(n for n in range(family.n_layers) if "head_out" in family.anatomy.sites_of(n))
    vector = np.ones(family.hf.config.hidden_size)
    for feature in (head(family, layer, 3), direction(Site("resid_post", -1), vector)):
        found = top_examples(family, TEXTS, feature, count=2)
        assert len(found.examples) == 4
        assert found.examples.frame()["value"].notna().all()
        assert end(found, "largest")["value"].min() >= end(found, "smallest")["value"].max()
    for layer in range(family.n_layers):
        if "neurons" in family.anatomy.sites_of(layer):
            assert len(top_examples(family, TEXTS, neuron(family, layer, 0)).examples) == 10
        else:
            with pytest.raises(ModelError, match="mixture of experts"):
                neuron(family, layer, 0)


# Order, ties and memory


def test_the_order_of_texts_and_batches_does_not_count(
    random_gpt2: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{'the ' * (n % 5)}nurse {n} said {n * 7 % 11}" for n in range(40)]
    feature = neuron(random_gpt2, 1, 3)
    whole = top_examples(random_gpt2, texts, feature, count=6)
    monkeypatch.setattr(reading, "TEXTS_AT_ONCE", 7)
    pieces = top_examples(random_gpt2, iter(texts), feature, count=6)
    columns = ["end", "rank", "text", "position", "token"]
    assert pieces.examples.frame()[columns].equals(whole.examples.frame()[columns])
    for name in ("examples", "distribution"):
        one, other = (getattr(found, name).frame() for found in (whole, pieces))
        column = "value" if name == "examples" else "estimate"
        assert one[column].tolist() == pytest.approx(other[column].tolist(), abs=1e-6)
    # By hand: each text at its strongest token.
    best = []
    for number, text in enumerate(texts):
        ids = torch.tensor([encode(random_gpt2, text)])
        for _, values in over_texts(
            random_gpt2, [text], lambda batch: one_neuron(random_gpt2, batch)
        ):
            best.append((-values[0].max(), number, int(values[0].argmax())))
        assert ids.shape[1] == values.shape[1]
    best.sort()
    assert end(whole, "largest")["text"].tolist() == [number for _, number, _ in best[:6]]


def one_neuron(model: Model, batch: Any) -> np.ndarray:
    from workbench.forward import forward

    site = Site("neurons", 1)
    value = forward(model, batch.tokens, read=[site]).values[site]
    return value[..., 3].numpy()


def test_equal_values_keep_the_order_of_the_texts() -> None:
    """Whatever the order in which they come."""
    for seed in range(5):
        extremes = Extremes(count=3, window=0)
        numbers = list(range(10))
        Random(seed).shuffle(numbers)
        for number in numbers:
            values = np.array([0.0, 2.0, 2.0, -1.0, -1.0], dtype=np.float32)
            extremes.add(number, np.arange(5), values, 0)
        found = [(which, e.text, e.position) for which, _, e in extremes.largest_first()]
        assert found == [
            *[("largest", text, 1) for text in (0, 1, 2)],
            *[("smallest", text, 3) for text in (0, 1, 2)],
        ]


def test_memory_does_not_grow_with_the_texts() -> None:
    def held(texts: int) -> int:
        random = np.random.default_rng(0)
        extremes, spread = Extremes(10, 5), Spread(size=2000)
        tracemalloc.start()
        for number in range(texts):
            values = random.normal(size=40).astype(np.float32)
            extremes.add(number, np.arange(40), values, 0)
            spread.add([number], values[None])
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(spread.rows()) == 12
        return size

    assert held(3000) < 1.5 * held(600)


def test_the_first_tokens_can_be_left_out(hand_built: Model) -> None:
    feature = neuron(hand_built, *known.NEURON)
    texts = ["key red sun", "red sun cat"]
    found = top_examples(hand_built, texts, feature, count=1, skip=2)
    assert end(found, "largest")["value"].item() == 0
    assert found.distribution.frame()["n"].tolist() == [4] * 12
    assert found.examples.provenance["skip"] == 2


# How values lie


def test_quantiles_of_few_values_are_exact() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(50, 20))
    spread = Spread()
    for number, row in enumerate(values):
        spread.add([number], row[None])
    rows = {row["statistic"]: row for row in spread.rows()}
    assert rows["median"]["estimate"] == np.quantile(values, 0.5, method="inverted_cdf")
    assert rows["smallest"]["estimate"] == values.min()
    assert rows["largest"]["estimate"] == values.max()
    assert rows["mean"]["estimate"] == pytest.approx(values.mean())
    assert rows["share above 0"]["estimate"] == pytest.approx((values > 0).mean())
    assert rows["median"]["low"] < rows["median"]["estimate"] < rows["median"]["high"]
    assert {row["n"] for row in rows.values()} == {1000}


def test_a_quantiles_interval_covers() -> None:
    """The median of normal values is 0; texts have means of their own."""
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        spread = Spread()
        for number, centre in enumerate(random.normal(size=40)):
            spread.add([number], centre + random.normal(size=(1, 10)))
        median = next(row for row in spread.rows() if row["statistic"] == "median")
        hits += median["low"] <= 0 <= median["high"]
    assert 0.91 < hits / 200 <= 0.99


def test_many_values_are_sampled_evenly_and_the_same_in_any_order() -> None:
    random = np.random.default_rng(2)
    values = random.exponential(size=(600, 50))
    found = []
    for order in (range(600), range(599, -1, -1)):
        spread = Spread(seed=1, size=3000)
        for number in order:
            spread.add([number], values[[number]])
        found.append({row["statistic"]: row["estimate"] for row in spread.rows()})
    for name, value in found[0].items():
        assert value == pytest.approx(found[1][name], rel=1e-9)
    assert found[0]["median"] == pytest.approx(np.log(2), rel=0.1)
    assert found[0]["largest"] == values.max()


def test_what_is_not_finite_is_counted_and_left_out(broken_gpt2: Model) -> None:
    with pytest.raises(InputError, match="got no token to look at"):
        top_examples(broken_gpt2, TEXTS, direction("resid_post.1", np.ones(32)))
    spread = Spread()
    spread.add([0, 1], np.array([[1.0, np.nan, 3.0], [np.inf] * 3]))
    spread.add([2], np.array([[np.nan]]))
    assert {row["n"] for row in spread.rows()} == {2}
    extremes = Extremes(1, 0)
    extremes.add(0, np.arange(3), np.array([np.nan, 1.0, 2.0], dtype=np.float32), 0)
    assert [example.position for _, _, example in extremes.largest_first()] == [2, 1]


# Reading


def test_texts_are_read_in_batches_of_equal_length(random_gpt2: Model) -> None:
    texts = ["a b", "c d", "e", "f g", "h"]
    found = list(over_texts(random_gpt2, iter(texts), lambda batch: batch.tokens.tolist()))
    assert sorted(number for batch, _ in found for number in batch.numbers) == [0, 1, 2, 3, 4]
    for batch, tokens in found:
        for number, ids in zip(batch.numbers, tokens, strict=True):
            assert ids == encode(random_gpt2, texts[number])


def test_a_batch_that_does_not_fit_is_halved_and_stays_small(
    random_gpt2: Model, caplog: pytest.LogCaptureFixture
) -> None:
    sizes = []

    def work(batch: Any) -> int:
        sizes.append(len(batch.numbers))
        if len(batch.numbers) > 3:
            raise torch.OutOfMemoryError("out of memory")
        return len(batch.numbers)

    texts = ["a b"] * 12 + ["a b c"] * 12
    assert sum(count for _, count in over_texts(random_gpt2, texts, work)) == 24
    assert sizes[:3] == [12, 6, 3]
    assert max(sizes[3:]) <= 3
    assert "Memory ran out at 12 at once; going on with 6." in caplog.text
    assert caplog.text.count("Memory ran out") == 2


# What cannot be looked at


def test_features_that_are_not_there_are_refused(random_llama: Model) -> None:
    with pytest.raises(InputError, match="got neuron 48; there are neurons 0 to 47"):
        neuron(random_llama, 0, 48)
    with pytest.raises(InputError, match="got head -1; there are heads 0 to 3"):
        head(random_llama, 0, -1)
    with pytest.raises(InputError, match="got layer 2 for neurons; this model has layers 0 to 1"):
        neuron(random_llama, 2, 0)
    with pytest.raises(InputError, match=r"shape \[3\] for the residual stream; expected \[32\]"):
        head(random_llama, 0, 0, towards=[1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="is zero or not finite; it points nowhere"):
        direction("resid_post.0", np.zeros(32))
    with pytest.raises(InputError, match="is zero or not finite"):
        direction("resid_post.0", [np.nan, 1.0])
    with pytest.raises(InputError, match=r"shape \[2, 2\] .*expected one axis"):
        direction("resid_post.0", np.ones((2, 2)))
    with pytest.raises(InputError, match=r"a direction of 5 numbers; resid_post\.0 .* has 32"):
        top_examples(random_llama, TEXTS, direction("resid_post.0", np.ones(5)))
    with pytest.raises(ModelError, match="no router"):
        top_examples(random_llama, TEXTS, direction("router.0", np.ones(5)))


def test_counts_and_texts_that_cannot_be_are_refused(random_llama: Model) -> None:
    feature = neuron(random_llama, 0, 0)
    for name, value in (("count", 0), ("window", -1), ("skip", -1), ("seed", -1)):
        with pytest.raises(InputError, match=f"got {name}={value}; expected at least"):
            top_examples(random_llama, TEXTS, feature, **{name: value})
    with pytest.raises(InputError, match="skip=50 leaves out the whole of every text"):
        top_examples(random_llama, TEXTS, feature, skip=50)
    with pytest.raises(InputError, match="text 2: got an empty text"):
        top_examples(random_llama, ["a", "b", ""], feature)
    with pytest.raises(InputError, match="text 1: got a text of"):
        top_examples(random_llama, iter(["a", "a " * 200]), feature)
    with pytest.raises(InputError, match="got no text"):
        top_examples(random_llama, iter(()), feature)
    with pytest.raises(InputError, match="got one text; expected several"):
        top_examples(random_llama, "the nurse", feature)


def test_any_number_for_each_token_is_a_feature(random_gpt2: Model) -> None:
    site = Site("resid_post", 0)
    feature = Feature("the stream's length", site, lambda value: value.norm(dim=-1))
    found = top_examples(random_gpt2, TEXTS, feature, count=1)
    assert found.examples.provenance["feature"] == "the stream's length"
    assert end(found, "largest")["value"].item() > end(found, "smallest")["value"].item() > 0
    row = end(found, "largest").iloc[0]
    ids = encode(random_gpt2, TEXTS[row["text"]])
    assert row["token"] == token_texts(random_gpt2, ids)[row["position"]]
