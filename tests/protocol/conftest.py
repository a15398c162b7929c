"""What these tests read from the folder that holds the contract."""

import re
from collections.abc import Callable

import pytest

from tests.support.paths import ROOT

SPEC = ROOT / "protocol" / "SPEC.md"


@pytest.fixture(scope="session")
def spec() -> str:
    """The text of SPEC.md."""
    return SPEC.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def section(spec: str) -> Callable[[int], str]:
    """Returns the text of a section of SPEC.md by its number."""
    pieces = re.split(r"^## (\d+)\. .*$", spec, flags=re.MULTILINE)
    by_number = dict(zip(map(int, pieces[1::2]), pieces[2::2], strict=True))
    return by_number.__getitem__
