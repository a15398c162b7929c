"""
A store over a file, with a clock that a test moves.
"""

from pathlib import Path
from typing import Any

from keystay_protocol.errors import CommandError
from keystay_server.stores.records import NewSession, Record
from keystay_server.stores.retention import Retention
from keystay_server.stores.sqlite import SqliteStore
from keystay_server.stores.sqlite.clock import unix_ms
from tests.support.stores.installation import Heard, new_session, opened


class Clock:
    """The store's clock."""

    def __init__(self) -> None:
        self.passed_ms = 0

    def __call__(self) -> int:
        return unix_ms() + self.passed_ms


class Disk:
    """A file, and the store that keeps sessions in it."""

    def __init__(self, path: Path, retention: Retention | None = None) -> None:
        self.path = path
        self.retention = retention or Retention()
        self.clock = Clock()
        self.heard = Heard()
        self.store: SqliteStore

    async def start(self) -> None:
        """Start a store over what is there."""
        self.store = SqliteStore(str(self.path), self.retention, self.clock)
        await self.store.start(self.heard)

    async def restart(self) -> None:
        """Stop the store in good order, and start another."""
        await self.store.stop()
        await self.start()

    async def create(self, actor_id: str = "alice", **fields: Any) -> NewSession:
        """Create a session."""
        new = new_session(actor_id, **fields)
        await opened(self.store, new)
        return new

    async def record(self, new: NewSession) -> Record:
        """The live session."""
        return await self.store.check(new.actor_id, new.digest)

    async def state(self, new: NewSession) -> type[CommandError] | None:
        """What its key answers: None if it opens a live session."""
        try:
            await self.record(new)
        except CommandError as error:
            return type(error)
        return None
