"""
The words of the project: the field's standard terms, and none that has to be explained.

docs/glossary.md has them.
"""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

COINED = {
    "Seat": "Binding",
    "Audience(?! :)": "ActorStream",
    "Standing|standing_of": "SessionStatus, session_status",
    "[Hh]ealer|healed": "gaps, repaired",
    "is_in_doubt": "maybe_incomplete",
    "_sit_down|_stand_up|_settle": "attach, commit, detach, abandon",
    "misspelling": "suggestions",
    "examination|Examined|examine_\\w+": "diagnosis",
    "[Cc]ensus": "connection directory",
    "Recipe|AskedBefore|OnceReused": "IdempotencyKey, AlreadyApplied, IdempotencyConflict",
    "is_judge|def judges": "validation_command, json_errors",
    "ownUp": "enqueueFirst",
    "[Tt]he law of this module": "Invariant:",
    "hands are shaken|[Ss]hakes? hands|shaking hands": "handshake complete",
    "goodbye": "close",
}
"""What was coined, and what it is called instead: in no file."""

FIGURATIVE = {
    "(?:is|are|was|were|be|been|being) told": "is notified, is sent",
    "hears?|heard": "receives, is subscribed to",
    "both doors|every door|the door|the doors": "port, API",
}
"""What programs do not do: not in the product or its documentation."""

SUFFIXES = {
    ".py",
    ".ts",
    ".mjs",
    ".js",
    ".lua",
    ".md",
    ".toml",
    ".html",
    ".css",
    ".yaml",
    ".yml",
}
EXCEPTIONS = re.compile(
    r"min\.js$|package-lock\.json$|^docs/decisions/|^CHANGELOG|^docs/glossary|test_words\.py$"
)
"""Generated files, decisions as they were made, and pages about the words themselves."""
PRODUCT = ("server/", "protocol/", "client_py/", "client_js/", "docs/", "deploy/", "README.md")


def files() -> list[str]:
    """Every file that people read."""
    names = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    return [n for n in names if Path(n).suffix in SUFFIXES and not EXCEPTIONS.search(n)]


def found(word: str, names: list[str]) -> list[str]:
    """The lines that have the word."""
    pattern = re.compile(rf"\b(?:{word})\b")
    return [
        f"{name}:{number}: {line.strip()[:80]}"
        for name in names
        for number, line in enumerate((ROOT / name).read_text().splitlines(), start=1)
        if pattern.search(line)
    ]


@pytest.mark.parametrize("word", COINED)
def test_no_word_is_coined(word: str) -> None:
    """An engineer of the field can read any line aloud to a colleague."""
    lines = found(word, files())
    assert not lines, f"say {COINED[word]}:\n" + "\n".join(lines[:20])


@pytest.mark.parametrize("word", FIGURATIVE)
def test_no_word_is_figurative(word: str) -> None:
    """What a program does is said as the field says it."""
    lines = found(word, [name for name in files() if name.startswith(PRODUCT)])
    assert not lines, f"say {FIGURATIVE[word]}:\n" + "\n".join(lines[:40])
