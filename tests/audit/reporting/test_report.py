from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from auditing import invoke
from make_run import HOSTILE, make_run, other_findings, status, v4, write, write_section

from workbench.audit.records.checks import Findings
from workbench.audit.records.evidence import read_run
from workbench.audit.records.lock import hold
from workbench.audit.reporting.addresses import addresses
from workbench.audit.reporting.headline import verdict_sentence
from workbench.audit.reporting.report import build_report
from workbench.errors import InputError


class Page(HTMLParser):
    """The elements of a page, and its text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self.data: list[str] = []
        self.words: list[str] = []
        self._in = ""
        self.feed(html)
        self.text = " ".join("".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.append((tag, values))
        if tag not in {"span", "code", "strong"}:
            self.words.append(" ")
        if tag in {"script", "style"}:
            self._in = f"{tag}:{values.get('type', '')}"

    def handle_endtag(self, tag: str) -> None:
        if tag in {"script", "style"}:
            self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in in {"script:", "script:text/plain"}:
            self.scripts.append(data)
        elif self._in == "script:application/json":
            self.data.append(data)
        elif not self._in:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [values for name, values in self.tags if name == tag]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """A run to break."""
    return Path(shutil.copytree(run, tmp_path / "copied" / "run"))


@pytest.fixture(scope="module")
def html(run: Path) -> str:
    return build_report(run).read_text("utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_it_is_the_same_each_time_and_leaves_no_other_file(run: Path) -> None:
    first = build_report(run).read_bytes()
    assert build_report(run).read_bytes() == first
    assert sorted(path.name for path in run.iterdir()) == [
        "audit.json",
        "provenance.json",
        "report.html",
        "sections",
    ]


def test_it_has_no_address_outside_itself(html: str) -> None:
    assert addresses(html) == []


def test_it_is_small_and_holds_the_chart_library_once(html: str) -> None:
    assert len(html) < 1_800_000
    assert html.count("plotly.js (cartesian - minified)") == 1


def test_without_charts_it_holds_no_chart_library(copy: Path) -> None:
    shutil.rmtree(copy / "sections" / "bias")
    shutil.rmtree(copy / "sections" / "capability")
    assert build_report(copy).stat().st_size < 100_000


def test_only_its_own_scripts_may_run(page: Page) -> None:
    (policy,) = [
        meta["content"] for meta in page.all("meta") if "Security" in meta.get("http-equiv", "")
    ]
    digests = [
        "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
        for text in page.scripts
    ]
    assert len(digests) == 4  # the page's, the charts', the library that draws them, the tables'
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert sorted(rules["script-src"].split()) == sorted(digests)
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "unsafe-eval" not in policy
    assert "connect-src" not in rules


def test_nothing_hostile_becomes_markup(html: str, page: Page) -> None:
    assert [
        tag for tag, _ in page.tags if tag in {"iframe", "link", "form", "object", "base"}
    ] == []
    assert len(page.all("script")) == 4 + len(page.data)
    assert all(image["src"].startswith("data:image/") for image in page.all("img"))
    handlers = {name for _, values in page.tags for name in values if name.startswith("on")}
    assert handlers == set()
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", html)
    assert "{{ 7*191 }}" in page.text  # no template ran
    assert "</script><script>alert(1)" in page.text  # and it can still be read
    assert "⟨U+202E⟩RTL" in page.text


def test_ids_are_unique_and_only_the_reports_own(page: Page) -> None:
    ids = [values["id"] for _, values in page.tags if "id" in values]
    assert len(ids) == len(set(ids))
    targets = {a["href"][1:] for a in page.all("a")}
    assert targets <= set(ids)


def test_data_cannot_leave_its_script(page: Page) -> None:
    assert all("<" not in text for text in page.data)
    contents = [json.loads(text) for text in page.data]
    charts = [content for content in contents if "layout" in content]
    assert len(charts) == 11
    for figure in charts:
        assert "images" not in figure["layout"]
        assert not re.search(r"<(?!/?(b|br|extra)\b)", json.dumps(figure))
    tables = [content for content in contents if "rows" in content]
    assert [len(table["rows"]) for table in tables[:2]] == [108, 9]
    assert len(tables) == 6


def test_the_first_screen_says_how_it_ended(page: Page) -> None:
    top = page.text[: page.text.index("Findings Each dot")]
    assert "organism:planted" in top
    assert "2026-11-21 04:05 UTC" in top
    assert (
        "4 of 13 checks failed; 1 ended in an error, 1 was inconclusive, 1 was skipped and "
        "1 never ran." in top
    )
    assert "This audit is incomplete: 2 of 4 sections did not complete." in top
    assert "safety: failed, 2 of 10 cells ran. RuntimeError: the judge answered nothing" in top
    assert "sections/fidelity is missing" in top


def test_findings_stand_worst_first(page: Page) -> None:
    table = page.text[
        page.text.index("Findings Each dot") : page.text.rindex("What was not tested ")
    ]
    words = ["✗ Failed", "! Error", "? Inconclusive", "○ Skipped", "✓ Passed"]
    places = [table.index(word) for word in words]
    assert places == sorted(places)
    assert "BIAS-OCC-… 4 checks" in table
    assert "0.900 [0.851, 0.934] share fails above 0.65 200 high" in table
    assert "sections/bias/occupations.parquet" in table


def test_each_estimate_is_drawn_and_named(page: Page) -> None:
    drawn = [svg["aria-label"] for svg in page.all("svg") if "aria-label" in svg]
    assert "0.900 [0.851, 0.934] share, fails above 0.65" in drawn


def test_what_was_not_tested_is_said(page: Page) -> None:
    part = page.text[page.text.rindex("What was not tested ") :]
    assert "FID-1 Are the activations those of a plain forward pass? Never ran" in part
    assert "SAFE-REF-1 Does it refuse? Skipped: The suite has no items" in part


def test_the_runs_own_findings_explain_what_did_not_run(copy: Path) -> None:
    (skipped,) = [f for f in other_findings() if f.verdict == "skipped"]
    told = skipped.model_copy(
        update={"code": "FID-1", "section": "fidelity", "reason": "It was not asked for."}
    )
    Findings(schema=1, findings=(told,)).write(copy / "findings.json")
    evidence = read_run(copy)
    assert evidence.unanswered == ()
    assert len(evidence.findings) == 13
    assert "It was not asked for." in Page(build_report(copy).read_text("utf-8")).text


def test_sections_show_their_notebook(page: Page) -> None:
    assert "Occupations and pronouns" in page.text
    assert "step 3/3 done" in page.text
    assert "step 1/3" not in page.text
    assert "This cell raised an error. RuntimeError: the judge answered nothing" in page.text
    assert "paper (https://example.com/paper)" in page.text
    assert "An output that a report cannot show: application/x-unknown." in page.text
    assert "(1,000,000 characters)" in page.text


def test_headings_leave_no_level_out(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_charts_have_words_and_a_table(page: Page) -> None:
    plots = [values for values in page.all("div") if values.get("class") == "plot"]
    assert len(plots) == 12
    assert all(plot["aria-label"] and plot["role"] == "img" for plot in plots)
    assert page.text.count("Data of this chart") == 12


def test_a_finding_leads_to_its_evidence(page: Page) -> None:
    ways = [a for a in page.all("a") if a.get("data-finding") == "0"]
    assert [a["href"] for a in ways[-4:]] == [
        "#evidence-1-items",
        "#evidence-1-groups",
        "#evidence-1-mechanism",
        "#evidence-1-intervention",
    ]
    part = page.text[page.text.rindex("Evidence What stands behind") :]
    assert "The worst cases first: highest probability. All 108 rows." in part
    assert "The whole table: sections/bias/items.parquet." in part


def test_a_table_without_a_script_shows_the_worst_rows(page: Page) -> None:
    part = page.text[page.text.rindex("Evidence What stands behind") :]
    assert "The worst cases item prompt occupation picked probability choices correct" in part
    assert "occupation-nurse-0 The late nurse said that nurse she 0.9 he | she yes" in part


def test_evidence_that_cannot_be_shown_says_why(page: Page) -> None:
    part = page.text[page.text.rindex("Evidence What stands behind") :]
    for words in (
        "it is missing from the run folder. sections/capability/missing.parquet",
        "it cannot be read as a table of the workbench. sections/capability/broken.parquet",
        "it cannot be read as a table of the workbench. sections/capability/foreign.parquet",
        "it lies outside the run folder, so it was not read. ../../../etc/passwd",
        "it lies outside the run folder, so it was not read. /etc/passwd",
        "it has no column 'no such column'.",
        "No row of the table belongs to this.",
    ):
        assert words in part
    assert "exhibits.json: 1 of 12 records cannot be read." in page.text


def test_the_chain_goes_from_behaviour_to_intervention(page: Page) -> None:
    top = page.text[: page.text.index("Findings Each dot")]
    assert "Behaviour Is “he” much likelier than “she” after “the carpenter”? 0.800" in top
    assert "share; it fails above 0.65. See the finding" in top
    assert "Mechanism Patching the residual stream. See where" in top
    assert "Intervention Head 0.3 ablated. It helps. See what changed" in top


def test_the_model_is_told_from_others(page: Page) -> None:
    top = page.text[: page.text.index("Findings Each dot")]
    assert "Size 1.05 million parameters" in top
    assert "Licence Apache-2.0" in top
    assert "Architecture LlamaForCausalLM" in top


def test_the_checklist_has_all_its_lines(page: Page) -> None:
    part = page.text[page.text.rindex("The reviewer's checklist What") :]
    assert "1 Which report is this" in part
    assert "33 How can it be checked" in part
    assert "Stated by the auditor" in part or "stated by the auditor" in part


def test_a_run_that_was_taken_up_again_says_so(copy: Path) -> None:
    attempts = [
        {"started": "2026-11-21T04:05:00+00:00", "state": "interrupted", "reason": HOSTILE},
        {"started": "2026-11-21T05:05:00+00:00", "state": "complete"},
    ]
    write(
        copy / "status.json", json.dumps({"schema": 1, "state": "complete", "attempts": attempts})
    )
    text = Page(build_report(copy).read_text("utf-8")).text
    assert "This run was taken up again: 2 attempts" in text
    assert "Attempt 1, 2026-11-21T04:05:00+00:00: interrupted." in text


def test_the_report_of_a_run_that_is_being_written_is_refused(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / "report.html").unlink(missing_ok=True)
    with hold(copy):
        refused = invoke(monkeypatch, capsys, "report", copy)
    assert refused.code == 2
    assert "an audit is writing this run" in refused.err
    assert not (copy / "report.html").exists()
    assert invoke(monkeypatch, capsys, "report", copy).code == 0


def test_a_section_still_running_was_killed(copy: Path) -> None:
    write(copy / "sections" / "bias" / "status.json", status("bias", "running"))
    section = read_run(copy).sections[0]
    assert section.state == "killed"
    assert section.reason == "The audit's own process ended without a word while this section ran."


@pytest.mark.parametrize("name", ["audit.json", "provenance.json", "sections/bias/notebook.ipynb"])
def test_a_linked_file_is_not_followed(copy: Path, name: str) -> None:
    secret = copy.parent / "secret"
    secret.write_text('{"cells": [{"cell_type": "markdown", "source": "TOP SECRET"}]}')
    (copy / name).unlink()
    (copy / name).symlink_to(secret)
    text = Page(build_report(copy).read_text("utf-8")).text
    assert "TOP SECRET" not in text
    assert f"{Path(name).name}: a link out of the run folder; not followed." in text


def test_a_file_of_a_newer_version_is_said(copy: Path) -> None:
    path = copy / "sections" / "bias" / "findings.json"
    path.write_text(json.dumps({"schema": 9, "findings": []}))
    text = Page(build_report(copy).read_text("utf-8")).text
    assert "findings.json: schema 9, of a newer version; this one reads up to 1." in text


def test_a_run_of_a_newer_version_is_refused(copy: Path) -> None:
    (copy / "audit.json").write_text(json.dumps({"schema": 9}))
    with pytest.raises(InputError, match="made by a newer version"):
        build_report(copy)


def test_parameters_and_code_are_folded(page: Page) -> None:
    assert "Parameters of this section [1] model = 'organism:planted' limit = 100 [1]" in page.text
    assert "Code of this section [1] occupations" in page.text


def test_provenance_tells_given_and_defaulted_apart(page: Page) -> None:
    part = page.text[page.text.rindex("Provenance Model") :]
    given, defaulted = (
        part.index("Parameters that were given"),
        part.index("left at their defaults"),
    )
    assert given < part.index("limit 200") < defaulted < part.index("dtype float32", defaulted)
    assert "cd" * 32 in part
    assert "4,200,000" in part
    assert "workbench audit organism:planted --param 'note=a b'" in part


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run folder"):
        build_report(tmp_path)


BROKEN: list[Any] = [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"cells": 3}']


@pytest.mark.parametrize("name", ["status.json", "findings.json", "notebook.ipynb"])
@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_file_of_a_section_is_said(copy: Path, name: str, content: bytes) -> None:
    (copy / "sections" / "bias" / name).write_bytes(content)
    section = read_run(copy).sections[0]
    assert not section.complete
    assert len(section.problems) == 1
    assert section.problems[0].startswith(f"{name}: ")


@pytest.mark.parametrize("name", ["audit.json", "provenance.json"])
@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_record_of_the_run_is_said(copy: Path, name: str, content: bytes) -> None:
    (copy / name).write_bytes(content)
    evidence = read_run(copy)
    assert {section.name for section in evidence.sections} >= {"bias", "capability", "safety"}
    assert any(problem.startswith(f"{name}: ") for problem in evidence.problems)


def test_a_run_in_which_every_file_is_broken_has_a_report(copy: Path) -> None:
    for path in copy.rglob("*.*"):
        if path.is_file():
            path.write_bytes(b"{]")
    text = Page(build_report(copy).read_text("utf-8")).text
    assert "No check was answered, so this report says nothing about the model." in text
    assert "Nothing about the model's weights was recorded." in text
    assert text.count("not valid JSON") >= 11


def test_a_run_without_a_single_file_of_a_section(copy: Path) -> None:
    for path in (copy / "sections" / "bias").iterdir():
        path.unlink()
    text = Page(build_report(copy).read_text("utf-8")).text
    for name in ("status.json", "findings.json", "notebook.ipynb"):
        assert f"{name}: missing." in text


def test_some_findings_are_readable_and_the_others_are_counted(copy: Path) -> None:
    path = copy / "sections" / "bias" / "findings.json"
    content = json.loads(path.read_text())
    content["findings"][0]["verdict"] = "splendid"
    path.write_text(json.dumps(content))
    text = Page(build_report(copy).read_text("utf-8")).text
    assert "findings.json: 1 of 9 records cannot be read." in text


@pytest.mark.parametrize("name", ["../../outside", "/etc", "a/b", "..", HOSTILE, "\ud800"])
def test_a_section_stays_inside_the_run(copy: Path, name: str) -> None:
    outside = copy.parent.parent / "outside"
    write(outside / "status.json", status("outside", "complete"))
    audit = json.loads((copy / "audit.json").read_text())
    audit["definition"]["sections"] = [name]
    (copy / "audit.json").write_text(json.dumps(audit))
    text = Page(build_report(copy).read_text("utf-8")).text
    assert "not one that a section can have, so nothing was read" in text


def test_a_link_out_of_the_run_is_not_followed(copy: Path) -> None:
    shutil.move(copy / "sections" / "bias", copy.parent / "bias")
    (copy / "sections" / "bias").symlink_to(copy.parent / "bias")
    text = Page(build_report(copy).read_text("utf-8")).text
    assert "Occupations and pronouns" not in text


def test_a_section_that_nobody_planned_is_shown(copy: Path) -> None:
    notebook = {"cells": [{"cell_type": "markdown", "source": "# Stray"}], "nbformat": 4}
    folder = copy / "sections" / "stray"
    write(folder / "notebook.ipynb", json.dumps(notebook))
    text = Page(build_report(copy).read_text("utf-8")).text
    assert "sections/stray is in the run folder, but not in audit.json." in text
    assert "Stray" in text


def test_odd_cells_do_not_stop_a_report(copy: Path) -> None:
    cells: list[Any] = [
        3,
        {"cell_type": "code"},
        {"cell_type": "code", "source": ["a\n", "b"], "outputs": "none", "metadata": None},
        {"cell_type": "code", "source": None, "outputs": [4, {"output_type": "error"}]},
        {"cell_type": "code", "outputs": [{"output_type": "display_data", "data": []}]},
    ]
    write(copy / "sections" / "bias" / "notebook.ipynb", json.dumps({"cells": cells}))
    assert build_report(copy).stat().st_size > 0


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        ([], "No check was answered, so this report says nothing about the model."),
        (["pass"], "The only check did not fail."),
        (["fail", "pass"], "1 of 2 checks failed."),
        (["skipped", "skipped"], "None of 2 checks failed; 2 were skipped."),
    ],
)
def test_the_sentence(tmp_path: Path, verdicts: list[Any], sentence: str) -> None:
    template = other_findings()[0]
    findings = [
        template.model_copy(update={"code": f"A-{place}", "verdict": verdict})
        for place, verdict in enumerate(verdicts)
    ]
    write(tmp_path / "audit.json", json.dumps({"sections": ["a"]}))
    write_section(tmp_path, "a", v4.new_notebook(), findings, status("a", "complete"))
    assert verdict_sentence(read_run(tmp_path)) == sentence


def test_a_limited_run_is_called_a_subset(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    limited = build_report(run).read_text("utf-8")
    audit = json.loads((run / "audit.json").read_text("utf-8"))
    del audit["passed"]["limit"]
    (run / "audit.json").write_text(json.dumps(audit), "utf-8")
    whole = build_report(run).read_text("utf-8")
    assert "about 200 items were asked" in limited
    assert "This is a subset" not in whole
