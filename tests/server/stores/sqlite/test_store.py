"""
Memory, which serves the checks, and the file, while the disk works and while it does not.

What every store promises is in tests/stores.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import Expired, LoggedOut, NoSession, Unavailable
from keystay_server.stores.base import END_STEP
from keystay_server.stores.events import Emitted, SessionUnset
from keystay_server.stores.records import Changes, NewSession
from keystay_server.stores.sqlite import writer
from tests.server.stores.sqlite.disk import Disk
from tests.server.stores.sqlite.full_disk import full_disk
from tests.support.stores.installation import EMPTY_MAP, held, new_session, opened, sessions_of

SCOPES = list(LogoutScope)


async def log_out(disk: Disk, new: NewSession, scope: LogoutScope = LogoutScope.THIS) -> int:
    """Log out; how many sessions ended."""
    return len(await disk.store.end(new.actor_id, new.id, scope, "loggedOut"))


async def fail_to_log_out(
    disk: Disk, new: NewSession, scope: LogoutScope = LogoutScope.THIS
) -> None:
    """Log out while the disk is full."""
    with full_disk(), pytest.raises(Unavailable):
        await log_out(disk, new, scope)


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Disk]:
    """A file of the test's own, with a store over it."""
    disk = Disk(tmp_path / "keystay.db")
    await disk.start()
    yield disk
    await disk.store.stop()


async def test_sessions_outlive_the_store(disk: Disk) -> None:
    """Live ones, ended ones with their reason, and overdue ones are as they were."""
    live, ended, over = await disk.create("a"), await disk.create("b"), await disk.create("c")
    await log_out(disk, ended)
    disk.clock.passed_ms += 60_000
    await disk.restart()
    disk.clock.passed_ms -= 1000
    assert await disk.state(live) is None
    assert await disk.state(ended) is LoggedOut
    disk.clock.passed_ms += 1000
    assert await disk.state(over) is Expired


async def test_a_restore_knows_the_cursor_after_a_restart(disk: Disk) -> None:
    """The newest of the actor, whatever its event was."""
    new = await disk.create()
    said = await disk.store.emit("alice", Emitted(None, "app.said", EMPTY_MAP))
    await disk.restart()
    assert (await disk.store.restore("alice", new.digest)).cursor == said.cursor
    restored = await disk.store.restore("alice", new.digest, 0)
    assert restored.missed is not None
    assert restored.missed.events[-1] == said


async def test_a_failed_commit_leaves_memory_and_file_alike(disk: Disk) -> None:
    """Whatever failed together: memory answers what the file would, before and after."""
    news = [await disk.create() for _ in range(3)]
    before = [await disk.record(new) for new in news]
    with full_disk():
        results = await asyncio.gather(
            *(disk.store.change("alice", new.id, Changes(language="fi"), None) for new in news),
            *(disk.create() for _ in range(3)),
            return_exceptions=True,
        )
    assert {type(result) for result in results} == {Unavailable}
    assert [await disk.record(new) for new in news] == before
    assert await sessions_of(disk.store) == before
    await disk.restart()
    assert [await disk.record(new) for new in news] == before


async def test_reads_go_on_while_the_disk_is_full(disk: Disk) -> None:
    """Checks, restores, lists and the history are answered."""
    new = await disk.create()
    record = await disk.record(new)
    with full_disk():
        assert await disk.state(new) is None
        assert await sessions_of(disk.store) == [record]
        assert (await disk.store.history("alice", 0)).events
        writing = asyncio.gather(disk.create(), return_exceptions=True)
        # Also in one transaction with a write that fails.
        assert (await disk.store.restore("alice", new.digest, 0)).record == record
        await writing


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_logout_that_cannot_be_written_counts_all_the_same(
    disk: Disk, scope: LogoutScope
) -> None:
    """The answer is `unavailable`; the keys it was about are refused from then on."""
    own, other, strangers = await disk.create(), await disk.create(), await disk.create("bob")
    await fail_to_log_out(disk, own, scope)
    states = {
        LogoutScope.THIS: [LoggedOut, None],
        LogoutScope.OTHERS: [None, LoggedOut],
        LogoutScope.ALL: [LoggedOut, LoggedOut],
    }[scope]
    assert [await disk.state(new) for new in (own, other)] == states
    assert await disk.state(strangers) is None
    live = [new.id for new, state in zip((own, other), states, strict=True) if state is None]
    assert [record.id for record in await sessions_of(disk.store)] == live
    for new in (own, other):
        if new.id not in live:
            await assert_refused(disk, new)


async def assert_refused(disk: Disk, new: NewSession) -> None:
    """Nothing can be done with the session."""
    for step in (
        disk.store.change("alice", new.id, Changes(language="fi"), None),
        disk.store.session("alice", new.id),
        disk.store.emit("alice", Emitted(new.id, "app.said", EMPTY_MAP)),
    ):
        with pytest.raises(NoSession):
            await step
    with pytest.raises(LoggedOut):
        await disk.store.restore("alice", new.digest)
    await disk.store.touch(held(new))
    assert await disk.state(new) is LoggedOut


async def test_an_unwritten_logout_of_many_is_refused_whole(disk: Disk) -> None:
    """However many steps it would have taken; they are written in steps too."""
    news = [new_session() for _ in range(2 * END_STEP + 20)]
    await asyncio.gather(*(opened(disk.store, new) for new in news))
    await fail_to_log_out(disk, news[0], LogoutScope.ALL)
    assert {await disk.state(new) for new in news} == {LoggedOut}
    assert await disk.store.expire() == []
    await disk.restart()
    assert {await disk.state(new) for new in news} == {LoggedOut}


async def test_an_unwritten_logout_is_written_with_the_next_expire(disk: Disk) -> None:
    """That comes several times a second; it is announced then."""
    new = await disk.create()
    disk.heard.actors.add("alice")
    await fail_to_log_out(disk, new)
    await disk.store.expire()
    event = await disk.heard.event()
    assert event.change == SessionUnset(new.id, "loggedOut")
    assert await disk.state(new) is LoggedOut
    assert (await disk.store.history("alice", 0)).events[-1] == event
    await disk.restart()
    assert await disk.state(new) is LoggedOut


async def test_an_unwritten_logout_can_be_repeated(disk: Disk) -> None:
    """The user tries again, and it works: the session ends once."""
    new = await disk.create()
    await fail_to_log_out(disk, new)
    assert await log_out(disk, new) == 1
    await disk.store.expire()
    assert await disk.state(new) is LoggedOut
    assert len((await disk.store.history("alice", 0)).events) == 2


async def test_an_unwritten_logout_is_written_at_the_end(disk: Disk) -> None:
    """A server that is stopped in good order leaves no session alive that was logged out."""
    new = await disk.create()
    await fail_to_log_out(disk, new)
    await disk.restart()
    assert await disk.state(new) is LoggedOut


async def test_a_disk_that_stays_full_is_no_reason_not_to_stop(disk: Disk) -> None:
    """The session is alive again then: the answer was that this is not known."""
    new = await disk.create()
    await fail_to_log_out(disk, new)
    with full_disk():
        async with asyncio.timeout(5):
            await disk.store.stop()
    await disk.start()
    assert await disk.state(new) is None


async def test_a_disk_that_fills_up_again_forgets_nothing(disk: Disk) -> None:
    """The key stays refused through any number of attempts to write its end."""
    new = await disk.create()
    await fail_to_log_out(disk, new)
    with full_disk():
        for _ in range(3):
            with pytest.raises(Unavailable):
                await disk.store.expire()
            assert await sessions_of(disk.store) == []
            assert await disk.state(new) is LoggedOut
    await disk.store.expire()
    assert await disk.state(new) is LoggedOut


async def test_an_unwritten_logout_stays_one_past_the_deadline(disk: Disk) -> None:
    """The session ended when its user said so, and not at the deadline that passed since."""
    new = await disk.create()
    await fail_to_log_out(disk, new)
    disk.clock.passed_ms += 60_000
    assert await disk.store.expire() == []
    assert await disk.state(new) is LoggedOut
    await disk.restart()
    assert await disk.state(new) is LoggedOut


async def test_a_session_that_is_over_ends_no_others(disk: Disk) -> None:
    """Also while the disk is full: a session that is not live may not log others out."""
    own, other = await disk.create(), await disk.create(ttl_ms=120_000)
    disk.clock.passed_ms += 70_000
    with full_disk(), pytest.raises(NoSession):
        await log_out(disk, own, LogoutScope.OTHERS)
    assert await disk.state(other) is None


async def test_a_logout_that_the_load_refuses_is_not_done(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When too many writes wait, nothing has changed and nobody is refused; all goes on."""
    monkeypatch.setattr(writer, "MAX_WAITING", 10)
    new = await disk.create()
    others = [asyncio.create_task(disk.create("bob")) for _ in range(20)]
    logout = asyncio.create_task(log_out(disk, new))
    # All of them are in one turn of the loop, and the logout is the last.
    with pytest.raises(Unavailable, match="too many"):
        await logout
    created = await asyncio.gather(*others, return_exceptions=True)
    # Housekeeping may have taken one of the places.
    assert sum(isinstance(one, NewSession) for one in created) in (9, 10)
    assert await disk.state(new) is None
    assert await log_out(disk, new) == 1
    assert await disk.state(new) is LoggedOut
