"""
The stores that the end-to-end tests run on.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.valkey_process import ValkeyProcess, running_valkey


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[ValkeyProcess]:
    """A Valkey of the test's own; an answered write is on disk."""
    async with running_valkey(
        tmp_path, "--appendonly", "yes", "--appendfsync", "always"
    ) as running:
        yield running


@pytest.fixture(params=["sqlite", "redis"])
async def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a store that keeps sessions when a server is killed: each of them in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/keystay.db"
        return
    async with running_valkey(
        tmp_path, "--appendonly", "yes", "--appendfsync", "always"
    ) as running:
        yield running.url
