"""The report in a real browser: nothing is loaded, nothing hostile runs, charts are drawn."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import pytest
from make_run import make_run

from workbench.audit.report import build_report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]


@dataclass
class Log:
    """What a page asked for and complained about."""

    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_report(make_run(tmp_path_factory.mktemp("run")))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as runner:
        chromium = runner.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def opened(
    browser: Browser, report: Path, width: int = 1360, scheme: Literal["light", "dark"] = "light"
) -> tuple[Page, Log]:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    log = Log()
    page.on("request", lambda request: log.requests.append(request.url))
    page.on("console", lambda message: log.messages.append(message.text))
    page.on("pageerror", lambda error: log.messages.append(str(error)))

    def dismiss(dialog: object) -> None:
        log.dialogs.append(str(dialog))
        dialog.dismiss()  # type: ignore[attr-defined] # playwright's Dialog

    page.on("dialog", dismiss)
    page.goto(report.as_uri())
    return page, log


def draw_all(page: Page) -> None:
    """Scroll to each chart and wait until it is drawn."""
    plots = page.locator(".plot")
    for place in range(plots.count()):
        plots.nth(place).scroll_into_view_if_needed()
        page.wait_for_function(
            "place => document.querySelectorAll('.plot')[place].dataset.drawn === 'yes'", arg=place
        )
    page.evaluate("scrollTo(0, 0)")


@pytest.mark.parametrize(("width", "scheme"), [(1360, "light"), (1360, "dark"), (390, "light")])
def test_it_draws_its_charts_and_loads_nothing(
    browser: Browser, report: Path, tmp_path: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    page, log = opened(browser, report, width, scheme)
    draw_all(page)
    page.screenshot(path=tmp_path / f"{scheme}-{width}.png", full_page=True)
    assert page.locator(".plot svg.main-svg").count() >= 5
    assert page.locator(".plot .point").count() > 0
    assert log.requests == [report.as_uri()]
    assert log.messages == []
    assert log.dialogs == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_charts_wait_until_they_are_near(browser: Browser, report: Path) -> None:
    page, _ = opened(browser, report)
    assert page.locator(".plot[data-drawn]").count() < 5
    page.close()


def test_charts_take_the_themes_colours(browser: Browser, report: Path) -> None:
    page, log = opened(browser, report)
    draw_all(page)
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
    assert log.messages == []
    page.close()


def test_it_is_used_with_the_keyboard(browser: Browser, report: Path) -> None:
    page, _ = opened(browser, report)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the findings"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    family = page.locator("tr.family details").first
    family.locator("> summary").focus()
    page.keyboard.press("Enter")
    finding = family.locator("details.finding").first
    assert finding.get_attribute("open") is None
    finding.locator("summary").focus()
    page.keyboard.press("Enter")
    assert finding.get_attribute("open") is not None
    assert finding.get_by_text("Wilson").is_visible()
    page.close()


def test_on_paper_everything_is_open(browser: Browser, report: Path) -> None:
    page, _ = opened(browser, report)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() > 5
    page.close()
