"""A report of a run in which everything is an attack: in a real browser, nothing of it happens."""

from __future__ import annotations

import json
from itertools import cycle
from typing import TYPE_CHECKING, Any

import pytest
from browsing import NEEDS_BROWSER, open_all, opened
from make_run import ATTACKS, make_run

from workbench.audit.reporting.report import build_report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = NEEDS_BROWSER

# A run could not be read at all without these, and its notebooks are poisoned cell by cell.
KEPT = {
    *("schema", "code", "section", "sections", "state", "verdict", "severity", "direction"),
    *("kind", "path", "codes", "cell_type", "output_type", "worst_is"),
}


def poisoned(value: Any, attacks: Iterator[str]) -> Any:
    """The JSON with each text in it replaced by the next attack, but for what names things."""
    if isinstance(value, dict):
        return {
            key: item if key in KEPT else poisoned(item, attacks) for key, item in value.items()
        }
    if isinstance(value, list):
        return [poisoned(item, attacks) for item in value]
    return next(attacks) if isinstance(value, str) else value


@pytest.fixture(
    scope="module",
    params=[ATTACKS[:-1], ATTACKS[3:-1], (ATTACKS[-1][:100_000],)],
    ids=["one after another", "otherwise", "endless lines"],
)
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run in which every text is an attack."""
    run = make_run(tmp_path_factory.mktemp("run"))
    attacks = cycle(request.param)
    for path in sorted([*run.rglob("*.json"), *run.rglob("*.ipynb")]):
        content = poisoned(json.loads(path.read_text("utf-8")), attacks)
        path.write_text(json.dumps(content), "utf-8")
    return build_report(run)


def test_nothing_of_it_happens(browser: Browser, report: Path) -> None:
    page, log = opened(browser, report)
    open_all(page)
    for field in page.get_by_label("Filter rows").all():
        field.fill("a")
    for button in page.locator(".table th:last-child button").all():
        button.click()
    assert log.requests == [report.as_uri()]
    assert log.messages == []
    assert log.dialogs == []
    assert page.url == report.as_uri()
    assert page.locator("iframe, object, embed, form, base, link, template").count() == 0
    assert page.locator("main a:not([href^='#'])").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1360
    assert report.stat().st_size < 3_000_000
    page.close()
