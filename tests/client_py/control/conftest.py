"""What the tests of the backends' client stand on."""

from collections.abc import AsyncIterator

import pytest

import keystay
from tests.support.server_process import ServerProcess

API_KEY = "test-api-key"

QUICK = keystay.ControlOptions(
    retry_base_s=0.01,
    retry_cap_s=0.02,
    feed_backoff_base_s=0.01,
    feed_backoff_cap_s=0.02,
)
"""Tries again within a few hundredths of a second."""


@pytest.fixture
async def control(server: ServerProcess) -> AsyncIterator[keystay.Control]:
    """A backend of the real server."""
    async with keystay.Control(server.control, API_KEY) as control:
        yield control
