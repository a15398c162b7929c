"""
`deploy/README.md`: which file is for what, and how far it was tried.
"""

import re

from tests.support.deploy.files import DEPLOY, text


def test_every_file_is_named() -> None:
    """And none that is not there."""
    named = set(re.findall(r"^\| `([^`]+)` \|", text("README.md"), re.MULTILINE))
    there = {
        str(path.relative_to(DEPLOY))
        for path in DEPLOY.rglob("*")
        if path.is_file() and path.name != "README.md"
    }
    assert named == there


def test_nothing_of_an_installation_is_in_the_files() -> None:
    """No registry, no address but examples."""
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            hosts = re.findall(r"https?://([\w.-]+)", path.read_text())
            assert set(hosts) <= {"keystay", "127.0.0.1", "localhost"}, path
            assert not re.search(r"(?:image|FROM):? +[\w-]+\.[\w.-]+/", path.read_text()), path
