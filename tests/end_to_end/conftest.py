"""
The stores that the end-to-end tests run on.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.valkey import Valkey, running_valkey

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey of the test's own; an answered write is on disk."""
    with running_valkey(tmp_path, *DURABLE) as running:
        yield running


@pytest.fixture(params=["sqlite", "redis"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store that keeps sessions when a server is killed: each of them in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/keystay.db"
    valkey: Valkey = request.getfixturevalue("valkey")
    return valkey.url()
