"""
Fixtures of the client port.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from keystay_server.gateway import listener
from tests.support.server.gateway import Gateway, listening


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Servers run on uvloop where there is one, and on asyncio elsewhere: each test on both."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture(autouse=True)
def _frequent_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines of tests are short: check more often than twice a second."""
    monkeypatch.setattr(listener, "CHECK_EVERY_S", 0.02)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """The client port of a node in memory."""
    async with listening() as gateway:
        yield gateway
