"""
What kind each test is, and what spares all of them some time.
"""

import gc
import sys
from pathlib import Path

import pytest

# httpcore asks for sniffio with each request, and does without. As long as it is not known to
# be missing, every folder is searched for it, each time.
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]  # As the import system has it.


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """What is imported and collected is no garbage: the collector need not look for any."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Nor look at all this again while tests run."""
    gc.freeze()
    gc.enable()


# The first that fits decides.
_KINDS = {
    "server/stores/contract": "contract",
    "server/hazards": "hazard",
    "end_to_end/field": "hazard",
    "end_to_end": "end_to_end",
    "browser": "browser",
    "deploy": "deploy",
    "docs": "docs",
    "soak": "soak",
}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test with its kind: `pytest -m contract`."""
    path = item.path.relative_to(Path(__file__).parent).as_posix()
    kinds = (kind for folder, kind in _KINDS.items() if path.startswith(folder + "/"))
    item.add_marker(next(kinds, "unit"))
