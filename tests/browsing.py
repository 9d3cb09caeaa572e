"""Pages in a real browser: opened without a network, with all that they ask for and complain of."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

NEEDS_BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]

Scheme = Literal["light", "dark"]


@dataclass
class Log:
    """What a page asked for and complained about."""

    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


def opened(
    browser: Browser, path: Path, width: int = 1360, scheme: Scheme = "light", *, axe: bool = False
) -> tuple[Page, Log]:
    """The page in that file; `axe` lets a test put its own script into it."""
    page = browser.new_page(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=axe
    )
    page.context.set_offline(True)
    log = Log()
    page.on("request", lambda request: log.requests.append(request.url))
    page.on("console", lambda message: log.messages.append(message.text))
    page.on("pageerror", lambda error: log.messages.append(str(error)))

    def dismiss(dialog: object) -> None:
        log.dialogs.append(str(dialog))
        dialog.dismiss()  # type: ignore[attr-defined] # playwright's Dialog

    page.on("dialog", dismiss)
    page.goto(path.as_uri())
    return page, log


def violations(page: Page) -> list[tuple[str, str]]:
    """What axe-core finds wrong, with the first place of each.

    Marks inside a chart are a picture's parts, and a table's rows are alike after the second.
    """
    from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

    context = {"exclude": [[".main-svg"], [".scroll tbody tr:nth-child(n+3)"]]}
    found = Axe().run(page, context, {"resultTypes": ["violations"]}).response["violations"]
    return [(rule["id"], rule["nodes"][0]["html"]) for rule in found]


def open_all(page: Page) -> None:
    """Open whatever is folded, scroll through the page, and wait for its charts and tables."""
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    for kind, done in ((".plot", "dataset.drawn"), (".table", "classList.contains('alive')")):
        places = page.locator(kind)
        for place in range(places.count()):
            places.nth(place).scroll_into_view_if_needed()
            page.wait_for_function(
                f"place => document.querySelectorAll('{kind}')[place].{done}", arg=place
            )
    page.evaluate("scrollTo(0, 0)")
