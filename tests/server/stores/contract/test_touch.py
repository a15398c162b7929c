"""
What every store promises about extensions: by a touch, and in which part of the ttl.
"""

import asyncio

import pytest

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import Expired, LoggedOut
from keystay_server.stores.events import SessionUnset
from tests.support.stores.installation import (
    Installation,
    expire_all,
    held,
    new_session,
    opened,
    sessions_of,
)

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


async def test_a_touch_is_silent(installation: Installation) -> None:
    """It extends by the ttl, on every node, and is no event."""
    store, new = installation.store, new_session()
    installation.listen("alice")
    await opened(store, new)
    created = await store.check("alice", new.digest)
    assert (await installation.heard[0].event()).actor_id == "alice"
    installation.pass_time(30 * SECOND)
    await store.touch(held(new))
    touched = await installation.nodes[-1].check("alice", new.digest)
    assert 0 <= touched.expires_at - created.expires_at - 30 * SECOND < 5 * SECOND
    assert await sessions_of(store, "alice") == [touched]
    assert len((await store.history("alice", 0)).events) == 1
    [marker] = await store.end("alice", new.id, LogoutScope.THIS, "loggedOut")
    assert await installation.heard[0].event() == marker


async def test_a_touch_in_the_first_third_is_nothing(installation: Installation) -> None:
    """With more than two thirds of its ttl left, a session stays as it is."""
    store, new = installation.store, new_session()
    await opened(store, new)
    before = await store.check("alice", new.digest)
    installation.pass_time(15 * SECOND)
    await store.touch(held(new))
    assert await store.check("alice", new.digest) == before
    installation.pass_time(5 * SECOND)
    await store.touch(held(new))
    assert (await store.check("alice", new.digest)).expires_at > before.expires_at


async def test_a_touch_never_passes_the_maximum_age(installation: Installation) -> None:
    """Who is held for ever ends at `ends_at`."""
    store, new = installation.store, new_session(max_age_ms=90 * SECOND)
    await opened(store, new)
    for _ in range(2):
        installation.pass_time(40 * SECOND)
        await store.touch(held(new))
    record = await store.check("alice", new.digest)
    assert record.expires_at == record.ends_at == record.created_at + 90 * SECOND
    installation.pass_time(10 * SECOND)
    await store.touch(held(new))
    assert len(await installation.end_what_is_due()) == 1
    with pytest.raises(Expired):
        await store.check("alice", new.digest)


async def test_a_touch_revives_nothing(installation: Installation) -> None:
    """What has ended, or is past its maximum age, is passed over; the others are extended."""
    store = installation.store
    over, left, live = new_session(max_age_ms=10 * SECOND), new_session(), new_session("bob")
    for new in (over, left, live):
        await opened(store, new)
    await store.end("alice", left.id, LogoutScope.THIS, "loggedOut")
    before = await store.check("bob", live.digest)
    installation.pass_time(30 * SECOND)
    await store.touch([])
    await store.touch(held(over, left, new_session(), new_session("nobody"), live))
    with pytest.raises(Expired):
        await store.check("alice", over.digest)
    with pytest.raises(LoggedOut):
        await store.check("alice", left.digest)
    assert (await store.check("bob", live.digest)).expires_at > before.expires_at


async def test_an_overdue_session_that_is_held_goes_on(installation: Installation) -> None:
    """A touch extends it as long as nobody has ended it, however late; a restore does not."""
    store, new = installation.store, new_session()
    await opened(store, new)
    installation.pass_time(5 * HOUR)
    with pytest.raises(Expired):
        await store.restore("alice", new.digest)
    await installation.nodes[-1].touch(held(new))
    record = await store.check("alice", new.digest)
    assert 0 <= record.expires_at - record.created_at - 5 * HOUR - MINUTE < 5 * SECOND
    assert await installation.end_what_is_due() == []
    assert await store.session("alice", new.id) == record
    installation.pass_time(MINUTE)
    assert len(await installation.end_what_is_due()) == 1


async def test_an_overdue_session_beyond_its_maximum_age_ends(
    installation: Installation,
) -> None:
    """Past `ends_at` a touch changes nothing, also if the ttl was over before."""
    store, new = installation.store, new_session(ttl_ms=30 * SECOND, max_age_ms=MINUTE)
    await opened(store, new)
    installation.pass_time(MINUTE)
    await store.touch(held(new))
    assert len(await installation.end_what_is_due()) == 1


@pytest.mark.parametrize("number", [1, 250])
async def test_a_touch_and_an_end_at_the_same_time(
    installation: Installation, number: int
) -> None:
    """Of an overdue session one of them comes first: it has ended, or goes on for a ttl."""
    store, news = installation.store, [new_session(f"actor-{i % 9}") for i in range(number)]
    await asyncio.gather(*map(store.create, news))
    await store.expire()
    installation.pass_time(MINUTE)
    await asyncio.gather(
        *(node.touch(held(*news)) for node in installation.nodes),
        installation.end_what_is_due(*installation.nodes),
    )
    for new in news:
        ended = {
            event.change.session_id
            for event in (await store.history(new.actor_id, 0)).events
            if isinstance(event.change, SessionUnset)
        }
        try:
            record = await store.check(new.actor_id, new.digest)
        except Expired:
            assert new.id in ended
        else:
            assert new.id not in ended
            assert record.expires_at - record.created_at >= 2 * MINUTE


async def test_what_was_held_over_an_absence_goes_on(installation: Installation) -> None:
    """
    After nobody asked the store for a while, it ends nothing for a moment.

    What is touched then goes on, and what nobody holds ends after the grace. A
    store within one process has none: nobody else can have been there.
    """
    store, kept, left = installation.store, new_session(), new_session()
    await opened(store, kept)
    await opened(store, left)
    assert await store.expire() == []
    installation.pass_time(MINUTE)
    if installation.grace_ms:
        for node in installation.nodes:
            assert await node.expire() == []
    installation.pass_time(min(1_000, installation.grace_ms))
    await installation.nodes[-1].touch(held(kept))
    assert len(await installation.end_what_is_due(*installation.nodes)) == 1
    assert [record.id for record in await sessions_of(store)] == [kept.id]
    with pytest.raises(Expired):
        await store.check("alice", left.digest)


async def test_a_store_that_is_asked_all_the_time_has_no_grace(
    installation: Installation,
) -> None:
    """What becomes due between two calls ends with the second."""
    store, new = installation.store, new_session(ttl_ms=SECOND)
    assert await store.expire() == []
    await opened(store, new)
    installation.pass_time(SECOND)
    assert len(await expire_all(store)) == 1
