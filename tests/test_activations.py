"""Capture: the values are those of a pass over each text alone, wherever they are kept."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from workbench.activations import Activations, capture, plan_capture
from workbench.capturing import plan as planning
from workbench.errors import InputError, ModelError, StorageError
from workbench.forward import forward
from workbench.model import load
from workbench.sites import Site
from workbench.tokens import encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from workbench.model import Model

TEXTS = [
    "the nurse said that she",
    "he",
    "the engineer said that he said that she said",
    "she said that",
    "the nurse said that he",
    "a",
]


def alone(model: Model, text: str | Sequence[int], sites: tuple[Site, ...]) -> dict[Site, Any]:
    """The values of one text, run alone."""
    ids = encode(model, text) if isinstance(text, str) else list(text)
    with torch.no_grad():
        values = forward(model, torch.tensor([ids]), read=sites).values
    return {site: value[0] for site, value in values.items()}


def all_sites(model: Model) -> list[Site]:
    anatomy = model.anatomy
    return [
        Site(name, layer) for layer in range(anatomy.n_layers) for name in anatomy.sites_of(layer)
    ]


def require_equal(found: Activations, model: Model, texts: Sequence[Any]) -> None:
    for number, text in enumerate(texts):
        for site, expected in alone(model, text, found.sites).items():
            torch.testing.assert_close(found.of(number, site), expected, rtol=1e-4, atol=1e-5)


# The values


def test_every_site_of_every_architecture(family: Model, tmp_path: Path) -> None:
    sites = all_sites(family)
    texts: list[list[int]] = [[5, 6, 7, 8, 9, 10], [11], [12, 13, 14], [15, 16, 17, 18, 19, 20]]
    found = capture(family, texts, sites, out=tmp_path / "out", shard_bytes=2000, progress=False)
    assert set(found.sites) == set(sites)
    require_equal(found, family, texts)


@pytest.mark.parametrize("batch_tokens", [1, 20, 1024])
def test_however_the_texts_are_run_together(random_gpt2: Model, batch_tokens: int) -> None:
    found = capture(random_gpt2, TEXTS, all_sites(random_gpt2), batch_tokens=batch_tokens)
    require_equal(found, random_gpt2, TEXTS)


def test_the_stream_is_that_of_plain_transformers(random_llama: Model) -> None:
    found = capture(random_llama, TEXTS, ["resid_pre", "resid_post"])
    plain = random_llama.plain()
    for number, text in enumerate(TEXTS):
        ids = torch.tensor([encode(random_llama, text)])
        with torch.no_grad():
            states = plain(ids, output_hidden_states=True).hidden_states
            last = plain.model.norm(found.of(number, "resid_post.1"))
        torch.testing.assert_close(found.of(number, "resid_pre.0"), states[0][0])
        torch.testing.assert_close(found.of(number, "resid_post.0"), states[1][0])
        torch.testing.assert_close(last, states[2][0])


def test_memory_and_disk_hold_the_same(random_gpt2: Model, tmp_path: Path) -> None:
    sites = ["resid_post", "pattern.0", "q.-1"]
    kept = capture(random_gpt2, TEXTS, sites)
    streamed = capture(random_gpt2, TEXTS, sites, out=tmp_path, shard_bytes=1000, progress=False)
    opened = Activations.open(tmp_path)
    assert kept.sites == streamed.sites == opened.sites
    assert len(list(tmp_path.glob("activations-*"))) > 1
    for site in kept.sites:
        for (number, one), (_, two), (_, three) in zip(
            kept.values(site), streamed.values(site), opened.values(site), strict=True
        ):
            assert torch.equal(one, two), (number, site)
            assert torch.equal(one, three), (number, site)


def test_nothing_runs_after_the_deepest_site(random_gpt2: Model) -> None:
    ran: list[str] = []
    network = random_gpt2.hf
    watched = {"layer 1": network.transformer.h[1], "norm": network.transformer.ln_f}
    watched["head"] = network.lm_head
    handles = [
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
        for name, module in watched.items()
    ]
    try:
        capture(random_gpt2, TEXTS, "resid_post.0")
        assert ran == []
        capture(random_gpt2, TEXTS, "resid_post.1")
        assert not {"norm", "head"} & set(ran)
    finally:
        for handle in handles:
            handle.remove()
    assert not network.transformer.h[0]._forward_hooks


def test_captured_values_carry_no_gradient_and_no_more_than_themselves(random_gpt2: Model) -> None:
    found = capture(random_gpt2, TEXTS, ["q.0", "k.0", "v.0", "resid_post.0"])
    for site in found.sites:
        for _, block in found.blocks(site):
            assert not block.requires_grad
            assert block.untyped_storage().nbytes() == block.nbytes


# Where a value comes from


def test_rows_are_traced_to_text_position_and_token(random_gpt2: Model, tmp_path: Path) -> None:
    found = capture(random_gpt2, TEXTS, ["resid_post.0", "q.1"], out=tmp_path, progress=False)
    whole = found.tensor("resid_post.0")
    assert whole.shape == (len(found.tokens), 32)
    assert found.tensor("q.-1").shape == (len(found.tokens), 2, 16)
    row = 0
    for number, text in enumerate(TEXTS):
        value = found.of(number, "resid_post.0")
        for position, token in enumerate(encode(random_gpt2, text)):
            assert found.where(row) == (number, position, token)
            assert found.tokens[row] == token
            assert torch.equal(whole[row], value[position])
            row += 1
    assert row == len(whole) == found.lengths.sum()


def test_blocks_are_the_texts_of_equal_length(random_gpt2: Model) -> None:
    found = capture(random_gpt2, TEXTS, "resid_post.0")
    seen: list[int] = []
    for numbers, block in found.blocks("resid_post.0"):
        assert {int(found.lengths[number]) for number in numbers} == {block.shape[1]}
        for number, value in zip(numbers, block, strict=True):
            assert torch.equal(value, found.of(int(number), "resid_post.0"))
        seen += numbers.tolist()
    assert sorted(seen) == list(range(len(TEXTS)))


def test_what_a_capture_says_of_itself(random_gpt2: Model) -> None:
    found = capture(random_gpt2, TEXTS, "pattern")
    assert len(found) == 6
    assert repr(found) == (
        f"Activations(pattern.0, pattern.1: 6 texts, {len(found.tokens)} tokens, float32, "
        "of random-gpt2)"
    )
    stated = found.provenance
    assert stated["weights_digest"] == random_gpt2.provenance.weights_digest
    assert stated["sites"] == ["pattern.0", "pattern.1"]


# What may be asked for


def test_texts_may_be_any_iterable_of_texts_and_ids(random_gpt2: Model) -> None:
    def texts() -> Iterator[Any]:
        yield "the nurse"
        yield encode(random_gpt2, "the nurse")
        yield torch.tensor(encode(random_gpt2, "the nurse"))
        yield np.array(encode(random_gpt2, "the nurse"))

    found = capture(random_gpt2, texts(), "resid_post.0")
    first, *others = (value for _, value in found.values("resid_post.0"))
    assert len(others) == 3
    assert all(torch.equal(first, other) for other in others)


def test_a_name_alone_is_every_layer_that_has_it(random_gpt2: Model) -> None:
    found = capture(random_gpt2, TEXTS, ["resid_post.-1", "q", Site("resid_post", 1)])
    assert [str(site) for site in found.sites] == ["q.0", "q.1", "resid_post.1"]


@pytest.mark.parametrize("dtype", ["float16", torch.bfloat16])
def test_values_can_be_stored_smaller(random_gpt2: Model, tmp_path: Path, dtype: Any) -> None:
    exact = capture(random_gpt2, TEXTS, "resid_post.0")
    found = capture(random_gpt2, TEXTS, "resid_post.0", out=tmp_path, dtype=dtype, progress=False)
    assert Activations.open(tmp_path).dtype == found.dtype == found.tensor("resid_post.0").dtype
    assert found.index.dtype == str(dtype).removeprefix("torch.")
    for number, value in exact.values("resid_post.0"):
        assert torch.equal(found.of(number, "resid_post.0"), value.to(found.dtype))


def test_a_bfloat16_model_is_stored_as_it_computes(gpt2_directory: Path, tmp_path: Path) -> None:
    model = load(gpt2_directory, dtype="bfloat16", reuse=False)
    found = capture(model, TEXTS, "resid_post", out=tmp_path, progress=False)
    assert found.dtype == torch.bfloat16
    for site, expected in alone(model, TEXTS[0], found.sites).items():
        assert torch.equal(found.of(0, site), expected)


def test_values_that_a_dtype_cannot_hold_are_no_infinities(
    gpt2_directory: Path, tmp_path: Path
) -> None:
    model = load(gpt2_directory, reuse=False)
    with torch.no_grad():
        model.hf.transformer.wte.weight[:, 3] = 1e5
    with pytest.raises(InputError, match=r"reaches 1e\+05, which torch.float16 cannot hold"):
        capture(model, TEXTS, "resid_pre.0", out=tmp_path, dtype="float16", progress=False)
    assert not list(tmp_path.glob("activations-*"))
    assert capture(model, TEXTS, "resid_pre.0", dtype="bfloat16").tensor("resid_pre.0").max() > 9e4


def test_a_model_that_gives_nan_is_captured_as_it_is(broken_gpt2: Model) -> None:
    found = capture(broken_gpt2, TEXTS, "resid_post.-1", dtype="float16")
    assert found.tensor("resid_post.-1").isnan().any()


# What it takes


def test_the_plan_counts_what_will_be_stored(random_gpt2: Model, tmp_path: Path) -> None:
    plan = plan_capture(random_gpt2, TEXTS, ["resid_post", "pattern.0"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    capture(random_gpt2, TEXTS, ["resid_post", "pattern.0"], out=tmp_path / "out", progress=False)
    stored = sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    lengths = plan.corpus.lengths
    values = int((lengths * 2 * 32 + 2 * lengths**2).sum()) * 4
    assert values < stored < values + 10_000
    assert abs(plan.stored_bytes - stored) < 5_000
    assert str(plan).startswith(f"6 texts, {lengths.sum()} tokens, 3 sites, 4 batches: ")
    assert "as float32 in 1 shard on disk (" in str(plan)


def test_what_does_not_fit_is_said_before_anything_runs(
    random_gpt2: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as little:
        little.setattr(planning, "available_memory", lambda: 1000)
        with pytest.raises(InputError, match=r"takes about .* kB of memory, and 1 kB are free"):
            capture(random_gpt2, TEXTS, "resid_post")
    monkeypatch.setattr(planning, "_free_disk", lambda _: 1000)
    with pytest.raises(StorageError, match=r"takes .* kB of disk, and 1 kB are free"):
        capture(random_gpt2, TEXTS, "resid_post", out=tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_a_batch_that_memory_does_not_hold_is_halved(
    random_gpt2: Model, caplog: pytest.LogCaptureFixture
) -> None:
    texts = ["the nurse said"] * 8
    expected = capture(random_gpt2, texts, "resid_post.1").tensor("resid_post.1")
    sizes: list[int] = []

    def limited(_: Any, __: Any, kwargs: dict[str, Any]) -> None:
        sizes.append(kwargs["input_ids"].shape[0])
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError

    handle = random_gpt2.hf.transformer.register_forward_pre_hook(limited, with_kwargs=True)
    try:
        with caplog.at_level(logging.WARNING):
            length = len(encode(random_gpt2, texts[0]))
            found = capture(random_gpt2, texts, "resid_post.1", batch_tokens=4 * length)
    finally:
        handle.remove()
    # The trial; a batch of four, halved; from then on two at once.
    assert sizes == [1, 4, 2, 2, 2, 2]
    assert "going on with 2" in caplog.text
    torch.testing.assert_close(found.tensor("resid_post.1"), expected)


# What it says meanwhile


def test_it_says_what_it_needs_and_how_far_it_is(
    random_gpt2: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture(random_gpt2, TEXTS, "resid_post.0")
    capture(random_gpt2, TEXTS, "resid_post.0", out=tmp_path / "silent", progress=False)
    assert capsys.readouterr() == ("", "")
    capture(random_gpt2, TEXTS, "resid_post.0", out=tmp_path / "said")
    printed = capsys.readouterr()
    assert printed.out == ""
    plan, end = printed.err.splitlines()
    assert plan.startswith("capture: 6 texts, ")
    assert "of memory beside the model" in plan
    assert " tokens in " in end
    capture(random_gpt2, TEXTS, "resid_post.0", out=tmp_path / "said")
    assert "checking 1 of 1 shards that are finished" in capsys.readouterr().err


# What is refused

REFUSED: dict[str, tuple[Any, Any, str]] = {
    "one text": ("the nurse", "resid_post", "got one text; expected several"),
    "no text": ([], "resid_post", "got no text"),
    "an empty text": (["he", ""], "resid_post", "text 1: got an empty text"),
    "no token": (["he", []], "resid_post", "text 1: got no token"),
    "too long a text": (["he", "a" * 300], "resid_post", r"text 1: .* context has 256"),
    "too many ids": ([[1] * 257], "resid_post", r"text 0: got 257 tokens; .* has 256"),
    "an unknown token": ([[1, 5000]], "resid_post", "text 0: got the token 5000; this model has"),
    "a negative token": ([[1, -1]], "resid_post", "text 0: got the token -1"),
    "bytes": ([b"he"], "resid_post", "text 0: got no token|text 0: got a bytes"),
    "a number": ([7], "resid_post", "text 0: got a int; expected a text"),
    "words as ids": ([["he"]], "resid_post", "text 0: got a list; expected a text"),
    "no site": (TEXTS, [], "got no site"),
    "an unknown site": (TEXTS, "resid_pots", 'Did you mean "resid_post"'),
    "a layer that is not there": (TEXTS, "resid_post.2", r"layers 0 to 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_before_anything_is_written(
    random_gpt2: Model, tmp_path: Path, case: str
) -> None:
    texts, sites, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        capture(random_gpt2, texts, sites, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_site_that_the_model_does_not_have(random_gpt2: Model) -> None:
    for site in ("router", "router.0", Site("routing", 1)):
        with pytest.raises(ModelError, match="this layer has no router"):
            capture(random_gpt2, TEXTS, site)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int8"}, "Values cannot be stored as 'int8'"),
        ({"batch_tokens": 0}, "got batch_tokens=0; expected at least 1"),
        ({"shard_bytes": -1}, "got shard_bytes=-1; expected at least 1"),
    ],
)
def test_options_that_cannot_be_used(random_gpt2: Model, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        capture(random_gpt2, TEXTS, "resid_post", **options)


def test_what_was_not_captured_is_not_given(random_gpt2: Model) -> None:
    found = capture(random_gpt2, TEXTS, ["resid_post.0", "pattern.0"])
    with pytest.raises(InputError, match=r"resid_post.1 was not captured; captured: pattern.0, "):
        found.of(0, "resid_post.1")
    with pytest.raises(InputError, match="texts 0 to 5"):
        found.of(6, "resid_post.0")
    with pytest.raises(InputError, match="texts 0 to 5"):
        found.of(-1, "resid_post.0")
    with pytest.raises(InputError, match="there are rows 0 to"):
        found.where(10_000)
    with pytest.raises(InputError, match="for each pair of tokens"):
        found.tensor("pattern.0")


# Going on


def test_only_what_is_missing_or_altered_is_computed_again(
    random_gpt2: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options: Any = {"out": tmp_path, "shard_bytes": 1000, "batch_tokens": 16, "progress": False}
    before = capture(random_gpt2, TEXTS, "resid_post", **options)
    expected = before.tensor("resid_post.1")
    shards = sorted(tmp_path.glob("activations-*"))
    assert len(shards) > 3
    shards[1].unlink()
    content = bytearray(shards[2].read_bytes())
    content[-1] ^= 1
    shards[2].write_bytes(content)
    times = {path: path.stat().st_mtime_ns for path in shards if path != shards[1]}
    passes: list[int] = []
    handle = random_gpt2.hf.transformer.register_forward_pre_hook(lambda *_: passes.append(1))
    try:
        with caplog.at_level(logging.WARNING):
            again = capture(random_gpt2, TEXTS, "resid_post", **options)
    finally:
        handle.remove()
    changed = {path for path, time in times.items() if path.stat().st_mtime_ns != time}
    assert changed == {shards[2]}
    counts = [shard.stop - shard.first for shard in again.index.shards]
    assert len(passes) == 1 + counts[1] + counts[2]
    assert caplog.text.count("It is computed again.") == 2
    assert torch.equal(again.tensor("resid_post.1"), expected)
    Activations.open(tmp_path).verify()


def test_another_capture_is_not_mixed_in(
    random_gpt2: Model, random_llama: Model, tmp_path: Path
) -> None:
    capture(random_gpt2, TEXTS, "resid_post.0", out=tmp_path, progress=False)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for model, texts, sites, options, words in (
        (random_llama, TEXTS, "resid_post.0", {}, r"weights: there .*…, here "),
        (random_gpt2, TEXTS[1:], "resid_post.0", {}, r"texts: there 6 with .*, here 5 with "),
        (random_gpt2, TEXTS[::-1], "resid_post.0", {}, r"\. texts: there 6 with [^:]*\. Choose"),
        (random_gpt2, TEXTS, "q.0", {}, r"\. sites: there resid_post.0, here q.0\. Choose"),
        (random_gpt2, TEXTS, "resid_post.0", {"dtype": "float16"}, r"stored dtype: there float32"),
        (random_gpt2, TEXTS, "resid_post.0", {"batch_tokens": 8}, r"\. batch_tokens: there 1024"),
    ):
        with pytest.raises(InputError, match=r"another capture.*" + words):
            capture(model, texts, sites, out=tmp_path, progress=False, **options)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_a_folder_with_something_else_in_it_is_left_alone(
    random_gpt2: Model, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds thesis.txt and no index.json"):
        capture(random_gpt2, TEXTS, "resid_post", out=tmp_path)
    with pytest.raises(InputError, match="is a file"):
        capture(random_gpt2, TEXTS, "resid_post", out=tmp_path / "thesis.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
