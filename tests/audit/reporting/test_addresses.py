from __future__ import annotations

import pytest

from workbench.audit.reporting.addresses import addresses


@pytest.mark.parametrize(
    "html",
    [
        '<img src="https://e.com/">',
        "<a href=//e.com/>",
        '<img srcset="data:image/png;base64,AA== 1x, https://e.com/ 2x">',
        '<form action="https://e.com/">',
        '<button formaction="https://e.com/">',
        '<video poster="https://e.com/">',
        '<object data="https://e.com/">',
        '<svg><use xlink:href="https://e.com/"/></svg>',
        '<svg><rect fill="url(https://e.com/)"/></svg>',
        '<meta http-equiv=Refresh content="0; URL=https://e.com/">',
        "<p style=\"background:url( 'https://e.com/' )\">",
        "<style>@import 'https://e.com/';</style>",
        "<style>a{b:url(https://e.com/)}</style>",
        '<a href="report.parquet">',
        '<a href="javascript:alert(1)">',
        '<base href="https://e.com/">',
    ],
)
def test_an_address_outside_is_found(html: str) -> None:
    (found,) = addresses(html)
    assert "e.com" in found or found in {"report.parquet", "javascript:alert(1)"}


@pytest.mark.parametrize(
    "html",
    [
        '<a href="#top">https://e.com</a>',
        '<img src="data:image/png;base64,AA==">',
        '<iframe src="about:blank">',
        "<script>const a = 'https://e.com/';</script>",
        "<style>/* url(https://e.com/) */ a { fill: url(#b) }</style>",
        '<p title="url(https://e.com/)">',
    ],
)
def test_what_stays_inside_is_not_an_address(html: str) -> None:
    assert addresses(html) == []
