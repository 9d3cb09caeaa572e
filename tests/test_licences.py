"""The licence that a folder states, whatever its author wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.licences import find_licence

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\n# Card", "apache-2.0"),
        ("---\nlicense: [mit, cc0-1.0]\n---\n", "mit, cc0-1.0"),
        ("---\nlicense: other\nlicense_name: tulu\n---\n", "tulu"),
        ("---\nlicense: other\n---\n", "other"),
        ("\ufeff---\r\nlicense: mit\r\n---\r\n", "mit"),
        ("---\nlicense: mit\nbroken: [\n---\n", "mit"),
        ("---\nlicense: 'mit'\na: &a [x]\nb: *a\n---\n", "mit"),
        ("---\nlicense: !!python/object/apply:os.system ['true']\n---\n", None),
        ("---\nlicense: {a: b}\n---\n", None),
        ("---\n- license\n---\n", None),
        ("---\n\x00\x1b[31m\n---\n", None),
        ("---\nlicense: 2024-13-45\n---\n", "2024-13-45"),
        ("---\nlicense:\n---\n", None),
        ("no front matter, license: mit", None),
        ("---", None),
        ("", None),
    ],
)
def test_the_cards_licence(tmp_path: Path, card: str, licence: str | None) -> None:
    (tmp_path / "README.md").write_bytes(card.encode())
    source = "README.md" if licence else None
    found, where = find_licence(tmp_path)
    assert where == source
    assert found is None if licence is None else str(found).startswith(licence)


@pytest.mark.parametrize(
    ("name", "text", "licence"),
    [
        ("LICENSE", "   Apache License\n   Version 2.0, January 2004", "apache-2.0"),
        ("LICENCE.md", "# The MIT License (MIT)", "mit"),
        ("License.txt", "Permission is hereby granted, free of charge, to any", "mit"),
        ("COPYING", "GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007", "gpl-3.0"),
        ("COPYING", "GNU AFFERO GENERAL PUBLIC LICENSE", "agpl-3.0"),
        ("LICENSE", "LLAMA 3.1 COMMUNITY LICENSE AGREEMENT", "llama3.1"),
        ("LICENSE", "Gemma Terms of Use", "gemma"),
        ("LICENSE", "Attribution-NonCommercial 4.0 International", "cc-by-nc-4.0"),
        ("LICENSE", "BigScience OpenRAIL-M", "openrail"),
        ("LICENSE", "Redistribution and use in source and binary forms", "bsd-2-clause"),
        ("LICENSE", "You may look at it on Sundays.", "found, not recognised"),
        ("LICENSE", "", "found, not recognised"),
    ],
)
def test_a_licences_own_text(tmp_path: Path, name: str, text: str, licence: str) -> None:
    (tmp_path / name).write_text(text)
    assert find_licence(tmp_path) == (licence, name)


def test_the_projects_own_licence_is_recognised() -> None:
    assert find_licence(ROOT) == ("apache-2.0", "LICENSE")


@given(st.binary(max_size=300))
def test_no_front_matter_crashes(tmp_path_factory: pytest.TempPathFactory, front: bytes) -> None:
    folder = tmp_path_factory.mktemp("card")
    (folder / "README.md").write_bytes(b"---\n" + front + b"\n---\n")
    find_licence(folder)


def test_a_card_that_multiplies_its_aliases_is_not_unfolded(tmp_path: Path) -> None:
    laughs = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30))
    (tmp_path / "README.md").write_text(f"---\na0: &a0 lol\n{laughs}\nlicense: *a29\n---\n")
    find_licence(tmp_path)
