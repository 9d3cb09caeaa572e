"""The cells of an executed notebook as blocks for the report; nothing in them is trusted."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mistune
import nh3

from workbench.audit.reporting.figures import Figure, boxed, figure
from workbench.markup import visible, without_ansi

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Block", "Code", "Content", "read_cells"]

TEXT_CHARACTERS = 20_000
LINE_CHARACTERS = 2_000  # a browser takes seconds to break longer ones
PROSE_CHARACTERS = 50_000
HTML_CHARACTERS = 200_000
SECTION_CHARACTERS = 500_000
PLOTLY = "application/vnd.plotly.v1+json"
PARAMETER_TAGS = {"parameters", "injected-parameters"}

_IMAGES = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
}
_TEXT_TAGS = (
    "abbr b bdi blockquote br code dd del details div dl dt em hr i ins kbd li mark ol p pre q s "
    "samp small span strong sub summary sup u ul var"
)
_TABLE_TAGS = "caption col colgroup table tbody td tfoot th thead tr"
_DRAWING = {
    "svg": {"width", "height", "viewBox", "role", "aria-label"},
    "line": {"x1", "x2", "y1", "y2"},
    "rect": {"x", "y", "width", "height"},
    "circle": {"cx", "cy", "r"},
    "path": {"d"},
}
_PAINT = {"fill", "fill-opacity", "stroke", "stroke-opacity", "stroke-width", "stroke-dasharray"}
_TAGS = {*_TEXT_TAGS.split(), *_TABLE_TAGS.split(), *_DRAWING}
_ATTRIBUTES: dict[str, set[str]] = {
    "th": {"scope", "colspan", "rowspan", "style", "dir"},
    "td": {"colspan", "rowspan", "style", "dir"},
    "abbr": {"title"},
    **{tag: places | _PAINT for tag, places in _DRAWING.items()},
}
# A paint may also be an address, url(…).
_PAINTS = re.compile(r"currentColor|none|#[0-9a-fA-F]{3,8}|[0-9. ]+|[a-z]{3,20}")
_LEFT_OUT = (
    "A chart is left out here: it is too large, or of a kind that a report cannot draw. "
    "The section's notebook holds it."
)
_REST_LEFT_OUT = (
    "The rest of this section is left out here: it is too large for a page. "
    "The section's notebook holds it."
)
_HEADING_TAGS = {"h3", "h4", "h5", "h6"}
# Nothing that ends an attribute or an entity is part of it.
_LONG_WORD = re.compile(rf"([^\s<>\"'&;]{{{LINE_CHARACTERS}}})[^\s<>\"'&;]+")
_TITLE = re.compile(r"\s*#\s+(.+?)\s*#*\s*(?:\n|$)")


@dataclass(frozen=True)
class Block:
    """One piece of a section.

    Attributes:
        kind: `prose`, `html`, `figure`, `image`, `text`, `stderr` or `error`.
        content: cleaned HTML for `prose` and `html`, a data URI for `image`, else plain text.
        figure: of a chart.
        alt: of an image.
        code: the cell that raised, for an error.
    """

    kind: str
    content: str = ""
    figure: Figure | None = None
    alt: str = ""
    code: str = ""

    @property
    def size(self) -> int:
        """Its characters in a page."""
        drawn = self.figure
        return len(self.content) + (len(drawn.data) + len(drawn.table) if drawn else 0)


@dataclass(frozen=True)
class Code:
    """The source of one cell."""

    number: str
    source: str


@dataclass(frozen=True)
class Content:
    """What a section's notebook shows: its title, its blocks, and the code behind them."""

    title: str
    blocks: tuple[Block, ...]
    parameters: tuple[Code, ...]
    code: tuple[Code, ...]


def read_cells(notebook: dict[str, Any]) -> Content:
    """The content of an executed notebook (nbformat 4), whatever else it holds."""
    title = ""
    blocks: list[Block] = []
    parameters: list[Code] = []
    code: list[Code] = []
    prose = _Prose()
    cells = [cell for cell in notebook.get("cells", []) if isinstance(cell, dict)]
    for cell in cells:
        source = _joined(cell.get("source"))
        if cell.get("cell_type") == "markdown":
            first = _TITLE.match(source)
            if first and not title:
                title, source = visible(first[1], 200), source[first.end() :]
            if source.strip():
                blocks.append(Block("prose", prose.html(source)))
        elif cell.get("cell_type") == "code":
            blocks += _outputs(cell, source)
            piece = Code(_number(cell), _code(source))
            tags = _dict(cell.get("metadata")).get("tags")
            is_parameters = isinstance(tags, list) and not PARAMETER_TAGS.isdisjoint(map(str, tags))
            if source.strip():
                (parameters if is_parameters else code).append(piece)
    return Content(title, tuple(_bounded(blocks)), tuple(parameters), tuple(_fitting(code)))


def _bounded(blocks: list[Block]) -> Iterator[Block]:
    """The blocks as far as a page has room for them, and then the word that there were more."""
    room = SECTION_CHARACTERS
    for block in blocks:
        room -= block.size
        if room < 0:
            yield Block("text", _REST_LEFT_OUT)
            return
        yield block


def _fitting(pieces: list[Code]) -> Iterator[Code]:
    room = SECTION_CHARACTERS // 2
    for piece in pieces:
        room -= len(piece.source)
        if room >= 0:
            yield piece


class _Prose(mistune.HTMLRenderer):
    """Markdown with neither raw HTML, links nor loaded images, its headings below the section's."""

    def __init__(self) -> None:
        super().__init__(escape=True)
        self._markdown = mistune.Markdown(self, plugins=[mistune.plugins.import_plugin("table")])
        self._level = 2

    def html(self, source: str) -> str:
        """The cleaned HTML of one cell."""
        html = self._markdown(_lines(source))
        clean = nh3.clean(str(html), tags=_TAGS | _HEADING_TAGS, attributes=_ATTRIBUTES)
        return boxed(visible(clean, None, lines=True))

    def heading(self, text: str, level: int, **_: Any) -> str:
        # No level is left out, for those who walk through the headings.
        self._level = min(level + 2, self._level + 1, 6)
        return f"<h{self._level}>{text}</h{self._level}>\n"

    def link(self, text: str, url: str, title: str | None = None) -> str:
        del title
        address = mistune.escape(url)
        web = url.lower().startswith(("https://", "http://", "mailto:"))
        return f"{text} ({address})" if web and address not in text else text

    def image(self, text: str, url: str, title: str | None = None) -> str:
        del url, title
        return f"<em>[image: {mistune.escape(text)}]</em>"


def _outputs(cell: dict[str, Any], source: str) -> Iterator[Block]:
    outputs = cell.get("outputs")
    for output in outputs if isinstance(outputs, list) else []:
        if not isinstance(output, dict):
            continue
        kind = output.get("output_type")
        if kind == "stream":
            text = _terminal(_joined(output.get("text")))
            if text.strip():
                yield Block("stderr" if output.get("name") == "stderr" else "text", text)
        elif kind == "error":
            yield _error(output, source)
        elif kind in {"display_data", "execute_result"}:
            yield from _display(_dict(output.get("data")), _dict(output.get("metadata")))


def _display(data: dict[str, Any], metadata: dict[str, Any]) -> Iterator[Block]:
    """The richest form of an output that a report can hold; a chart left out is said."""
    html = _joined(data.get("text/html"))
    cleaned = _safe_html(html) if html and len(html) <= HTML_CHARACTERS else ""
    if PLOTLY in data:
        chart = figure(data[PLOTLY], cleaned)
        if chart is not None:
            yield Block("figure", figure=chart)
            return
        yield Block("text", _LEFT_OUT)
    yield _still(data, metadata, cleaned)


def _still(data: dict[str, Any], metadata: dict[str, Any], html: str) -> Block:
    """HTML, a picture, prose or text: the first of them that the output has."""
    if html:
        return Block("html", html)
    for kind, magic in _IMAGES.items():
        uri = _data_uri(kind, _joined(data.get(kind)), magic)
        if uri:
            alt = _dict(metadata.get(kind)).get("alt") or metadata.get("alt")
            return Block("image", uri, alt=visible(str(alt), 600) if alt else "")
    if "text/markdown" in data:
        return Block("prose", _Prose().html(_joined(data["text/markdown"])))
    plain = _terminal(_joined(data.get("text/plain")))
    return Block("text", plain or f"An output that a report cannot show: {_kinds(data)}.")


def _kinds(data: dict[str, Any]) -> str:
    return visible(", ".join(sorted(map(str, data))) or "it is empty")


def _safe_html(html: str) -> str:
    """Tables, text and small drawings; everything else is dropped, with what scripts hold."""
    clean = nh3.clean(
        visible(html, None, lines=True),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=_attribute,
        filter_style_properties={"text-align"},
    )
    # Entities have become characters only now.
    text = _LONG_WORD.sub(r"\1…", visible(clean, None, lines=True))
    return boxed(text) if text.strip() else ""


def _attribute(_: str, name: str, value: str) -> str | None:
    return None if name in _PAINT and not _PAINTS.fullmatch(value) else value


def _error(output: dict[str, Any], source: str) -> Block:
    name, value = (visible(str(output.get(key) or ""), 2000) for key in ("ename", "evalue"))
    trace = output.get("traceback")
    lines = "\n".join(map(str, trace)) if isinstance(trace, list) else ""
    return Block("error", _terminal(lines), alt=f"{name}: {value}", code=_code(source))


def _code(source: str) -> str:
    return _lines(visible(source, TEXT_CHARACTERS, lines=True))


def _terminal(text: str) -> str:
    """What a terminal would have left: no colours, and only the last state of a progress bar."""
    # Cut before the work: a notebook may hold a megabyte on one line.
    cut = text[: 4 * TEXT_CHARACTERS]
    lines = without_ansi(cut).replace("\r\n", "\n").split("\n")
    shown = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
    if len(shown) <= TEXT_CHARACTERS and len(cut) == len(text):
        return _lines(shown)
    return _lines(shown[:TEXT_CHARACTERS]) + f"… ({len(text):,} characters)"


def _lines(text: str) -> str:
    """The text with nothing hidden in it, and no line longer than a page can break."""
    return "\n".join(
        visible(line, LINE_CHARACTERS, lines=True) for line in text[:PROSE_CHARACTERS].split("\n")
    )


def _data_uri(kind: str, encoded: str, magic: bytes) -> str:
    try:
        content = base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError):
        return ""
    if not content.startswith(magic):
        return ""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _number(cell: dict[str, Any]) -> str:
    count = cell.get("execution_count")
    return str(count) if isinstance(count, int) else "not run"


def _joined(value: Any) -> str:
    """Text that a notebook holds as one string or as lines."""
    if isinstance(value, list):
        return "".join(map(str, value))
    return value if isinstance(value, str) else ""


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
