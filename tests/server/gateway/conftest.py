"""
What the tests of the doors stand on.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from keystay_server.gateway import listener
from tests.support.server.gateway import Door, listening


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Servers run on uvloop where there is one, and on asyncio elsewhere: each test on both."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines of tests are short: somebody has to look more often than twice a second."""
    monkeypatch.setattr(listener, "CHECK_EVERY_S", 0.02)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """The door of a node in memory."""
    async with listening() as door:
        yield door
