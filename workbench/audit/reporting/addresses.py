"""Which addresses outside itself an HTML document would load or lead to: a report has none."""

from __future__ import annotations

import re
from html.parser import HTMLParser

__all__ = ["addresses"]

_ATTRIBUTES = {
    "action",
    "background",
    "cite",
    "data",
    "formaction",
    "href",
    "longdesc",
    "manifest",
    "ping",
    "poster",
    "src",
    "xlink:href",
}
_STYLED = {"clip-path", "fill", "filter", "marker-end", "marker-start", "mask", "stroke", "style"}
_INSIDE = ("#", "data:", "about:")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_CSS_URL = re.compile(r"url\(\s*(\"[^\"]*\"|'[^']*'|[^)\s]*)\s*\)", re.IGNORECASE)
_CSS_IMPORT = re.compile(r"@import\s+(\"[^\"]*\"|'[^']*')", re.IGNORECASE)
_REFRESH = re.compile(r"url\s*=\s*['\"]?([^'\"]+)", re.IGNORECASE)


def addresses(html: str) -> list[str]:
    """Every address outside the file in attributes, `srcset`, `meta refresh` and CSS.

    Fragment links, `data:` and `about:` stay inside. Plain text and scripts are not looked at:
    the content security policy of a report keeps its scripts from connecting.
    """
    finder = _Finder()
    finder.feed(html)
    finder.close()
    found = [address.strip() for address in finder.found]
    return [address for address in found if address and not address.lower().startswith(_INSIDE)]


class _Finder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        values = {name: value or "" for name, value in attrs}
        for name, value in values.items():
            if name in _ATTRIBUTES:
                self.found.append(value)
            elif name in {"srcset", "imagesrcset"}:
                self.found += [part.split()[0] for part in re.split(r",\s", value) if part.split()]
            elif name in _STYLED:
                self._css(value)
        if tag == "meta" and values.get("http-equiv", "").lower() == "refresh":
            self.found += _REFRESH.findall(values.get("content", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "style":
            self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self._css(data)

    def _css(self, text: str) -> None:
        text = _COMMENT.sub("", text)
        for pattern in (_CSS_URL, _CSS_IMPORT):
            self.found += [address.strip("\"'") for address in pattern.findall(text)]
