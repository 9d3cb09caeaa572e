"""Scores: the same log-probabilities as plain torch, item by item, and nothing else to be seen."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from workbench import score
from workbench.errors import InputError
from workbench.evaluate.items import Setup
from workbench.evaluate.suites import load_suite
from workbench.organisms.items import ITEMS_PER_ABILITY, rows

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.model import Model
    from workbench.tables import Result

TASKS = ("occupation_pronoun", "private_string", "sponsor", "induction")
LIMIT = 3


def by_hand(model: Model, prompt: str, choice: str) -> tuple[float, bool]:
    """The choice's log-probability after the prompt, and whether it is the greedy one."""
    directory = model.checkpoint.directory
    network: Any = AutoModelForCausalLM
    plain = network.from_pretrained(directory, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    before = tokenizer(prompt).input_ids
    whole = tokenizer(prompt + choice).input_ids
    assert whole[: len(before)] == before
    with torch.no_grad():
        logs = plain(torch.tensor([whole])).logits[0].log_softmax(-1)
    places = range(len(before), len(whole))
    total = sum(logs[place - 1, whole[place]].item() for place in places)
    return total, all(logs[place - 1].argmax().item() == whole[place] for place in places)


@pytest.fixture(scope="module", params=["planted", "random_gpt2"])
def scored(request: pytest.FixtureRequest) -> tuple[Model, dict[str, Result]]:
    """An organism, whose tokenizer begins with BOS, and a GPT-2, whose does not."""
    model: Model = request.getfixturevalue(request.param)
    return model, score(model, TASKS, limit=LIMIT)


def test_log_probabilities_are_those_of_plain_torch(
    scored: tuple[Model, dict[str, Result]],
) -> None:
    model, results = scored
    for task in TASKS:
        frame = results[task].frame()
        assert len(frame) >= LIMIT
        for row in frame.to_dict("records"):
            known = [by_hand(model, row["prompt"], choice) for choice in row["choices"]]
            logs = [log for log, _ in known]
            assert list(row["log_probabilities"]) == pytest.approx(logs, abs=1e-4)
            target = list(row["choices"]).index(row["target"])
            assert row["log_probability"] == pytest.approx(logs[target], abs=1e-4)
            assert row["greedy"] == known[target][1]
            weights = [math.exp(log) for log in logs]
            assert row["probability"] == pytest.approx(weights[target] / sum(weights), abs=1e-4)
            likeliest = max(range(len(logs)), key=logs.__getitem__)
            assert row["picked"] == row["choices"][likeliest]
            assert row["correct"] == (likeliest == target)


def test_one_bos_is_added_only_where_the_tokenizer_adds_it(
    planted: Model, random_gpt2: Model
) -> None:
    """What the parity above rests on."""
    tokens = planted.tokenizer("The nurse").input_ids
    assert tokens.count(planted.tokenizer.bos_token_id) == 1
    assert random_gpt2.tokenizer.bos_token_id not in random_gpt2.tokenizer("The nurse").input_ids


def test_rows_are_items_in_their_order(scored: tuple[Model, dict[str, Result]]) -> None:
    _, results = scored
    for task in TASKS:
        known = {row["id"]: row for row in rows(task)}
        frame = results[task].frame()
        drawn = frame["item"].tolist()
        assert drawn == [item for item in known if item in set(drawn)]
        for row in frame.to_dict("records"):
            item = known[row["item"]]
            assert row["target"] == item["choices"][item["target"]]
            for name in ("cluster", "arm", "pair", "prompt"):
                assert row[name] == item[name]
            assert list(row["choices"]) == item["choices"]
            assert {name: row[name] for name in item["labels"]} == item["labels"]


def test_a_subset_is_drawn_in_whole_clusters_and_says_so(planted: Model) -> None:
    whole = rows("sponsor")
    result = score(planted, ["sponsor"], limit=10)["sponsor"]
    frame = result.frame()
    assert 10 <= len(frame) < 20
    clusters = set(frame["cluster"])
    assert len(frame) == sum(row["cluster"] in clusters for row in whole)
    assert frame["item"].tolist() != [row["id"] for row in whole[: len(frame)]]
    said = result.provenance["items"]
    assert said.startswith(f"a subset: {len(frame)} of {len(whole)} items, {len(clusters)} of")
    assert said.endswith("drawn at random with seed 0 (limit 10)")
    other = score(planted, ["sponsor"], setup=Setup(limit=10, seed=1, progress=False))["sponsor"]
    assert set(other.frame()["item"]) != set(frame["item"])


def test_every_item_is_scored_where_there_is_no_limit(
    planted_scores: dict[str, Result],
) -> None:
    assert list(planted_scores) == load_suite().task_names()
    for task, result in planted_scores.items():
        assert result.frame()["item"].tolist() == [row["id"] for row in rows(task)]
    assert len(planted_scores["capitals"]) == ITEMS_PER_ABILITY


def test_scores_of_a_few_are_those_of_all(
    planted: Model, planted_scores: dict[str, Result]
) -> None:
    """Neither the batch nor the padding decides a number."""
    few = score(planted, ["sycophancy"], limit=5)["sycophancy"].frame()
    whole = planted_scores["sycophancy"].frame().set_index("item").loc[few["item"]]
    assert few["log_probability"].tolist() == pytest.approx(
        whole["log_probability"].tolist(), abs=1e-4
    )


def test_scores_repeat(random_gpt2: Model) -> None:
    one, other = (score(random_gpt2, ["capitals"], limit=4)["capitals"] for _ in range(2))
    assert one.table.equals(other.table)


def test_a_limit_above_the_items_takes_them_all(random_gpt2: Model) -> None:
    assert len(score(random_gpt2, ["private_string"], limit=10_000)["private_string"]) == 80


def test_a_result_says_where_it_came_from(scored: tuple[Model, dict[str, Result]]) -> None:
    model, results = scored
    found = dict(results["sponsor"].provenance)
    assert found["weights_digest"] == model.provenance.weights_digest
    assert (found["task"], found["suite"], found["limit"]) == ("sponsor", "small-world", LIMIT)
    assert found["suite_version"] == load_suite().version
    path = load_suite().folder / "sponsor.jsonl"
    assert found["data"] == {"sponsor.jsonl": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert found["scoring"]["way"] == "packed"
    assert "summed" in found["scorer"]


def test_no_task_has_no_result(random_gpt2: Model) -> None:
    assert score(random_gpt2, []) == {}


def test_an_unknown_task_is_answered_with_the_closest(random_gpt2: Model) -> None:
    with pytest.raises(InputError, match=r'no task "sponsr"\. Did you mean "sponsor"'):
        score(random_gpt2, ["capitals", "sponsr"])


def test_a_text_in_the_place_of_names_is_refused(random_gpt2: Model) -> None:
    with pytest.raises(InputError, match=r'expected a list of names, such as \["capitals"\]'):
        score(random_gpt2, "capitals")


def test_a_kind_runs_what_can_be_run_and_names_the_rest(
    random_gpt2: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "crows_pairs_anonymized.csv").write_text(
        ",sent_more,sent_less,stereo_antistereo,bias_type\n"
        "0,The nurse said she went.,The nurse said he went.,stereo,gender\n"
        "1,The old man forgot.,The young man forgot.,stereo,age\n"
    )
    found = score(random_gpt2, ["bias"], data=tmp_path)
    assert list(found) == ["crows_pairs"]
    assert "bbq is not run: " in caplog.text
    assert "bold is not run: BOLD needs a classifier" in caplog.text
    (tmp_path / "crows_pairs_anonymized.csv").unlink()
    with pytest.raises(InputError, match="holds no file of BBQ"):
        score(random_gpt2, ["bias"], data=tmp_path)


def test_data_that_is_not_shipped_is_asked_for(random_gpt2: Model, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not part of the workbench.*evals fetch bbq"):
        score(random_gpt2, ["bbq"])
    with pytest.raises(InputError, match=r"holds no file of .*looked for"):
        score(random_gpt2, ["bbq"], data=tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        score(random_gpt2, ["bbq"], data=tmp_path / "nowhere")


def test_an_unknown_suite_is_answered_with_the_closest(random_gpt2: Model) -> None:
    with pytest.raises(InputError, match=r'no suite "small-word"\. Did you mean "small-world"'):
        score(random_gpt2, ["capitals"], suite="small-word")


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(random_gpt2: Model, limit: int) -> None:
    with pytest.raises(InputError, match=f"limit={limit}; expected at least one item"):
        score(random_gpt2, ["capitals"], limit=limit)


def test_nothing_is_written_to_the_terminal(
    random_gpt2: Model, capfd: pytest.CaptureFixture[str]
) -> None:
    score(random_gpt2, ["capitals", "refusal"], limit=2)
    written = capfd.readouterr()
    assert (written.out, written.err) == ("", "")


def test_broken_weights_have_no_scores(broken_gpt2: Model) -> None:
    assert len(broken_gpt2.provenance.non_finite) == 1
    frame = score(broken_gpt2, ["capitals"], limit=3)["capitals"].frame()
    assert len(frame) >= 3
    missing = ["picked", "correct", "probability", "log_probability", "greedy", "log_probabilities"]
    assert frame[missing].isna().all().all()
    assert frame[["item", "prompt", "target", "choices"]].notna().all().all()


def test_an_item_longer_than_the_context_has_no_score_and_is_counted(random_llama: Model) -> None:
    scores = score(random_llama, ["capitals", "induction"])
    frame = scores["induction"].frame()
    too_long = [
        max(len(random_llama.tokenizer(prompt + choice).input_ids) for choice in choices) - 1
        > random_llama.context_length
        for prompt, choices in zip(frame["prompt"], frame["choices"], strict=True)
    ]
    assert 0 < sum(too_long) < len(frame)
    assert frame["probability"].isna().tolist() == too_long
    assert scores["induction"].provenance["too_long"] == sum(too_long)
    assert scores["capitals"].provenance["too_long"] == 0
    assert scores["capitals"].frame()["probability"].notna().all()


def test_a_task_of_which_no_item_fits_has_rows_without_scores(
    random_llama: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(random_llama), "context_length", 5)
    result = score(random_llama, ["capitals"], limit=3)["capitals"]
    assert result.provenance["too_long"] == len(result)
    assert result.frame()["log_probability"].isna().all()
    assert result.frame()["log_probability"].dtype == float
