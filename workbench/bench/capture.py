"""The residual stream streamed to disk, beside the bare transformer body, which keeps nothing."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

from workbench.activations import Activations, CapturePlan, capture, plan_capture
from workbench.bench.subjects import random_gpt2
from workbench.errors import InputError
from workbench.stats import bootstrap_ratio
from workbench.tables import Result

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from workbench.model import Model

__all__ = ["CaptureSize", "bench_capture", "random_texts"]


@dataclass(frozen=True)
class CaptureSize:
    """What is measured: by default GPT-2 small's shape and 200,000 tokens.

    Attributes:
        layers, width, heads: of the model.
        sites: what is captured, of the residual stream before or after layers; the body runs in
            full where the last layer is among them.
        tokens: in all.
        lengths: of the texts, in tokens; as many texts of each.
        batch_tokens: run at once, by both.
        blocks: pieces that the tokens are cut into; body and capture take turns.
        few, many: tokens of the two captures whose peak memory is compared; 0 leaves them out.
        folder: to write to; the system's folder for temporary files where it is None.
    """

    layers: int = 12
    width: int = 768
    heads: int = 12
    sites: tuple[str, ...] = ("resid_post.-1",)
    tokens: int = 200_000
    lengths: tuple[int, ...] = (32, 64, 128)
    batch_tokens: int = 1024
    blocks: int = 8
    few: int = 20_000
    many: int = 200_000
    folder: str | None = None


def bench_capture(
    size: CaptureSize = CaptureSize(), *, on_step: Callable[[str], None] = lambda _: None
) -> Result:
    """Tokens a second of the bare body and of a capture to disk, their ratio, and peak memory.

    The body is a network made anew on the same weights, without hooks and without the output head;
    it runs the same batches of tokens. A capture is all of `capture(…, out=folder)`: encoding the
    texts, planning, computing, writing, hashing, and waiting for the disk at the end. The two take
    turns block by block, each first in every other block. Peak memory is measured in processes of
    their own, from when the model is loaded.

    Returns:
        One row: `sites`, `tokens`, `stored_bytes` (of their values); tokens a second of the `body`
        and of the `capture`; the row of the estimate (capture's throughput as a share of the
        body's, with its interval over blocks); `largest_difference` between captured values and
        the hidden states of a plain pass; `loaded_bytes` and `peak_bytes` of memory with `few` and
        with `many` tokens (missing where the system does not tell); `threads`.

    Raises:
        InputError: for sites other than the residual stream between layers, and sizes that no
            model has.
    """
    import torch

    _require_measurable(size)
    with (
        random_gpt2(layers=size.layers, width=size.width, heads=size.heads) as model,
        TemporaryDirectory(prefix="workbench-bench-", dir=size.folder) as name,
    ):
        turns = [_turn(model, size, block, Path(name), on_step) for block in range(size.blocks)]
        memory = _memory(model, size, Path(name), on_step)
    body, ours = [turn.body for turn in turns], [turn.ours for turn in turns]
    tokens = sum(turn.tokens for turn in turns)
    row = {
        "sites": ", ".join(size.sites),
        "tokens": tokens,
        "stored_bytes": sum(turn.stored for turn in turns),
        "body": tokens / sum(body),
        "capture": tokens / sum(ours),
        **bootstrap_ratio(body, ours).row(),
        "largest_difference": max(turn.difference for turn in turns),
        **memory,
        "threads": torch.get_num_threads(),
    }
    provenance = {
        "method": "capture to disk and the bare body in turns, block by block, on random weights",
        "size": asdict(size) | {"folder": None},
        "packages": model.provenance.packages,
    }
    return Result.of("bench_capture", [row], provenance)


def random_texts(model: Model, tokens: int, lengths: tuple[int, ...], seed: int) -> list[str]:
    """Texts of random words, of these lengths in turn, until there are so many tokens."""
    draw = random.Random(seed)
    words = [
        model.tokenizer.decode([token])
        for piece, token in sorted(model.tokenizer.get_vocab().items())
        if piece.startswith("Ġ") and piece[1:].isalpha()
    ]
    texts: list[str] = []
    made = 0
    while made < tokens:
        length = lengths[len(texts) % len(lengths)]
        # The tokenizer begins each text with a token of its own.
        texts.append("".join(draw.choices(words, k=length - 1)))
        made += length
    return texts


def _require_measurable(size: CaptureSize) -> None:
    for site in size.sites:
        if site.partition(".")[0] not in {"resid_pre", "resid_post"}:
            raise InputError(
                f'got the site "{site}"; expected resid_pre or resid_post: transformers gives them '
                "by itself, so that results can be compared."
            )
    if size.width % size.heads:
        raise InputError(
            f"got a width of {size.width} for {size.heads} heads; expected a multiple of them."
        )
    if size.tokens < size.blocks:
        raise InputError(
            f"got {size.tokens} tokens for {size.blocks} blocks; expected one for each at least."
        )


@dataclass(frozen=True)
class _Turn:
    """One block, run by each: seconds, and what is known of the results."""

    body: float
    ours: float
    tokens: int
    stored: int
    difference: float


def _turn(
    model: Model, size: CaptureSize, block: int, folder: Path, on_step: Callable[[str], None]
) -> _Turn:
    texts = random_texts(model, size.tokens // size.blocks, size.lengths, seed=block)
    plan = plan_capture(model, texts, size.sites, batch_tokens=size.batch_tokens)
    batches = _batches(plan)
    body = model.plain().base_model
    if block == 0:
        _run(body, batches[:1])  # warm
    seconds: dict[str, float] = {}
    for who in ("body", "ours") if block % 2 == 0 else ("ours", "body"):
        start = perf_counter()
        if who == "body":
            _run(body, batches)
        else:
            found = capture(
                model,
                texts,
                size.sites,
                out=folder / str(block),
                batch_tokens=size.batch_tokens,
                progress=False,
            )
        seconds[who] = perf_counter() - start
    on_step(f"block {block}: body {seconds['body']:.2f} s, capture {seconds['ours']:.2f} s")
    difference = _largest_difference(model, found, batches[0])
    for path in (folder / str(block)).iterdir():
        path.unlink()
    tokens = len(plan.corpus.ids)
    return _Turn(seconds["body"], seconds["ours"], tokens, plan.stored_bytes, difference)


def _batches(plan: CapturePlan) -> list[torch.Tensor]:
    import torch

    return [
        torch.from_numpy(plan.corpus.stacked(plan.batches.texts(batch)).astype("int64"))
        for batch in range(len(plan.batches))
    ]


def _run(body: Any, batches: list[torch.Tensor]) -> None:
    import torch

    with torch.no_grad():
        for batch in batches:
            body(input_ids=batch, use_cache=False)


def _largest_difference(model: Model, found: Activations, batch: torch.Tensor) -> float:
    """Between the captured values of the first batch and the hidden states of a plain pass."""
    import torch

    plain = model.plain()
    with torch.no_grad():
        states = plain.base_model(batch, use_cache=False, output_hidden_states=True).hidden_states
        differences = []
        for site in found.sites:
            _, values = next(found.blocks(site))
            state = site.layer + (site.name == "resid_post")  # 0 is the embedding
            # The last of transformers' hidden states is after the final norm.
            ours = plain.base_model.ln_f(values) if state == model.n_layers else values
            differences.append(float((ours - states[state]).abs().max()))
    return max(differences)


def _memory(
    model: Model, size: CaptureSize, folder: Path, on_step: Callable[[str], None]
) -> dict[str, Any]:
    """Memory after loading, and at the peak of a capture, with few and with many tokens."""
    found: dict[str, Any] = {}
    for name, tokens in (("few", size.few), ("many", size.many)):
        peak: dict[str, Any] = {"loaded": None, "peak": None}
        if tokens:
            asked = {
                "model": str(model.checkpoint.directory),
                "out": str(folder / name),
                "tokens": tokens,
                "sites": size.sites,
                "lengths": size.lengths,
                "batch_tokens": size.batch_tokens,
            }
            command = [sys.executable, "-m", "workbench.bench.peak", json.dumps(asked)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter
            peak = json.loads(done.stdout.splitlines()[-1])
            on_step(f"{tokens:,} tokens: peak memory {peak['peak']} bytes")
            for path in (folder / name).iterdir():
                path.unlink()
        found |= {name: tokens, f"loaded_bytes_{name}": peak["loaded"]}
        found[f"peak_bytes_{name}"] = peak["peak"]
    return found
