"""
The feed of a node: what its listeners are told.
"""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator

import pytest

from keystay_protocol.commands import LogoutScope
from keystay_server.feed import subscriptions as feed_module
from keystay_server.feed.subscriptions import (
    Feed,
    FeedClosed,
    FeedEvent,
    Subscription,
    TooManySubscriptions,
)
from keystay_server.stores import open_store
from keystay_server.stores.errors import NoFeed
from keystay_server.stores.position import (
    Position,
    has_read,
    moved_to,
    read_position,
    write_position,
)
from keystay_server.stores.records import Policy
from keystay_server.stores.retention import Retention
from tests.support.server.far_store import FarStore
from tests.support.stores.installation import Heard, new_session, opened

WAIT_S = 10.0


@pytest.fixture
async def store() -> AsyncIterator[FarStore]:
    """A started store."""
    made = FarStore(open_store("memory://", Retention()))
    await made.start(Heard())
    yield made
    await made.stop()


@pytest.fixture
async def feed(store: FarStore) -> AsyncIterator[Feed]:
    """The feed of a node, where little may wait."""
    made = Feed(store, most=50)
    yield made
    await made.stop()


async def take(subscription: Subscription, number: int) -> list[FeedEvent]:
    """The next so many."""
    told: list[FeedEvent] = []
    async with asyncio.timeout(WAIT_S):
        while len(told) < number:
            told += await subscription.take()
    return told


async def until_present(subscription: Subscription) -> None:
    """Let it come to where nothing is left to be read."""
    async with asyncio.timeout(WAIT_S):
        assert await subscription.take() == []
        assert await subscription.take() == []


def cursors(told: list[FeedEvent]) -> list[int]:
    """Their cursors."""
    return [json.loads(one.data)["cursor"] for one in told]


async def open_sessions(store: FarStore, number: int, actor_id: str = "alice") -> list[int]:
    """Open so many; return the cursors."""
    return [(await opened(store, new_session(actor_id))).cursor for _ in range(number)]


async def test_a_listener_is_told_what_happens_from_now_on(store: FarStore, feed: Feed) -> None:
    """Not what was before; each event once, in order, as soon as it is there."""
    await open_sessions(store, 3)
    subscription = await feed.subscribe()
    first = await open_sessions(store, 3)
    assert cursors(await take(subscription, 3)) == first
    for _ in range(3):
        some = await open_sessions(store, 1)
        assert cursors(await take(subscription, 1)) == some


async def test_how_an_event_is_told(store: FarStore, feed: Feed) -> None:
    """A session is told without its key; an end with its reason and who took its place."""
    subscription = await feed.subscribe()
    old, new = new_session(), new_session()
    await opened(store, old)
    await store.create(new, Policy(limit=1))
    opened_, ended, _ = await take(subscription, 3)
    assert (opened_.name, ended.name) == ("session.set", "session.unset")
    told = json.loads(opened_.data)
    assert set(told) == {"actorId", "cursor", "at", "session"}
    assert told["at"] == told["session"]["createdAt"] == told["cursor"] // 1024
    assert told["session"]["id"] == old.id
    assert told["session"]["revision"] == 1
    assert "key" not in told["session"]
    told = json.loads(ended.data)
    assert told["actorId"] == "alice"
    assert (told["id"], told["reason"], told["by"]["id"]) == (old.id, "replaced", new.id)


async def test_a_listener_comes_back(store: FarStore, feed: Feed) -> None:
    """With the position of any event it is told the rest, past and present, each once."""
    first = await feed.subscribe()
    whole = await open_sessions(store, 20)
    told = await take(first, 20)
    for number in (0, 7, 19):
        again = await feed.subscribe(told[number].position)
        whole += await open_sessions(store, 2)
        rest = whole[number + 1 :]
        assert cursors(await take(again, len(rest))) == rest
        again.close()


async def test_the_past_and_the_present_meet(store: FarStore) -> None:
    """Whoever comes back while much happens misses nothing, and hears nothing twice."""
    feed, start = Feed(store), (await store.read_feed(None, 1)).position
    subscriptions = [await feed.subscribe(start) for _ in range(5)]

    async def go_on(actor_id: str) -> None:
        for _ in range(60):
            await open_sessions(store, 1, actor_id)

    writing = [asyncio.create_task(go_on(f"actor-{i}")) for i in range(10)]
    told = await asyncio.gather(*(take(one, 600) for one in subscriptions))
    await asyncio.gather(*writing)
    page = await store.read_feed(start, 1000)
    for some in told:
        assert cursors(some) == [entry.cursor for entry in page.entries]
    await feed.stop()


async def test_a_listener_hears_of_the_actors_it_named(store: FarStore, feed: Feed) -> None:
    """And its position moves on with what it does not hear."""
    subscription = await feed.subscribe(actors=frozenset({"bob"}))
    await until_present(subscription)
    before = subscription.position
    await open_sessions(store, 5)
    [cursor] = await open_sessions(store, 1, "bob")
    assert cursors(await take(subscription, 1)) == [cursor]
    position = subscription.position
    assert position > before
    await open_sessions(store, 1)
    async with asyncio.timeout(WAIT_S):
        assert await subscription.take() == []
    assert subscription.position > position


async def test_a_listener_that_takes_nothing_is_cut_off(store: FarStore, feed: Feed) -> None:
    """When too much waits for it; others do not notice."""
    slow, quick = await feed.subscribe(), await feed.subscribe()
    await until_present(slow)
    await until_present(quick)
    for _ in range(3):
        some = await open_sessions(store, 30)
        assert cursors(await take(quick, 30)) == some
    with pytest.raises(FeedClosed):
        await slow.take()
    assert feed.counts.feed_cut_off == 1


async def test_listeners_are_counted(feed: Feed) -> None:
    """As they come and go; who goes by itself was not cut off."""
    counts = feed.counts
    one, other = await feed.subscribe(), await feed.subscribe()
    assert counts.feed_listeners_now == 2
    one.close()
    one.cut_off()
    assert counts.feed_listeners_now == 1
    other.cut_off()
    assert (counts.feed_listeners_now, counts.feed_cut_off) == (0, 1)
    await feed.subscribe()
    await feed.stop()
    assert (counts.feed_listeners_now, counts.feed_cut_off) == (0, 1)


async def test_a_position_that_nothing_leads_back_to(store: FarStore, feed: Feed) -> None:
    """The first that is told is the loss, then what is there."""
    [cursor] = await open_sessions(store, 1)
    for position in ((0,), (1, 2, 3), (2**52,)):
        subscription = await feed.subscribe(position)
        lost, told = await take(subscription, 2)
        assert (lost.name, lost.data) == ("feed.lost", b"{}")
        assert cursors([told]) == [cursor]
        again = await feed.subscribe(lost.position)
        assert cursors(await take(again, 1)) == [cursor]


async def test_an_outage_of_the_store_is_waited_out(store: FarStore, feed: Feed) -> None:
    """A listener that is there stays, and misses nothing."""
    subscription = await feed.subscribe()
    await until_present(subscription)
    store.is_down = True
    await store.until_asked("read_feed", 8)
    store.is_down = False
    some = await open_sessions(store, 2)
    assert cursors(await take(subscription, 2)) == some


async def test_nobody_reads_for_nobody(store: FarStore, feed: Feed) -> None:
    """The store is asked while somebody listens, and again when somebody comes back."""
    for _ in range(2):
        subscription = await feed.subscribe()
        some = await open_sessions(store, 1)
        assert cursors(await take(subscription, 1)) == some
        subscription.close()
        [reading] = [t for t in asyncio.all_tasks() if t.get_name() == "read the feed"]
        async with asyncio.timeout(WAIT_S):
            await reading


async def test_a_stopped_feed_is_over_at_once(store: FarStore) -> None:
    """Whoever waits is told, and nobody new is let in."""
    feed = Feed(store)
    subscription = await feed.subscribe()
    await until_present(subscription)
    waiting = asyncio.create_task(subscription.take())
    await asyncio.sleep(0)
    await feed.stop()
    async with asyncio.timeout(1):
        with pytest.raises(FeedClosed):
            await waiting
    with pytest.raises(FeedClosed):
        await feed.subscribe()


async def test_listeners_are_bounded(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused, until one has gone."""
    monkeypatch.setattr(feed_module, "MAX_SUBSCRIPTIONS", 2)
    one, _ = await feed.subscribe(), await feed.subscribe()
    with pytest.raises(TooManySubscriptions):
        await feed.subscribe()
    one.close()
    await feed.subscribe()


async def test_there_is_no_feed_where_none_is_kept() -> None:
    """Whoever asks is told."""
    store = open_store("memory://", Retention(feed_events=0))
    await store.start(Heard())
    with pytest.raises(NoFeed):
        await Feed(store).subscribe()
    await store.stop()


async def test_ends_are_told(store: FarStore, feed: Feed) -> None:
    """Each session of an actor that is shut out, oldest first."""
    subscription = await feed.subscribe()
    await open_sessions(store, 3)
    ended = await store.end("alice", None, LogoutScope.ALL, "banned")
    told = (await take(subscription, 6))[3:]
    assert cursors(told) == [event.cursor for event in ended]
    assert {json.loads(one.data)["reason"] for one in told} == {"banned"}


@pytest.mark.parametrize("position", [(0,), (1, 0, 2**53 - 1), tuple(range(16))])
def test_a_position_is_read_as_it_was_written(position: Position) -> None:
    """Its text is fit for a header and a URL."""
    text = write_position(position)
    assert read_position(text) == position
    assert text.isascii()
    assert text.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    "value",
    [b"", b"\xc1", b"\x90", b"\x91\x01", b"\x92\x01\xc0", b"\x92\x01\x02", b"\x92\xc3\x01"],
)
def test_what_is_no_position_is_none(value: bytes) -> None:
    """Whatever a listener sends: not MessagePack, no list, too short, no numbers, negative."""
    assert read_position(urlsafe_b64encode(value).decode().rstrip("=")) is None


@pytest.mark.parametrize("text", ["", "!", "A", "é", "x" * 1000])
def test_what_is_no_text_of_a_position_is_none(text: str) -> None:
    """Nor what is not base64url at all."""
    assert read_position(text) is None


def test_a_position_moves_forward_only() -> None:
    """An entry that was read is not read again, whatever comes later."""
    position = moved_to((1, 5), 1, 7)
    assert position == (1, 7) == moved_to(position, 1, 6)
    assert has_read(position, 1, 7)
    assert not has_read(position, 0, 2)


async def test_listeners_that_come_together_are_bounded_too(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as there may be are let in, however many ask at once."""
    monkeypatch.setattr(feed_module, "MAX_SUBSCRIPTIONS", 3)
    answers = await asyncio.gather(
        *(feed.subscribe() for _ in range(10)), return_exceptions=True
    )
    assert sum(isinstance(answer, Subscription) for answer in answers) == 3
    assert sum(isinstance(answer, TooManySubscriptions) for answer in answers) == 7


async def test_a_listener_that_comes_while_the_feed_stops_is_turned_away(
    store: FarStore, feed: Feed
) -> None:
    """Nobody would ever close it."""
    store.hold_answers("read_feed")
    coming = asyncio.create_task(feed.subscribe())
    await store.until_done("read_feed")
    await feed.stop()
    store.deliver_answers("read_feed")
    with pytest.raises(FeedClosed):
        await coming


async def test_a_listener_that_joins_while_the_feed_stops_is_let_go(feed: Feed) -> None:
    """It would keep a node that drains, though nobody reads for it any more."""
    subscription = await feed.subscribe()
    joining = asyncio.create_task(feed.join(subscription))
    await asyncio.sleep(0)  # The reader is there, and has not run yet.
    await feed.stop()
    async with asyncio.timeout(WAIT_S):
        await joining
    with pytest.raises(FeedClosed):
        await subscription.take()
