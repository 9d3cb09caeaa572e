"""A page that needs nothing but itself: our template, styles and scripts, and no connection."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from workbench.marks import SYMBOLS, WORDS
from workbench.markup import cell, number, visible
from workbench.provenance import write_atomically
from workbench.resources import report_template

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["CHARTS", "page", "write_page"]

FIELD_CHARACTERS = 4000

CHARTS = "vendor/plotly-cartesian.min.js"
"""The script that draws charts: half of a report's bytes, so only where there is one.

It is run when the first chart comes near, so that a page answers before.
"""


def page(template: str, scripts: Sequence[str], styles: Sequence[str] = (), **context: Any) -> str:
    """The HTML of a template, in which only these scripts run and nothing connects.

    The template extends `base.html.j2`. Whatever it writes is escaped, with hidden characters made
    visible.

    Args:
        template: its file in the template folder.
        scripts: files of that folder, in order; `page.js` comes before them.
        styles: files of that folder, in order, behind `page.css`.
        context: what the template shows.
    """
    from markupsafe import Markup

    sources = [_script(name) for name in ("page.js", *scripts) if name != CHARTS]
    library = _script(CHARTS) if CHARTS in scripts else ""
    css = "\n".join((report_template() / name).read_text("utf-8") for name in ("page.css", *styles))
    html = (
        _environment()
        .get_template(template)
        .render(
            **context,
            css=Markup(css),  # noqa: S704 # our own
            scripts=[Markup(source) for source in sources],  # noqa: S704 # our own
            library=Markup(library),  # noqa: S704 # our own
            policy=_policy([*sources, library] if library else sources),
        )
    )
    return str(html)


def write_page(path: Path, html: str) -> Path:
    """Write a page whole or not at all; its path.

    Raises:
        StorageError: where it cannot be written.
    """
    write_atomically(path, html.encode("utf-8", "replace"))
    return path


def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(report_template()),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(symbols=SYMBOLS, words=WORDS)
    environment.filters.update(
        cell=cell, number=number, seconds=_duration, when=_when, bytes=_bytes, safe_html=_safe
    )
    return environment


def _shown(value: Any) -> Any:
    """What the template writes: nothing hidden in it, and no endless field; Jinja escapes it."""
    from markupsafe import Markup

    if isinstance(value, (Markup, int, float)):
        return value
    return visible(str(value), FIELD_CHARACTERS, lines=True)


def _safe(html: str) -> Any:
    """HTML or text that `cells` or `figures` made safe and short enough."""
    from markupsafe import Markup

    return Markup(html)  # noqa: S704 # see above


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "time not recorded"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _when(created: str) -> str:
    """An ISO time as people write it; anything else stays as it is."""
    from datetime import UTC, datetime

    try:
        time = datetime.fromisoformat(created)
    except ValueError:
        return created or "time not recorded"
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _bytes(size: Any) -> str:
    return f"{size:,}" if isinstance(size, int) else "not stated"


def _script(name: str) -> str:
    """A script of the template folder, in a form that cannot end its own element."""
    return (
        (report_template() / name)
        .read_text("utf-8")
        .replace("\r\n", "\n")
        .replace("</script", "<\\/script")
        .replace("<!--", "<\\!--")
    )


def _policy(scripts: Sequence[str]) -> str:
    """A content security policy under which only these scripts run, and nothing connects."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
