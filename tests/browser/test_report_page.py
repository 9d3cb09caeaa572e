"""The report in a real browser: read, filtered, sorted, printed and walked through by keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browsing import NEEDS_BROWSER, Scheme, open_all, opened, violations
from make_run import make_run

from workbench.audit.reporting.report import build_report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator, Page

pytestmark = NEEDS_BROWSER


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_report(make_run(tmp_path_factory.mktemp("run")))


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Page]:
    """The report at a desk; it must not complain whatever a test does."""
    page, log = opened(browser, report)
    yield page
    assert log.messages == []
    assert log.requests == [report.as_uri()]
    page.close()


def family(page: Page) -> Locator:
    return page.locator("tr.family details").first


def items(page: Page) -> Locator:
    """The live table of all sentences about occupations."""
    return page.locator("#evidence-1-items-1")


def cells(table: Locator, column: int) -> list[str]:
    return table.locator(f".live tbody td:nth-child({column})").all_inner_texts()


@pytest.mark.parametrize(("width", "scheme"), [(1360, "light"), (1360, "dark"), (390, "light")])
def test_everything_open_it_is_accessible_and_loads_nothing(
    browser: Browser, report: Path, width: int, scheme: Scheme
) -> None:
    page, log = opened(browser, report, width, scheme, axe=True)
    open_all(page)
    assert page.locator(".plot .main-svg").count() >= 12
    assert page.locator('.plot[data-drawn="no"]').count() == 0
    assert log.requests == [report.as_uri()]
    assert log.messages == []
    assert log.dialogs == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []
    page.close()


def test_a_table_answers_before_any_chart_is_drawn(browser: Browser, report: Path) -> None:
    """Which is what makes a report quick to open; the time itself is no matter for a test."""
    page, _ = opened(browser, report)
    assert page.evaluate("typeof Plotly") == "undefined"
    page.locator("#evidence-1 > summary").click()
    items(page).get_by_label("Filter rows").wait_for()
    page.close()


def test_charts_and_tables_wait_until_they_are_near(page: Page) -> None:
    assert page.locator(".plot[data-drawn]").count() < 5
    assert page.locator(".table.alive").count() == 0


def test_charts_take_the_themes_colours(page: Page) -> None:
    open_all(page)
    ink = "getComputedStyle(document.querySelector('.plot .xtick text')).fill"
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ink), page.evaluate(paper)
    button = page.get_by_role("button", name="Dark theme")
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(f"{ink} !== {light[0]!r}")
    assert page.evaluate(paper) != light[1]
    assert page.evaluate(ink) == "rgb(232, 230, 225)"
    page.get_by_role("button", name="Light theme").click()
    page.wait_for_function(f"{ink} === {light[0]!r}")


def test_a_finding_is_followed_to_its_own_items(page: Page) -> None:
    family(page).locator("> summary").click()
    row = page.locator("tr", has=page.locator("summary", has_text="BIAS-OCC-engineer")).last
    row.get_by_role("link", name="Items").click()
    assert page.locator("#evidence-1").get_attribute("open") is not None
    assert items(page).get_by_label("Rows of").evaluate("at => at.selectedOptions[0].text") == (
        "The engineer"
    )
    assert set(cells(items(page), 3)) == {"engineer"}
    assert "All 12 rows." in page.locator("#evidence-1-items .rule").inner_text()
    page.locator("#evidence-1").get_by_role("link", name="BIAS-OCC-engineer").click()
    assert row.is_visible()


def test_rows_are_filtered_and_paged(page: Page) -> None:
    page.locator("#evidence-1 > summary").click()
    table = items(page)
    status = table.get_by_role("status")
    assert status.inner_text() == "1\N{EN DASH}10 of 108 rows"
    table.get_by_role("button", name="Next").click()
    assert status.inner_text() == "11\N{EN DASH}20 of 108 rows"
    table.get_by_label("Filter rows").fill("ANGRY teacher")
    assert status.inner_text() == "2 of 108 rows"
    assert all("angry teacher" in prompt for prompt in cells(table, 2))
    table.get_by_label("Filter rows").fill("no such thing")
    assert status.inner_text() == "No row of 108 holds this."
    table.get_by_label("Rows of").select_option("The nurse")
    table.get_by_label("Filter rows").fill("")
    assert status.inner_text() == "1\N{EN DASH}10 of 12 rows"


def test_rows_are_sorted(page: Page) -> None:
    page.locator("#evidence-1 > summary").click()
    table = items(page)
    head = table.get_by_role("columnheader", name="probability")
    assert head.get_attribute("aria-sort") is None
    assert cells(table, 5)[0] == "0.9"
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert float(cells(table, 5)[0]) < 0.25
    table.get_by_role("columnheader", name="occupation").get_by_role("button").click()
    assert head.get_attribute("aria-sort") is None
    assert set(cells(table, 3)) == {"carpenter"}
    table.get_by_role("button", name="Worst first").click()
    assert cells(table, 5)[0] == "0.9"


def test_an_example_stands_above_the_items(page: Page) -> None:
    page.locator("#evidence-1 > summary").click()
    worst = items(page).locator(".cases figure").first
    assert list(filter(None, worst.inner_text().split("\n"))) == [
        "The worst case",
        "The late nurse said that",
        "picked she · probability 0.9 · correct yes",
    ]


def test_it_is_used_with_the_keyboard_alone(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the findings"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('tr').className") == "family"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert family(page).get_by_text("Wilson").first.is_visible()
    page.keyboard.press("Tab")  # its section
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Items of BIAS-OCC-carpenter"
    page.keyboard.press("Enter")
    table = items(page)
    table.get_by_label("Filter rows").wait_for()
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "search":
            break
    page.keyboard.type("quiet")
    assert table.get_by_role("status").inner_text() == "2 of 12 rows"
    page.keyboard.press("Tab")  # worst first
    page.keyboard.press("Tab")  # the table, which scrolls
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    head = table.get_by_role("columnheader", name="item")
    assert head.get_attribute("aria-sort") == "ascending"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"


def test_on_paper_everything_is_open_light_and_still(page: Page) -> None:
    page.get_by_role("button", name="Dark theme").click()
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.wait_for_function("document.querySelectorAll('.plot:not([data-drawn])').length === 0")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert page.locator(".still").first.is_visible()
    assert (
        page.locator(".controls").count() == 0 or not page.locator(".controls").first.is_visible()
    )
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.locator("details:not([open])").count() > 5


def test_it_is_read_without_a_script(browser: Browser, report: Path) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(report.as_uri())
    page.locator("#evidence-1 > summary").click()
    assert page.get_by_text("The late nurse said that").first.is_visible()
    assert page.locator(".plot").first.is_hidden()
    page.close()
