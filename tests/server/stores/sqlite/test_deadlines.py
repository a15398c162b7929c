"""
Extended deadlines: in memory at once, in the file with the next `expire`.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import SessionLimit, Unavailable
from keystay_server.stores.events import SessionSet, SessionUnset
from keystay_server.stores.records import Changes, NewSession, Policy
from tests.server.stores.sqlite.disk import Disk
from tests.server.stores.sqlite.full_disk import full_disk
from tests.support.stores.installation import held, new_session, sessions_of

EXTENSIONS = ["restore", "touch"]


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Disk]:
    """A file of the test's own, with a store over it."""
    disk = Disk(tmp_path / "keystay.db")
    await disk.start()
    yield disk
    await disk.store.stop()


async def extend(disk: Disk, new: NewSession, by: str = "touch") -> int:
    """Extend the session; its new deadline."""
    if by == "touch":
        await disk.store.touch(held(new))
    else:
        await disk.store.restore(new.actor_id, new.digest)
    return (await disk.record(new)).expires_at


def in_a_copy(disk: Disk, new: NewSession) -> int:
    """The deadline that a killed server would leave in the file."""
    copy = disk.path.with_name("copy.db")
    for suffix in ("", "-wal"):
        source = Path(f"{disk.path}{suffix}")
        Path(f"{copy}{suffix}").write_bytes(source.read_bytes())
    db = sqlite3.connect(copy)
    query = "SELECT expires_at FROM sessions WHERE digest = ?"
    (deadline,) = db.execute(query, (new.digest,)).fetchone()
    db.close()
    return int(deadline)


@pytest.mark.parametrize("by", EXTENSIONS)
async def test_an_extension_is_in_the_file_after_one_expire(disk: Disk, by: str) -> None:
    """So a killed server loses those of the time between two calls, at most."""
    new = await disk.create()
    created = (await disk.record(new)).expires_at
    disk.clock.passed_ms += 50_000
    deadline = await extend(disk, new, by)
    assert in_a_copy(disk, new) == created
    assert await disk.store.expire() == []
    assert in_a_copy(disk, new) == deadline


@pytest.mark.parametrize("by", EXTENSIONS)
async def test_an_extension_survives_a_restart(disk: Disk, by: str) -> None:
    """A store that stops writes what it has not written."""
    new = await disk.create()
    disk.clock.passed_ms += 50_000
    deadline = await extend(disk, new, by)
    await disk.restart()
    assert (await disk.record(new)).expires_at == deadline


@pytest.mark.parametrize("by", EXTENSIONS)
async def test_a_full_disk_ends_no_session_that_is_held(disk: Disk, by: str) -> None:
    """Extensions go on in memory through any number of ttls, and are written afterwards."""
    kept, left = await disk.create(), await disk.create()
    with full_disk():
        for _ in range(5):
            disk.clock.passed_ms += 50_000
            deadline = await extend(disk, kept, by)
            with pytest.raises(Unavailable):
                await disk.store.expire()
    assert len(await disk.store.expire()) == 1
    assert (await disk.record(kept)).expires_at == deadline == in_a_copy(disk, kept)
    assert [record.id for record in await sessions_of(disk.store)] == [kept.id]
    with pytest.raises(Exception, match="expired"):
        await disk.record(left)


async def test_a_held_session_outlives_a_pause_on_a_full_disk(disk: Disk) -> None:
    """Overdue, touched while nothing can be written, and alive."""
    kept = await disk.create()
    await disk.create()
    disk.clock.passed_ms += 120_000
    with full_disk():
        # Something else fails to be written at the same time: a transaction of both fails.
        creating = asyncio.gather(disk.create("bob"), return_exceptions=True)
        deadline = await extend(disk, kept)
        await creating
        assert (await disk.record(kept)).expires_at == deadline
    assert len(await disk.store.expire()) == 1
    assert in_a_copy(disk, kept) == deadline
    assert [record.id for record in await sessions_of(disk.store)] == [kept.id]


async def test_an_end_at_the_deadline_does_not_overtake_an_extension(disk: Disk) -> None:
    """What is extended in memory alone is neither expired nor out of any count."""
    news = [await disk.create() for _ in range(3)]
    disk.clock.passed_ms += 50_000
    for new in news:
        await extend(disk, new)
    disk.clock.passed_ms += 20_000
    # The file has deadlines that have passed, and memory has not.
    with pytest.raises(SessionLimit):
        await disk.store.create(new_session(), Policy(3, is_strict=True))
    replaced = (await disk.store.create(new_session(), Policy(3)))[0]
    assert isinstance(replaced.change, SessionUnset)
    assert (replaced.change.session_id, replaced.change.reason) == (news[0].id, "replaced")
    changed = await disk.store.change("alice", news[1].id, Changes(language="fi"), None)
    assert isinstance(changed.change, SessionSet)
    assert changed.change.record == await disk.record(news[1])
    assert await disk.store.expire() == []
    events = await disk.store.end("alice", news[2].id, LogoutScope.ALL, "loggedOut")
    assert len(events) == 3


async def test_a_change_does_not_undo_an_extension(disk: Disk) -> None:
    """Also one that was under way when the session was extended."""
    new = await disk.create()
    disk.clock.passed_ms += 50_000
    changing = asyncio.create_task(
        disk.store.change("alice", new.id, Changes(language="fi"), None)
    )
    await asyncio.sleep(0)
    deadline = await extend(disk, new)
    await changing
    record = await disk.record(new)
    assert (record.expires_at, record.language) == (deadline, "fi")
    await disk.restart()
    assert await disk.record(new) == record


async def test_a_restore_needs_no_disk(disk: Disk) -> None:
    """A disk that hangs does not hold it up, with the newest cursor or with none."""
    new = await disk.create()
    cursor = (await disk.store.restore("alice", new.digest)).cursor
    disk.clock.passed_ms += 50_000
    # Nothing of these runs in another thread or waits: each is done in one step.
    for after in (None, cursor):
        restoring = disk.store.restore("alice", new.digest, after)
        with pytest.raises(StopIteration) as done:
            restoring.send(None)
        assert done.value.value.cursor == cursor


async def test_many_extensions_are_written_in_steps(disk: Disk) -> None:
    """More than one transaction takes, all with one `expire`."""
    news = [new_session(f"actor-{i}") for i in range(1200)]
    await asyncio.gather(*map(disk.store.create, news))
    disk.clock.passed_ms += 50_000
    await disk.store.touch(held(*news))
    assert await disk.store.expire() == []
    await disk.restart()
    disk.clock.passed_ms += 50_000
    assert await disk.store.expire() == []
