"""
The site of `make docs`.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built without a warning."""
    folder = tmp_path_factory.mktemp("docs")
    built = subprocess.run(
        [sys.executable, ROOT / "docs/site/build.py", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert "Warning" not in built.stdout + built.stderr
    return folder / "site"


class Elements(HTMLParser):
    """What a page refers to, and what can be referred to in it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.resources: list[str] = []
        self.ids: set[str] = set()
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.ids.add(named.get("id", ""))
        if tag == "a" and "href" in named:
            self.links.append(named["href"])
        elif tag in {"script", "img", "iframe"} and "src" in named:
            self.resources.append(named["src"])
        elif tag == "source" and "srcset" in named:
            self.resources.append(named["srcset"])
        elif tag == "link" and named.get("rel") not in {"canonical", "next", "prev"}:
            self.resources.append(named["href"])


def pages(site: Path) -> Iterator[Path]:
    """Those that readers come to; on the page for wrong addresses all links are absolute."""
    return (page for page in site.rglob("*.html") if page.name != "404.html")


def test_every_page_is_in_the_navigation(site: Path) -> None:
    """Decisions have a list of their own."""
    linked = {
        (site / urlsplit(link).path).resolve()
        for link in Elements(site / "index.html").links
        if not urlsplit(link).scheme
    }
    missing = [
        page
        for page in pages(site)
        if page.resolve() not in linked and page.parent.name != "decisions"
    ]
    assert missing == []


def test_links_and_anchors_are_alive(site: Path) -> None:
    """Every internal link of every page leads to a file, and to an element in it."""
    elements = {page.resolve(): Elements(page) for page in pages(site)}
    assert len(elements) > 40
    for page, found in elements.items():
        for link in [*found.links, *found.resources]:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert target.exists(), f"{page.name}: {link}"
            if parts.fragment and target in elements:
                assert unquote(parts.fragment) in elements[target].ids, f"{page.name}: {link}"


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """No font, script, style or picture comes from another host."""
    for page in site.rglob("*.html"):
        outside = [each for each in Elements(page).resources if urlsplit(each).netloc]
        assert outside == [], page.name
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text())
