"""Scores of continuations, by the quickest way that a self-check finds right."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from workbench.batches import Budget, is_out_of_memory, within_budget
from workbench.errors import InputError
from workbench.scoring.passes import cached, packed, plain
from workbench.scoring.texts import too_long
from workbench.scoring.trie import families

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from workbench.model import Model
    from workbench.scoring.cache import ModelCache
    from workbench.scoring.continuations import Continuation, Score
    from workbench.scoring.trie import Row

__all__ = ["TOLERANCE", "Scores", "ScoringReport", "Way", "score_continuations"]

Way = Literal["packed", "cached", "plain"]

TOLERANCE = {"float32": 1e-4, "float16": 0.1, "bfloat16": 0.5}
"""Nats by which a token's log-probability may differ between two ways: rounding, and no more."""

CHECKED = 4
"""Continuations of a batch that are also computed the plain way."""

CACHED_NUMBERS = 393_216
"""Of a batch's residual stream on a processor: GPT-2's 512 tokens, the quickest of 512 to 2,048."""

_NEXT: dict[Way, Way] = {"packed": "cached", "cached": "plain"}

_log = logging.getLogger(__name__)


@dataclass
class ScoringReport:
    """How the scores were computed.

    Attributes:
        way: the one that computed the last of them: `packed` (each token of few-shot prefix,
            question and answers once), `cached` (each question once), `plain` (each text alone).
        difference: the largest, in nats for a token, that the self-checks found between that way
            and the plain one; None where nothing was checked.
        refused: why quicker ways were not taken.
        asked_tokens: what the texts have together; what each by itself would have cost.
        computed_tokens: what went through the network, self-checks included.
        from_cache: continuations that were scored before.
        halved: how often memory ran out.
    """

    way: Way = "packed"
    difference: float | None = None
    refused: list[str] = field(default_factory=list)
    asked_tokens: int = 0
    computed_tokens: int = 0
    from_cache: int = 0
    halved: int = 0


@dataclass(frozen=True)
class Scores:
    """A score for each continuation that was asked for, in their order."""

    scores: list[Score]
    report: ScoringReport


def score_continuations(  # noqa: PLR0913 - what is scored, with what, and who is told
    model: Model,
    asked: Sequence[Continuation],
    *,
    batch_tokens: int | None = None,
    cache: ModelCache | None = None,
    advance: Callable[[int], None] | None = None,
    seen: Callable[[Iterable[tuple[Continuation, Score]]], None] | None = None,
) -> Scores:
    """How likely the model finds each continuation after its context.

    A score does not depend on what is asked beside it, but for rounding (`TOLERANCE`; in single
    precision about 1e-5 nats).

    Args:
        model: a loaded model, also one that is steered, ablated or quantised.
        asked: what to score; the same one twice costs nothing.
        batch_tokens: at once; by the model's width where it is None.
        cache: of this model's earlier scores, which is added to after each batch.
        advance: is called with the number of continuations that were done.
        seen: is called before it with their scores, each once.

    Raises:
        InputError: for a continuation that does not fit into the model's context.
    """
    import torch

    unique = list(dict.fromkeys(asked))
    _require_fitting(model, unique)
    report = ScoringReport(asked_tokens=sum(map(_length, unique)))
    known = {} if cache is None else _known(cache, unique)
    report.from_cache = len(known)
    repeated = len(asked) - len(unique)
    tell, show = advance or (lambda _: None), seen or (lambda _: None)
    show(known.items())
    tell(len(known) + repeated)
    missing = {number: None for number, one in enumerate(unique) if one not in known}
    budget = Budget(batch_tokens or usual_batch_tokens(model))
    with torch.inference_mode():
        for scored in _Ways(model, unique, missing, budget, report).scored():
            found = [(unique[number], score) for number, score in scored]
            known.update(found)
            if cache is not None:
                cache.keep_scores(found)
            show(found)
            tell(len(found))
    report.halved = budget.halved
    return Scores([known[one] for one in asked], report)


def usual_batch_tokens(model: Model) -> int:
    """So many that what a layer holds of them stays near a processor's caches, or fills a GPU."""
    width = int(model.hf.config.get_text_config().hidden_size)
    if model.device.type == "cpu":
        return min(max(CACHED_NUMBERS // width, 256), 1024)
    return min(max(32 * CACHED_NUMBERS // width, 1024), 16_384)


def _known(cache: ModelCache, unique: list[Continuation]) -> dict[Continuation, Score]:
    found = zip(unique, cache.scores(unique), strict=True)
    return {one: score for one, score in found if score is not None}


def _length(one: Continuation) -> int:
    """Tokens that are read: the last is only predicted."""
    return len(one.context) + len(one.tokens) - 1


def _require_fitting(model: Model, asked: Sequence[Continuation]) -> None:
    for one in asked:
        if not one.context or not one.tokens:
            raise InputError("got a continuation without context or tokens; each needs one token.")
        if too_long(model, one):
            raise InputError(
                f"got {_length(one)} tokens; the model's context has {model.context_length}. "
                "Nothing is cut off silently: shorten the text."
            )


class _DisagreesError(Exception):
    """A way gives other scores than the plain one, or none."""


@dataclass
class _Trust:
    """What was found out about a network as it is now.

    Attributes:
        way: the quickest that is not refused.
        longest: for each way, with and without a prefix, the longest text that was checked.
    """

    way: Way = "packed"
    longest: dict[tuple[Way, bool], int] = field(default_factory=dict)


# One for each network, with the hooks that were in it: another intervention is checked anew.
_trust: WeakKeyDictionary[Any, tuple[list[Any], _Trust]] = WeakKeyDictionary()


def _trust_in(model: Model) -> _Trust:
    hooks = [
        hook
        for module in model.hf.modules()
        for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())  # noqa: SLF001
    ]
    now = [model.hf.config._attn_implementation, *hooks]  # noqa: SLF001
    before, trust = _trust.get(model.hf, ([], _Trust()))
    if before != now:
        trust = _Trust()
        _trust[model.hf] = now, trust
    return trust


@dataclass
class _Ways:
    """The continuations of one call on their way through the network.

    Batches are laid out as if nothing was known, and those that are known are left out whole. So a
    call that goes on with one that was cut off runs the very batches that the other did not come
    to, and gives the same scores to the last bit.

    Attributes:
        asked: all continuations.
        left: the numbers of those that are not scored yet, in order.
    """

    model: Model
    asked: list[Continuation]
    left: dict[int, None]
    budget: Budget
    report: ScoringReport

    def scored(self) -> Iterator[list[tuple[int, Score]]]:
        """Batch by batch, the numbers of continuations and their scores."""
        trust = _trust_in(self.model)
        self.report.way = trust.way
        while self.left:
            try:
                yield from self._all(trust)
            except _DisagreesError as reason:
                _log.warning("%s: %s", self.model.name, reason)
                self.report.refused.append(str(reason))
                self.report.difference = None
                trust.way = self.report.way = _NEXT[trust.way]

    def _all(self, trust: _Trust) -> Iterator[list[tuple[int, Score]]]:
        yield from self._of(trust, list(range(len(self.asked))))
        if self.left:  # it stood in batches of which a part was known
            yield from self._of(trust, list(self.left))

    def _of(self, trust: _Trust, numbers: list[int]) -> Iterator[list[tuple[int, Score]]]:
        for prefixed, batch in self._batches(trust.way, numbers):
            self._check(trust, batch, prefixed=prefixed)
            for number, _ in batch:
                del self.left[number]
            yield batch

    def _batches(
        self, way: Way, numbers: list[int]
    ) -> Iterator[tuple[bool, list[tuple[int, Score]]]]:
        """Batches, and whether they go on from a shared prefix."""
        if way == "plain":
            yield from ((False, batch) for batch in self._plain(numbers))
            return
        quick = self._packed if way == "packed" else self._cached
        try:
            yield from quick(numbers)
        except Exception as error:  # each family refuses what it cannot do in its own way
            if is_out_of_memory(error):
                raise
            what = f"{type(error).__name__}: {error}".splitlines()[0]
            raise _DisagreesError(f"the {way} way does not work here ({what})") from error

    def _packed(self, numbers: list[int]) -> Iterator[tuple[bool, list[tuple[int, Score]]]]:
        asked = [self.asked[number] for number in numbers]
        for family in families(asked, worthwhile=self.budget.tokens // 2):
            prefix = _Prefix(self.model, family.prefix)

            def run(rows: Sequence[Row], prefix: _Prefix = prefix) -> list[tuple[int, Score]]:
                if not self._unknown(numbers[one] for row in rows for one in row.asked):
                    return []
                keys = prefix.cache()
                scored = packed(self.model, asked, rows, prefix=keys)
                self.report.computed_tokens += sum(map(len, rows))
                return [(numbers[number], score) for number, score in scored]

            for batch in within_budget(run, family.rows, len, self.budget):
                if batch:
                    yield bool(family.prefix), batch
            self.report.computed_tokens += prefix.computed

    def _cached(self, numbers: list[int]) -> Iterator[tuple[bool, list[tuple[int, Score]]]]:
        by_context: dict[int, dict[tuple[int, ...], list[int]]] = defaultdict(dict)
        for number in numbers:
            context = self.asked[number].context
            by_context[len(context)].setdefault(context, []).append(number)

        def run(groups: Sequence[list[int]]) -> list[tuple[int, Score]]:
            together = [number for group in groups for number in group]
            if not self._unknown(together):
                return []
            scored = cached(self.model, self.asked, groups)
            contexts = {self.asked[number].context for number in together}
            self.report.computed_tokens += sum(map(len, contexts))
            self.report.computed_tokens += sum(
                len(self.asked[number].tokens) - 1 for number in together
            )
            return scored

        for _, contexts in sorted(by_context.items(), reverse=True):
            for batch in within_budget(run, list(contexts.values()), self._read, self.budget):
                if batch:
                    yield False, batch

    def _plain(self, numbers: list[int]) -> Iterator[list[tuple[int, Score]]]:
        def run(alike: Sequence[int]) -> list[tuple[int, Score]]:
            return self._run_plain(alike) if self._unknown(alike) else []

        for batch in self._by_length(numbers, run):
            if batch:
                yield batch

    def _by_length(
        self, numbers: Iterable[int], run: Callable[[Sequence[int]], list[tuple[int, Score]]]
    ) -> Iterator[list[tuple[int, Score]]]:
        by_length: dict[int, list[int]] = defaultdict(list)
        for number in numbers:
            by_length[self._length(number)].append(number)
        for _, alike in sorted(by_length.items(), reverse=True):
            yield from within_budget(run, alike, self._length, self.budget)

    def _run_plain(self, numbers: Sequence[int]) -> list[tuple[int, Score]]:
        scored = plain(self.model, self.asked, numbers)
        self.report.computed_tokens += sum(map(self._length, numbers))
        return scored

    def _unknown(self, numbers: Iterable[int]) -> bool:
        """Whether none of them is known."""
        return all(number in self.left for number in numbers)

    def _length(self, number: int) -> int:
        return _length(self.asked[number])

    def _read(self, numbers: list[int]) -> int:
        """What the answers to one question read, the question repeated for each."""
        return sum(map(self._length, numbers))

    def _check(self, trust: _Trust, batch: list[tuple[int, Score]], *, prefixed: bool) -> None:
        """Compute a few of a batch the plain way too: the first, and those of much longer texts."""
        if trust.way == "plain":
            return
        longest = max(_length(self.asked[number]) for number, _ in batch)
        if longest <= 2 * trust.longest.get((trust.way, prefixed), 0):
            return
        by_length = sorted(batch, key=lambda one: _length(self.asked[one[0]]), reverse=True)
        some = dict(by_length[:: max(1, len(by_length) // CHECKED)][:CHECKED])
        again = dict(one for part in self._by_length(some, self._run_plain) for one in part)
        difference = max(_distance(some[number], again[number]) for number in some)
        if difference > TOLERANCE[self.model.provenance.dtype]:
            raise _DisagreesError(
                f"the {trust.way} way differs from the plain one by {difference:.2g} nats a token"
            )
        trust.longest[trust.way, prefixed] = longest
        self.report.difference = max(difference, self.report.difference or 0.0)


@dataclass
class _Prefix:
    """The keys and values of a shared prefix, computed when the first batch asks for them."""

    model: Model
    tokens: tuple[int, ...]
    computed: int = 0
    _cache: Any = None

    def cache(self) -> Any:
        from workbench.scoring.prefix import prefix_cache

        if self.tokens and self._cache is None:
            self._cache = prefix_cache(self.model, self.tokens)
            self.computed = len(self.tokens)
        return self._cache


def _distance(one: Score, other: Score) -> float:
    """The largest difference of a token's log-probability; infinite where one alone is NaN."""
    pairs = zip(one.log_probabilities, other.log_probabilities, strict=True)
    return max(
        abs(a - b)
        if math.isfinite(a) and math.isfinite(b)
        else 0.0
        if a == b or (math.isnan(a) and math.isnan(b))
        else math.inf
        for a, b in pairs
    )
