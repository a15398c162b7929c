"""
Every page leads somewhere, and can be read.
"""

import re
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from tests.support.doc_pages import PAGES
from tests.support.paths import ROOT

WIDTH = 100
WRAPPED = [ROOT / "README.md", *(page for page in PAGES if ROOT / "docs" in page.parents)]
FENCE = re.compile(r"^( *)(`{3,}).*?^\1\2$", re.MULTILINE | re.DOTALL)


def name(page: Path) -> str:
    """What a test of the page is called."""
    return page.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        kept = (c for c in text if c in " -_" or unicodedata.category(c)[0] in "LN")
        slug = "".join(kept).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link leads to a file, and to a heading in it; every picture is there."""
    text = FENCE.sub("", page.read_text())
    links = re.findall(r"\]\(([^)#:\s]*)(?:#([^)\s]+))?\)", text)
    links += [(path, "") for path in re.findall(r'(?:src|srcset)="([^":]+)"', text)]
    for path, anchor in links:
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{path}#{anchor}"


@pytest.mark.parametrize("page", WRAPPED, ids=name)
def test_lines_are_short(page: Path) -> None:
    """Lines of prose have at most 100 columns. Rows of a table cannot be wrapped."""
    prose = FENCE.sub("", page.read_text()).splitlines()
    long = [line for line in prose if len(line) > WIDTH and not line.startswith("|")]
    # A link cannot be broken.
    assert [line for line in long if not re.search(r"\S{60}", line)] == []


def test_no_line_of_the_readme_is_long() -> None:
    """Tables and code included."""
    lines = (ROOT / "README.md").read_text().splitlines()
    assert [line for line in lines if len(line) > WIDTH] == []
