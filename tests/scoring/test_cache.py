"""The cache: what was computed is found again, by the same model alone, and the file is safe."""

from __future__ import annotations

import logging
import math
import sqlite3
import struct
from typing import TYPE_CHECKING

import pytest
import torch

from workbench.errors import InputError, StorageError
from workbench.forward import edited
from workbench.interpret.intervening.contrast import Contrast, difference_of_means
from workbench.interpret.intervening.interventions import steered
from workbench.model import load
from workbench.scoring import engine
from workbench.scoring.cache import ScoreCache, default_cache_path
from workbench.scoring.continuations import Continuation, Score
from workbench.scoring.engine import score_continuations
from workbench.scoring.texts import continuations
from workbench.sites import Site

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.model import Model
    from workbench.scoring.cache import ModelCache

ASKED = [
    Continuation((1, 2, 3), (4, 5)),
    Continuation((1, 2), (3, 4, 5)),
    Continuation((1, 2, 3, 4), (5,)),
    Continuation((1,), (2, 3, 4, 5)),
]


def exact(*values: float) -> tuple[float, ...]:
    """As 32-bit numbers."""
    return struct.unpack(f"{len(values)}f", struct.pack(f"{len(values)}f", *values))


SCORES = [Score(exact(*(-0.1 * i for i in range(len(a.tokens)))), len(a.tokens) > 2) for a in ASKED]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "scores.sqlite"


def part(cache: ScoreCache, model: Model) -> ModelCache:
    found = cache.of(model)
    assert found is not None
    return found


def test_what_is_kept_is_found_by_the_next_process(path: Path, random_gpt2: Model) -> None:
    with ScoreCache(path) as cache:
        mine = part(cache, random_gpt2)
        assert mine.scores(ASKED) == [None] * 4
        mine.keep_scores(list(zip(ASKED[:3], SCORES[:3], strict=True)))
        mine.keep_texts([(b"one", "half \ud83d of a pair".encode("utf-8", "replace").decode())])
    with ScoreCache(path) as cache:
        mine = part(cache, random_gpt2)
        # The same tokens, split at another place, are another question.
        assert mine.scores(ASKED) == [*SCORES[:3], None]
        assert mine.texts([b"one", b"two"]) == ["half ? of a pair", None]
        assert mine.scores([]) == []


def test_numbers_that_are_none_are_kept_as_they_are(path: Path, random_gpt2: Model) -> None:
    with ScoreCache(path) as cache:
        mine = part(cache, random_gpt2)
        odd = Score((math.nan, -math.inf), greedy=False)
        mine.keep_scores([(ASKED[0], odd)])
        (found,) = mine.scores(ASKED[:1])
    assert found is not None
    assert math.isnan(found.log_probabilities[0])
    assert found.log_probabilities[1] == -math.inf


def test_thousands_are_looked_up_at_once(path: Path, random_gpt2: Model) -> None:
    many = [Continuation((1, number), (2, 3)) for number in range(10_000)]
    score = Score(exact(-1.5, -2.5), greedy=True)
    with ScoreCache(path) as cache:
        mine = part(cache, random_gpt2)
        mine.keep_scores([(one, score) for one in many[::2]])
        found = mine.scores([*many, *many[:10]])
    assert found[:10_000:2] == [score] * 5000
    assert found[1:10_000:2] == [None] * 5000
    assert found[10_000:] == found[:10]


def test_two_models_never_see_each_others_numbers(
    path: Path, random_gpt2: Model, random_llama: Model, gpt2_directory: Path
) -> None:
    with ScoreCache(path) as cache:
        part(cache, random_gpt2).keep_scores(list(zip(ASKED, SCORES, strict=True)))
        assert part(cache, random_llama).scores(ASKED) == [None] * 4
        changed = load(gpt2_directory, reuse=False)
        assert part(cache, changed).scores(ASKED) == SCORES
        changed.hf.transformer.h[0].mlp.c_fc.weight.data[0, 0] += 1
        assert part(cache, changed).scores(ASKED) == [None] * 4
        texts = Contrast(["the nurse said"], ["the engineer said he"])
        direction = difference_of_means(random_gpt2, texts, Site("resid_post", 0))
        with steered(random_gpt2, direction, 2.0) as moved:
            other = part(cache, moved)
            assert other.scores(ASKED) == [None] * 4
            other.keep_scores([(ASKED[0], SCORES[3])])
        assert part(cache, random_gpt2).scores(ASKED) == SCORES
    rows = sqlite3.connect(path).execute("SELECT count(*) FROM models").fetchone()
    assert rows == (2,)


def test_an_undeclared_hook_means_no_cache(
    path: Path, random_gpt2: Model, caplog: pytest.LogCaptureFixture
) -> None:
    with ScoreCache(path) as cache:
        mine = part(cache, random_gpt2)
        with edited(random_gpt2, {Site("resid_post", 0): lambda value: value * 2}):
            with caplog.at_level(logging.WARNING):
                assert cache.of(random_gpt2) is None
            assert "no cache is used: 2 hooks on the network" in caplog.text
            # One that was opened before does not take it either.
            with pytest.raises(InputError, match="as it was"):
                mine.keep_scores([(ASKED[0], SCORES[0])])
            with pytest.raises(InputError, match="as it was"):
                mine.scores(ASKED)
        assert mine.scores(ASKED) == [None] * 4


def test_the_engine_computes_nothing_twice(path: Path, random_llama: Model) -> None:
    pairs = [("the nurse said that", f" {word}") for word in ("she", "he", "the nurse", "x")]
    asked = continuations(random_llama, pairs)
    plain = score_continuations(random_llama, asked)
    with ScoreCache(path) as cache:
        first = score_continuations(random_llama, asked, cache=cache.of(random_llama))
        again = score_continuations(random_llama, asked, cache=cache.of(random_llama))
    assert first.scores == plain.scores == again.scores
    assert first.report.from_cache == 0
    assert again.report.from_cache == len(asked)
    assert again.report.computed_tokens == 0


@pytest.mark.parametrize("way", ["packed", "cached", "plain"])
def test_what_was_cut_off_goes_on_in_the_batches_it_had(
    path: Path, random_llama: Model, monkeypatch: pytest.MonkeyPatch, way: engine.Way
) -> None:
    """Each batch's scores equal those of a run without a break; also where parts are known."""
    monkeypatch.setattr(engine, "_trust_in", lambda _: engine._Trust(way))
    words = ("she", "he", "the nurse", "they said")
    beginnings = ("the nurse", "the engineer said that the nurse", "he", "they said")
    asked = continuations(random_llama, [(one, f" {end}") for one in beginnings for end in words])

    def scored(cache: ModelCache | None) -> engine.Scores:
        return score_continuations(random_llama, asked, batch_tokens=12, cache=cache)

    whole = scored(None)
    batches: list[list[tuple[Continuation, Score]]] = []
    score_continuations(
        random_llama, asked, batch_tokens=12, seen=lambda found: batches.append(list(found))
    )
    batches = [batch for batch in batches if batch]
    finished = [one for batch in batches[: len(batches) // 2] for one in batch]
    assert 0 < len(finished) < len(set(asked))
    with ScoreCache(path) as cache:
        part(cache, random_llama).keep_scores(finished)
        resumed = scored(part(cache, random_llama))
    assert resumed.scores == whole.scores
    assert resumed.report.from_cache == len(finished)

    with ScoreCache(path.with_name("mixed.sqlite")) as cache:
        known = [one for batch in batches for one in batch][::3]
        part(cache, random_llama).keep_scores(known)
        mixed = scored(part(cache, random_llama))
        assert scored(part(cache, random_llama)).report.computed_tokens == 0
    assert mixed.report.from_cache == len(known)
    for one, other in zip(mixed.scores, whole.scores, strict=True):
        assert one.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-5)


# Files


def test_a_file_of_something_else_is_refused_and_left(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("these are my notes, and long enough to be read as a header " * 20)
    with pytest.raises(InputError, match="not a cache, or a damaged one"):
        ScoreCache(text)
    assert text.read_text().startswith("these are my notes")
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (a)")
    connection.close()
    before = other.read_bytes()
    with pytest.raises(InputError, match="a database of something else"):
        ScoreCache(other)
    assert other.read_bytes() == before


def test_another_version_and_added_tables_are_refused(path: Path) -> None:
    ScoreCache(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(InputError, match="another version of the workbench"):
        ScoreCache(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 1")
        connection.execute("CREATE VIEW more AS SELECT * FROM models")
    connection.close()
    with pytest.raises(InputError, match="a database of something else"):
        ScoreCache(path)


def test_a_damaged_entry_is_refused(path: Path, random_gpt2: Model) -> None:
    with ScoreCache(path) as cache:
        part(cache, random_gpt2).keep_scores(list(zip(ASKED, SCORES, strict=True)))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE entries SET value = x'00000000bf00000000'")
    connection.close()
    with ScoreCache(path) as cache, pytest.raises(InputError, match="not what was written"):
        part(cache, random_gpt2).scores(ASKED)


def test_a_file_that_was_cut_off_is_refused(path: Path, random_gpt2: Model) -> None:
    with ScoreCache(path) as cache:
        many = [Continuation((1, number), (2, 3)) for number in range(5000)]
        part(cache, random_gpt2).keep_scores([(one, SCORES[0]) for one in many])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="left as it is"), ScoreCache(path) as cache:
        part(cache, random_gpt2).scores(many)
    assert path.stat().st_size == len(whole) // 2


def test_a_place_that_is_none_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        ScoreCache(tmp_path / "file" / "scores.sqlite")
    with pytest.raises(StorageError, match="cannot be used as a cache"):
        ScoreCache(tmp_path)


def test_a_full_disk_ends_the_keeping_and_not_the_run(
    path: Path, random_gpt2: Model, caplog: pytest.LogCaptureFixture
) -> None:
    asked = continuations(random_gpt2, [(f"the nurse {n}", " said") for n in range(200)])
    with ScoreCache(path) as cache, caplog.at_level(logging.WARNING):
        cache._store._connection.execute("PRAGMA max_page_count = 6")
        found = score_continuations(
            random_gpt2, asked, batch_tokens=64, cache=part(cache, random_gpt2)
        )
        assert "full" in str(cache.stopped)
    assert len(found.scores) == 200
    assert caplog.text.count("no longer kept") == 1
    # What was finished before is there.
    with ScoreCache(path) as cache:
        kept = [score for score in part(cache, random_gpt2).scores(asked) if score is not None]
    assert 0 < len(kept) < 200
    assert torch.tensor([kept[0].log_probability]).isfinite().all()


def test_the_usual_file_lies_in_the_users_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_path().name == "scores.sqlite"
    assert default_cache_path().is_relative_to(tmp_path)
