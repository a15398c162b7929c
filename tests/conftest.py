"""
What spares all tests some time.
"""

import gc
import sys

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
