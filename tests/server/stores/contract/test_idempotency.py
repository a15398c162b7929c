"""
What every store promises about requests that may come twice.
"""

import asyncio

import pytest

from keystay_protocol.codec import pack
from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import NoSession, SessionLimit
from keystay_server.stores.base import Store
from keystay_server.stores.errors import AlreadyApplied, IdempotencyConflict
from keystay_server.stores.events import Emitted
from keystay_server.stores.records import IDEMPOTENCY_MS, IdempotencyRecord, NewSession, Policy
from tests.support.stores.installation import Installation, new_session, opened, sessions_of

ONCE = IdempotencyRecord("request-1", "what was asked")


def saying(
    idempotency: IdempotencyRecord | None = ONCE, session_id: str | None = None
) -> Emitted:
    """Something that a backend says."""
    return Emitted(session_id, "mail", pack("hello"), idempotency)


def again(new: NewSession) -> NewSession:
    """The same request once more, as a retry makes it: only the id is another."""
    return new_session(digest=new.digest, idempotency=new.idempotency)


async def test_a_session_is_opened_once(installation: Installation) -> None:
    """The second time, on whichever node, nothing is opened, ended or announced."""
    first, last = installation.nodes[0], installation.nodes[-1]
    new = new_session(idempotency=ONCE)
    event = await opened(first, new)
    for policy in (Policy(), Policy(1), Policy(1, is_strict=True)):
        with pytest.raises(AlreadyApplied) as refused:
            await last.create(again(new), policy)
        assert refused.value.cursor == event.cursor
    assert [record.id for record in await sessions_of(first, "alice")] == [new.id]
    assert (await first.history("alice", 0)).events == [event]


async def test_of_many_at_once_one_is_opened(installation: Installation) -> None:
    """Retries that overtake the first attempt are no second one."""
    nodes = [installation.nodes[0], installation.nodes[-1]] * 10
    new = new_session(idempotency=ONCE)
    results = await asyncio.gather(
        *(node.create(again(new)) for node in nodes), return_exceptions=True
    )
    assert sum(isinstance(result, list) for result in results) == 1
    assert sum(isinstance(result, AlreadyApplied) for result in results) == 19
    assert len(await sessions_of(installation.store, "alice")) == 1


async def test_a_session_that_ended_is_not_opened_again(store: Store) -> None:
    """A retry never brings back what has ended meanwhile."""
    new = new_session(idempotency=ONCE)
    await opened(store, new)
    await store.end("alice", new.id, LogoutScope.THIS, "banned")
    with pytest.raises(AlreadyApplied):
        await store.create(again(new))
    assert await sessions_of(store, "alice") == []


async def test_a_refused_opening_can_be_tried_again(store: Store) -> None:
    """What was not done is not remembered."""
    one, other = new_session(), new_session(idempotency=ONCE)
    await opened(store, one)
    with pytest.raises(SessionLimit):
        await store.create(other, Policy(1, is_strict=True))
    await store.end("alice", one.id, LogoutScope.THIS, "loggedOut")
    [event] = await store.create(other, Policy(1, is_strict=True))
    assert event.actor_id == "alice"


async def test_another_content_under_the_same_name_is_refused(store: Store) -> None:
    """Also when it is another kind of request; what was done stays done."""
    otherwise = IdempotencyRecord(ONCE.name, "something else")
    await opened(store, new_session(idempotency=ONCE))
    with pytest.raises(IdempotencyConflict):
        await store.create(new_session(idempotency=otherwise))
    with pytest.raises(IdempotencyConflict):
        await store.emit("alice", saying(otherwise))
    assert len(await sessions_of(store, "alice")) == 1


async def test_names_are_the_actors_own(store: Store) -> None:
    """Two actors, or two names, are two requests; without a name each is a new one."""
    await opened(store, new_session("alice", idempotency=ONCE))
    await opened(store, new_session("bob", idempotency=ONCE))
    await opened(
        store, new_session("alice", idempotency=IdempotencyRecord("request-2", ONCE.content))
    )
    for _ in range(2):
        await opened(store, new_session("alice"))
        await store.emit("alice", saying(None))
    assert len(await sessions_of(store, "alice")) == 4


async def test_an_event_is_said_once(installation: Installation) -> None:
    """The second time its cursor is told, and nobody hears it again."""
    first, last = installation.nodes[0], installation.nodes[-1]
    event = await first.emit("alice", saying())
    for node in (first, last):
        with pytest.raises(AlreadyApplied) as refused:
            await node.emit("alice", saying())
        assert refused.value.cursor == event.cursor
    assert (await last.history("alice", 0)).events == [event]


async def test_an_event_for_a_session_is_said_once(store: Store) -> None:
    """A retry is told so even after the session's end; a first attempt is refused then."""
    new = new_session()
    await opened(store, new)
    await store.emit("alice", saying(session_id=new.id))
    await store.end("alice", new.id, LogoutScope.THIS, "loggedOut")
    with pytest.raises(AlreadyApplied):
        await store.emit("alice", saying(session_id=new.id))
    with pytest.raises(NoSession):
        await store.emit("alice", saying(IdempotencyRecord("request-2", ""), new.id))


async def test_names_are_remembered_for_a_day(installation: Installation) -> None:
    """After that a name is as good as new, but for a session that is still known."""
    store, new = installation.store, new_session(ttl_ms=3 * IDEMPOTENCY_MS, idempotency=ONCE)
    await opened(store, new)
    await store.emit("bob", saying())
    installation.pass_time(IDEMPOTENCY_MS - 1000)
    with pytest.raises(AlreadyApplied):
        await store.emit("bob", saying())
    installation.pass_time(1000)
    await store.emit("bob", saying())
    with pytest.raises(AlreadyApplied):
        await store.create(again(new))
    await store.create(new_session(idempotency=IdempotencyRecord(ONCE.name, "something else")))
    assert len(await sessions_of(store, "alice")) == 2
