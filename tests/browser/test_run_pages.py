"""The pages of two runs and of many, in a real browser: no request, no dialog, nothing for axe."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pytest
from make_run import HOSTILE
from small_runs import make

from workbench.audit.comparing.diff import diff_runs
from workbench.audit.comparing.diff_page import write_diff_page
from workbench.audit.comparing.history import read_history
from workbench.audit.comparing.history_page import write_history_page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]
LOOKS = [(1360, "light"), (1360, "dark"), (390, "light")]


@dataclass
class Log:
    """What a page asked for and complained about."""

    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as runner:
        chromium = runner.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The two pages, of runs whose model is named by an attacker."""
    folder = tmp_path_factory.mktemp("runs")
    make(folder, run_id="first")
    for number in range(2, 6):
        created = f"2026-01-0{number}T00:00:00+00:00"
        make(folder, run_id=f"run-{number}", created=created, seed=number, trigger=0.1 * number)
    second = make(folder, run_id=HOSTILE[:60].replace("/", " ").replace("\x00", ""), model=HOSTILE)
    made = diff_runs(folder / "run-5", second)
    history = read_history(folder, trends=True)
    return {
        "diff": write_diff_page(made, folder / "diff.html"),
        "history": write_history_page(history, folder / "history.html"),
    }


def opened(
    browser: Browser, path: Path, width: int, scheme: Literal["light", "dark"], **how: Any
) -> tuple[Page, Log]:
    page = browser.new_page(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        reduced_motion="reduce",
        **how,
    )
    log = Log()
    page.on("request", lambda request: log.requests.append(request.url))
    page.on("console", lambda message: log.messages.append(message.text))
    page.on("pageerror", lambda error: log.messages.append(str(error)))

    def dismiss(dialog: Any) -> None:
        log.dialogs.append(str(dialog))
        dialog.dismiss()

    page.on("dialog", dismiss)
    page.goto(path.as_uri())
    return page, log


@pytest.mark.parametrize("name", ["diff", "history"])
@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_nothing_is_loaded_and_nothing_runs(
    browser: Browser,
    pages: dict[str, Path],
    name: str,
    width: int,
    scheme: Literal["light", "dark"],
) -> None:
    page, log = opened(browser, pages[name], width, scheme)
    assert log.requests == [pages[name].as_uri()]
    assert (log.messages, log.dialogs) == ([], [])
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("main svg").count() > 3
    page.close()


@pytest.mark.parametrize("name", ["diff", "history"])
@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_axe_finds_nothing(
    browser: Browser,
    pages: dict[str, Path],
    name: str,
    width: int,
    scheme: Literal["light", "dark"],
) -> None:
    # axe is a script of its own, which the page's policy keeps out.
    page, _ = opened(browser, pages[name], width, scheme, bypass_csp=True)
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    page.close()


def test_on_paper_everything_is_open(browser: Browser, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, pages["diff"], 1360, "dark")
    assert page.locator("details:not([open])").count() > 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.close()


def test_it_is_used_with_the_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, pages["history"], 1360, "light")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    data = page.locator(".trend details").first
    data.locator("summary").focus()
    page.keyboard.press("Enter")
    assert data.locator("table").is_visible()
    page.close()
