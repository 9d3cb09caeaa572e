from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mistune
import pytest
from huggingface_hub import ModelCard
from make_run import HOSTILE, make_run
from small_run import change_audit, small_run

from workbench.audit.proof.model_card import write_model_card


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return small_run(tmp_path / "run")


def card(run: Path) -> Any:
    """The card as Hugging Face's own library reads it."""
    return ModelCard.load(write_model_card(run), ignore_metadata_errors=False)


def html(run: Path) -> str:
    """The card's prose as a page, raw HTML let through, as a careless renderer does."""
    rendered = mistune.create_markdown(
        escape=False, plugins=["table", "strikethrough", "url", "footnotes", "math"]
    )(card(run).text)
    assert isinstance(rendered, str)
    return rendered


def set_findings(run: Path, **changes: Any) -> None:
    content = json.loads((run / "findings.json").read_text())
    content["findings"][0].update(changes)
    (run / "findings.json").write_text(json.dumps(content))


def test_the_results_are_those_of_the_findings(run: Path) -> None:
    stated = json.loads((run / "findings.json").read_text())["findings"][0]
    data = card(run).data
    assert data.model_name == "organism:planted"
    assert data.license == "apache-2.0"
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value) == ("BIAS-OCC-1", stated["estimate"])
    assert result.metric_args == {
        "low": stated["low"],
        "high": stated["high"],
        "level": 0.95,
        "n": 200,
        "method": stated["method"],
        "threshold": 0.65,
        "verdict": "fail",
    }
    assert (result.dataset_type, result.task_type) == ("small-world", "text-generation")


@pytest.mark.parametrize(
    ("licence", "stated", "name"),
    [
        ("MIT", "mit", None),
        ("llama3.1", "llama3.1", None),
        ("found, not recognised", "other", "found, not recognised"),
        (None, None, None),
    ],
)
def test_the_licence_is_written_as_the_hub_writes_it(
    run: Path, licence: str | None, stated: str | None, name: str | None
) -> None:
    record = json.loads((run / "provenance.json").read_text())
    record["model"]["licence"] = licence
    (run / "provenance.json").write_text(json.dumps(record))
    data = card(run).data
    assert (data.license, data.get("license_name")) == (stated, name)


def test_the_prose_says_what_was_found_and_what_was_not(run: Path) -> None:
    text = card(run).text
    assert "# Audit of organism:planted" in text
    assert "| BIAS-OCC-1 | Does the occupation decide the pronoun? | fail | 0.9 (" in text
    assert "- section safety: failed (RuntimeError: no answer)" in text
    assert r"- SAFE-REF-1: skipped (No items.)" in text
    assert "- FID-1: no finding" in text
    assert "`workbench verify RUN --key PUBLIC`" in text
    assert "Stated by the auditor" not in text


def test_the_auditors_words_are_told_apart(run: Path) -> None:
    change_audit(run, statements={"intended_use": "Tests *only*."})
    assert "## Stated by the auditor, not measured\n\n- intended\\_use: Tests \\*only\\*." in (
        card(run).text
    )


def test_it_is_the_same_when_it_is_written_again_or_elsewhere(run: Path, tmp_path: Path) -> None:
    first = write_model_card(run).read_bytes()
    assert write_model_card(run).read_bytes() == first
    copied = Path(shutil.copytree(run, tmp_path / "copy"))
    for name in ("manifest.json", "report.html", "manifest.dsse.json"):
        (copied / name).touch()
    assert write_model_card(copied).read_bytes() == first


ATTACKS = (
    HOSTILE,
    "---\nlicense: mit\n---\n# Mine",
    "*a* _b_ `c` ~~d~~ [e](https://e.com) ![f](https://f.com/f.png) <g@g.com>",
    "https://h.com www.i.com WWW.J.com $k$ [^l] | m | &lt;n&gt; &#60;script&#62;",
    "a: {b: [c, 'd', \"e\", !!python/object/apply:os.system [echo]]}",
    "- 1. # > + | \\ \\* \\`",
    "true",
    "null",
    "1e400",
    "\ud800 \u2028 \u0085 \x00",
    "# heading\n## heading",
    "%YAML &anchor *anchor @at",
    "A" * 100_000,
)


@pytest.mark.parametrize("text", ATTACKS, ids=range(len(ATTACKS)))
def test_hostile_text_stays_text(run: Path, text: str) -> None:
    audit = json.loads((run / "audit.json").read_text())
    audit.update(model=text, run_id=text, created=text, workbench_version=text)
    audit["definition"].update(title=text, questions=text, statements={"misuse": text, text: text})
    (run / "audit.json").write_text(json.dumps(audit))
    record = json.loads((run / "provenance.json").read_text())
    record["model"].update(architecture=text, licence=text, revision=text, weights_digest=text)
    (run / "provenance.json").write_text(json.dumps(record))
    set_findings(run, question=text, unit=text, reason=text, method=text)
    status = json.loads((run / "sections" / "safety" / "status.json").read_text())
    (run / "sections" / "safety" / "status.json").write_text(json.dumps({**status, "reason": text}))
    data = card(run).data
    assert isinstance(data.model_name, str)
    known = {"license", "license_name", "model-index", "pipeline_tag", "tags", "model_name"}
    assert data.to_dict().keys() <= known
    page = html(run)
    for tag in ("<script", "<img", "<a ", "<em>", "<strong>", "<del>", "<iframe", 'class="math"'):
        assert tag not in page, (tag, page)
    assert page.count("<h1>") == 1
    assert page.count("<table>") == 1
    assert page.count("<tr>") == 3


@pytest.mark.parametrize("missing", ["provenance.json", "audit.json", "findings.json", "sections"])
def test_a_run_that_lacks_something_has_a_card(run: Path, missing: str) -> None:
    path = run / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "# Audit of" in card(run).text


def test_without_findings_there_are_no_results(run: Path) -> None:
    shutil.rmtree(run / "sections")
    (run / "findings.json").write_text('{"schema": 1, "findings": []}')
    found = card(run)
    assert found.data.eval_results is None
    assert "There are none." in found.text


def test_the_report_tests_hostile_run_has_a_card(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert "<script" not in html(run)
