"""
Memory, which serves the checks, and the file, which is the truth.

What every store promises is in tests/stores; here is what this one does when
its disk does not.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import (
    CommandError,
    Expired,
    LoggedOut,
    Unavailable,
)
from keystay_server.keys import digest_of
from keystay_server.sessions import Opening, Rules, Sessions
from keystay_server.stores.base import Record, Retention
from keystay_server.stores.sqlite import SqliteStore, writer
from tests.server.memory_node import Clock, record_of
from tests.server.stores.sqlite.full_disk import full_disk
from tests.stores.installation import Heard

SCOPES = list(LogoutScope)


class Disk:
    """Sessions in a file, and the store that keeps them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self.heard = Heard()
        self.store: SqliteStore

    async def start(self) -> None:
        """Start a store over what is there."""
        self.store = SqliteStore(str(self.path), Retention(), self.clock)
        await self.store.start(self.heard)

    async def restart(self) -> None:
        """Stop the store in good order, and start another."""
        await self.store.stop()
        await self.start()

    @property
    def sessions(self) -> Sessions:
        return Sessions(self.store, Rules(60))

    async def open(self, actor_id: str = "alice") -> tuple[str, Record]:
        """Open a session: its key and its record."""
        key, new = self.sessions.prepare(Opening(actor_id))
        [event] = await self.sessions.create(new)
        record: Record = record_of(event)
        return key, record

    async def fail_to_end(self, record: Record, scope: LogoutScope) -> None:
        """Log out while the disk is full."""
        with full_disk(), pytest.raises(Unavailable):
            await self.sessions.log_out(record.actor_id, record.id, scope)

    async def state(self, key: str) -> type[CommandError] | None:
        """What the key answers: None if it opens a live session."""
        try:
            await self.store.check(key.rpartition(":")[0], digest_of(key))
        except CommandError as error:
            return type(error)
        return None


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Disk]:
    """A file of the test's own, with a store over it."""
    disk = Disk(tmp_path / "keystay.db")
    await disk.start()
    yield disk
    await disk.store.stop()


async def test_sessions_outlive_the_store(disk: Disk) -> None:
    """Live ones, ended ones with their reason, and expired ones are as they were."""
    live, ended, expired = await disk.open("a"), await disk.open("b"), await disk.open("c")
    await disk.sessions.log_out("b", ended[1].id, LogoutScope.THIS)
    disk.clock.passed_ms += 60_000
    await disk.restart()
    disk.clock.passed_ms -= 1000
    assert await disk.state(live[0]) is None
    assert await disk.state(ended[0]) is LoggedOut
    disk.clock.passed_ms += 1000
    assert await disk.state(expired[0]) is Expired


async def test_a_failed_commit_leaves_memory_and_file_alike(disk: Disk) -> None:
    """Whatever failed together: memory answers what the file would, before and after."""
    keys = [(await disk.open())[0] for _ in range(3)]
    before = {key: await disk.store.check("alice", digest_of(key)) for key in keys}
    disk.clock.passed_ms += 5000
    with full_disk():
        results = await asyncio.gather(
            *(disk.sessions.restore(key) for key in keys),
            *(disk.open() for _ in range(3)),
            return_exceptions=True,
        )
    assert {type(result) for result in results} == {Unavailable}
    assert {key: await disk.store.check("alice", digest_of(key)) for key in keys} == before
    assert len(await disk.store.sessions("alice")) == 3
    await disk.restart()
    assert {key: await disk.store.check("alice", digest_of(key)) for key in keys} == before


async def test_reads_go_on_while_the_disk_is_full(disk: Disk) -> None:
    """Checks, lists and the history are answered."""
    key, record = await disk.open()
    with full_disk():
        assert await disk.state(key) is None
        assert await disk.store.sessions("alice") == [record]
        assert (await disk.store.history("alice", 0)).events


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_logout_that_cannot_be_written_counts_all_the_same(
    disk: Disk, scope: LogoutScope
) -> None:
    """The caller is told `unavailable`; the keys it was about are refused from then on."""
    own, other, strangers = await disk.open(), await disk.open(), await disk.open("bob")
    await disk.fail_to_end(own[1], scope)
    states = {
        LogoutScope.THIS: [LoggedOut, None],
        LogoutScope.OTHERS: [None, LoggedOut],
        LogoutScope.ALL: [LoggedOut, LoggedOut],
    }[scope]
    assert [await disk.state(key) for key, _ in (own, other)] == states
    assert await disk.state(strangers[0]) is None
    listed = [record.id for record in await disk.store.sessions("alice")]
    assert listed == [
        record.id
        for (_, record), state in zip((own, other), states, strict=True)
        if state is None
    ]


async def test_an_unwritten_logout_is_written_with_the_next_write(disk: Disk) -> None:
    """As soon as the disk takes something, whoever it comes from; it is announced then."""
    key, record = await disk.open()
    await disk.store.watch("alice")
    await disk.fail_to_end(record, LogoutScope.THIS)
    await disk.open("bob")
    event = await disk.heard.event()
    assert await disk.state(key) is LoggedOut
    assert (await disk.store.history("alice", 0)).events[-1] == event
    await disk.restart()
    assert await disk.state(key) is LoggedOut


async def test_an_unwritten_logout_can_be_repeated(disk: Disk) -> None:
    """The user tries again, and it works: the session ends once."""
    key, record = await disk.open()
    await disk.fail_to_end(record, LogoutScope.THIS)
    ended = await disk.sessions.log_out("alice", record.id, LogoutScope.THIS)
    assert len(ended) == 1
    await disk.open("bob")
    assert await disk.state(key) is LoggedOut
    assert len((await disk.store.history("alice", 0)).events) == 2


async def test_an_unwritten_logout_is_written_at_the_end(disk: Disk) -> None:
    """A server that is stopped in good order leaves no session alive that was logged out."""
    key, record = await disk.open()
    await disk.fail_to_end(record, LogoutScope.THIS)
    await disk.restart()
    assert await disk.state(key) is LoggedOut


async def test_a_disk_that_stays_full_is_no_reason_not_to_stop(disk: Disk) -> None:
    """The session is alive again then: the caller was told that it was not known."""
    key, record = await disk.open()
    await disk.fail_to_end(record, LogoutScope.THIS)
    with full_disk():
        async with asyncio.timeout(5):
            await disk.store.stop()
    await disk.start()
    assert await disk.state(key) is None


async def test_a_disk_that_fills_up_again_forgets_nothing(disk: Disk) -> None:
    """The key stays refused through any number of attempts to write its end."""
    key, record = await disk.open()
    await disk.fail_to_end(record, LogoutScope.THIS)
    with full_disk():
        for _ in range(3):
            # Nothing to write, so it succeeds; the end that is tried in its wake does not.
            assert await disk.sessions.log_out("bob", "no session", LogoutScope.THIS) == []
            assert await disk.store.sessions("alice") == []
            assert await disk.state(key) is LoggedOut
    await disk.open("bob")
    await disk.open("bob")
    assert await disk.state(key) is LoggedOut


async def test_an_unwritten_logout_of_a_session_that_expires_is_an_expired_one(
    disk: Disk,
) -> None:
    """It is over before its end could be written: memory says what the file says."""
    key, record = await disk.open()
    await disk.fail_to_end(record, LogoutScope.THIS)
    disk.clock.passed_ms += 60_000
    await disk.open("bob")
    await disk.open("bob")
    state = await disk.state(key)
    await disk.restart()
    assert state is await disk.state(key) is Expired


async def test_a_session_that_is_over_ends_no_others(disk: Disk) -> None:
    """Also while the disk is full: a session that is not live may not log others out."""
    own, other = await disk.open(), await disk.open()
    disk.clock.passed_ms += 30_000
    await disk.sessions.restore(other[0])
    disk.clock.passed_ms += 40_000
    assert await disk.state(own[0]) is Expired
    with full_disk():
        results = await asyncio.gather(
            disk.sessions.log_out("alice", own[1].id, LogoutScope.OTHERS),
            disk.open("bob"),
            return_exceptions=True,
        )
    assert {type(result) for result in results} == {Unavailable}
    assert await disk.state(other[0]) is None


async def test_a_logout_that_the_load_refuses_is_not_done(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When too many writes wait, nothing has changed and nobody is refused; all goes on."""
    monkeypatch.setattr(writer, "MAX_WAITING", 10)
    key, record = await disk.open()
    others = [asyncio.create_task(disk.open("bob")) for _ in range(20)]
    logout = asyncio.create_task(disk.sessions.log_out("alice", record.id, LogoutScope.THIS))
    # All of them are in one turn of the loop, and the logout is the last.
    with pytest.raises(Unavailable, match="too many"):
        await logout
    opened = await asyncio.gather(*others, return_exceptions=True)
    assert sum(isinstance(one, tuple) for one in opened) == 10
    assert await disk.state(key) is None
    await disk.sessions.log_out("alice", record.id, LogoutScope.THIS)
    assert await disk.state(key) is LoggedOut
