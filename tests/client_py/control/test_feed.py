"""The live feed: what a backend hears, and what it hears when lines break."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

import keystay
from tests.client_py.control.conftest import API_KEY, QUICK
from tests.support.client_py.feed_peer import HEAD, FeedPeer, feed_peer
from tests.support.client_py.http_peer import (
    SESSION,
    WAIT_S,
    Act,
    answer,
    break_off,
    http_peer,
    problem,
)


def listener(url: str, **options: Any) -> keystay.Control:
    return keystay.Control(url, API_KEY, timeout_s=WAIT_S, options=replace(QUICK, **options))


def set_for(feed: FeedPeer, actor_id: str, cursor: int) -> None:
    session = {**SESSION, "actorId": actor_id}
    feed.say("session.set", actorId=actor_id, cursor=cursor, at=1, session=session)


async def next_of(events: keystay.FeedStream) -> keystay.FeedEvent:
    async with asyncio.timeout(WAIT_S):
        return await anext(events)


async def cursors(events: keystay.FeedStream, count: int) -> list[int]:
    heard = [await next_of(events) for _ in range(count)]
    return [event.cursor for event in heard if not isinstance(event, keystay.FeedLost)]


async def test_events_are_typed() -> None:
    """A set has the session, an unset its id and reason; each has its position."""
    async with feed_peer() as feed, listener(feed.url) as control, control.feed() as events:
        set_for(feed, "alice", 1)
        feed.say(
            "session.unset",
            actorId="alice",
            cursor=2,
            at=9,
            id="YQ.1",
            reason="replaced",
            by={"id": "YQ.2", "createdAt": 5},
        )
        first = await next_of(events)
        assert isinstance(first, keystay.SessionSet)
        assert (first.session.id, first.session.key) == (SESSION["id"], None)
        assert first.position == events.position == "p1"
        assert await next_of(events) == keystay.SessionUnset(
            *("alice", 2, 9, "YQ.1", "replaced"),
            by=keystay.Successor("YQ.2", 5),
            position="p2",
        )


async def test_it_is_asked_for_as_the_server_has_it() -> None:
    """The actors are in the query, the position in the header, the key nowhere else."""
    async with feed_peer() as feed, listener(feed.url) as control:
        assert feed.http is not None
        async with control.feed(actors=["alice", "a&b"], position="p0") as events:
            set_for(feed, "bob", 1)
            set_for(feed, "a&b", 2)
            assert await cursors(events, 1) == [2]
        [asked] = feed.http.asked
        assert asked.target == "/v1/feed?actor=alice&actor=a%26b"
        assert asked.headers["last-event-id"] == "p0"
        assert asked.headers["accept"] == "text/event-stream"


async def test_what_happens_after_it_is_entered_is_heard() -> None:
    """`async with` returns when the server listens, so that nothing falls in between."""
    async with feed_peer() as feed, listener(feed.url) as control, control.feed() as events:
        assert len(feed.positions) == 1
        set_for(feed, "alice", 1)
        assert await cursors(events, 1) == [1]


async def test_without_entering_it_begins_with_the_first_step() -> None:
    """A program that only ever reads needs no more than a loop."""
    async with feed_peer() as feed, listener(feed.url) as control:
        set_for(feed, "alice", 1)
        async for event in control.feed(position="p0"):
            assert event.position == "p1"
            break


async def test_a_cut_line_loses_nothing() -> None:
    """It comes back by itself, and goes on where it was."""
    async with feed_peer() as feed, listener(feed.url) as control, control.feed() as events:
        for round_ in range(5):
            set_for(feed, "alice", 2 * round_)
            assert await cursors(events, 1) == [2 * round_]
            feed.cut()
            set_for(feed, "alice", 2 * round_ + 1)
            assert await cursors(events, 1) == [2 * round_ + 1]


async def test_a_line_cut_before_anything_happened_loses_nothing() -> None:
    """The server says at once where a feed begins."""
    async with feed_peer() as feed, listener(feed.url) as control, control.feed() as events:
        feed.cut()
        set_for(feed, "alice", 1)
        assert await cursors(events, 1) == [1]


async def test_a_server_that_does_not_say_where_a_feed_begins() -> None:
    """Then nobody knows what was missed, and that is said."""
    async with feed_peer() as feed, listener(feed.url) as control:
        feed.tells_where_it_begins = False
        async with control.feed() as events:
            feed.cut()
            assert await next_of(events) == keystay.FeedLost()


async def test_a_history_that_does_not_reach_back() -> None:
    """`FeedLost` stands where events are missing; what comes after it is heard."""
    async with feed_peer() as feed, listener(feed.url) as control, control.feed() as events:
        set_for(feed, "alice", 1)
        await cursors(events, 1)
        set_for(feed, "alice", 2)
        feed.cut()
        set_for(feed, "alice", 3)
        feed.forget()
        heard = await next_of(events)
        heard = heard if isinstance(heard, keystay.FeedLost) else await next_of(events)
        assert heard == keystay.FeedLost("p3")
        set_for(feed, "alice", 4)
        assert await cursors(events, 1) == [4]


async def test_from_one_run_to_the_next() -> None:
    """A position that was kept takes the feed up where the last run left it."""
    async with feed_peer() as feed, listener(feed.url) as control:
        async with control.feed() as events:
            set_for(feed, "alice", 1)
            set_for(feed, "alice", 2)
            kept = (await next_of(events)).position
        async with control.feed(position=kept) as events:
            assert await cursors(events, 1) == [2]


async def test_a_position_moves_with_what_is_not_listened_to() -> None:
    """It would else fall out of the history while nothing happens to these actors."""
    async with (
        feed_peer() as feed,
        listener(feed.url) as control,
        control.feed(actors=["alice"]) as events,
    ):
        await feed.arrival()
        set_for(feed, "alice", 1)
        set_for(feed, "bob", 2)
        feed.give_sign_of_life()
        feed.cut()
        assert await cursors(events, 1) == [1]
        waiting = asyncio.create_task(next_of(events))
        async with asyncio.timeout(WAIT_S):
            await feed.arrival()
        assert feed.positions == [None, "p2"]
        assert events.position == "p2"
        set_for(feed, "alice", 3)
        await waiting


async def test_a_feed_that_falls_silent_is_opened_again() -> None:
    """A line that nobody noticed to be dead is given up: a live one says something."""
    async with (
        feed_peer() as feed,
        listener(feed.url, feed_silence_s=0.1) as control,
        control.feed() as events,
    ):
        waiting = asyncio.create_task(next_of(events))
        async with asyncio.timeout(WAIT_S):
            for _ in range(3):
                await feed.arrival()
        set_for(feed, "alice", 1)
        assert isinstance(await waiting, keystay.SessionSet)


async def test_a_cancelled_step_loses_nothing() -> None:
    """A program may look at the feed for a moment, and at something else, and go on."""
    async with feed_peer() as feed, listener(feed.url) as control, control.feed() as events:
        set_for(feed, "alice", 1)
        assert await cursors(events, 1) == [1]
        for cursor in range(2, 6):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await anext(events)
            set_for(feed, "alice", cursor)
            assert await cursors(events, 1) == [cursor]


async def test_a_closed_feed_ends() -> None:
    """The loop of whoever reads it is over."""
    async with feed_peer() as feed, listener(feed.url) as control, control.feed() as events:
        waiting = asyncio.create_task(_all(events))
        await asyncio.sleep(0)
        await events.close()
        async with asyncio.timeout(WAIT_S):
            assert await waiting == []


async def _all(events: keystay.FeedStream) -> list[keystay.FeedEvent]:
    return [event async for event in events]


async def test_the_end_of_the_backend_is_the_end_of_its_feeds() -> None:
    """Whoever still reads is told, rather than left waiting."""
    async with feed_peer() as feed:
        control = listener(feed.url)
        async with control.feed() as events:
            waiting = asyncio.create_task(_all(events))
            await asyncio.sleep(0)
            await control.close()
            async with asyncio.timeout(WAIT_S):
                with pytest.raises(keystay.ClientClosed):
                    await waiting


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (problem(401), "Unauthorized"),
        (problem(403), "Forbidden"),
        (problem(400, code="invalidParams"), "InvalidParams"),
        (problem(404, title="Not Found"), "UnknownCommand"),
        (problem(503, code="unavailable"), "Unavailable"),
        (answer(200, {}), "UnexpectedAnswer"),
        (break_off, "ConnectionLost"),
    ],
)
async def test_a_feed_that_cannot_be_had(act: Act, error: str) -> None:
    """The first attempt is the only one, so that what is wrong shows at once."""
    async with http_peer(act) as peer, listener(peer.url) as control:
        with pytest.raises(getattr(keystay, error)):
            await control.feed().__aenter__()
        assert len(peer.asked) == 1


async def _begin_and_break(_: object, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"id: p1\n\n")
    await writer.drain()
    writer.close()


async def test_a_server_that_is_away_for_a_while() -> None:
    """Once a feed was open, whatever may pass is waited for; a refusal is not."""
    script = [_begin_and_break, break_off, problem(503), problem(429), problem(401)]
    async with (
        http_peer(*script) as peer,
        listener(peer.url) as control,
        control.feed() as events,
    ):
        with pytest.raises(keystay.Unauthorized):
            await next_of(events)
        assert [asked.headers.get("last-event-id") for asked in peer.asked] == [
            None,
            *["p1"] * 4,
        ]


@pytest.mark.parametrize("status", [200, 301, 302, 307, 401, 403, 404, 500])
async def test_a_proxy_that_answers_for_a_while(status: int) -> None:
    """Once a feed was open, whatever a proxy answers during a deployment is waited for."""
    page = answer(status, b"<html>", content_type="text/html", Location="http://127.0.0.1:1/")
    async with (
        http_peer(_begin_and_break, page, page, problem(401)) as peer,
        listener(peer.url) as control,
        control.feed() as events,
    ):
        with pytest.raises(keystay.Unauthorized):
            await next_of(events)
        assert len(peer.asked) == 4


async def _hold_and_break(_: object, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"id: p1\n\n")
    # Not a wait for something: so long does the line hold, and on a busy machine part of it.
    await asyncio.sleep(0.4)
    writer.close()


async def test_pauses_grow_while_a_server_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They start over once a line held, and grow however long ago that was."""
    monkeypatch.setattr("random.random", lambda: 1.0)
    script = [_begin_and_break, _hold_and_break, *[break_off] * 3, problem(401)]
    async with (
        http_peer(*script) as peer,
        listener(peer.url, feed_backoff_base_s=0.01, feed_backoff_cap_s=0.1) as control,
        control.feed() as events,
    ):
        with pytest.raises(keystay.Unauthorized):
            await next_of(events)
    pauses = [record.getMessage().split()[-2] for record in caplog.records]
    assert pauses[:5] == ["0.01", "0.01", "0.02", "0.04", "0.08"]


@pytest.mark.parametrize(
    "nonsense", [b"event: session.set\ndata: {", b"event: session.set\ndata: {}", b"data: \xff"]
)
async def test_a_feed_that_makes_no_sense(nonsense: bytes) -> None:
    """It is raised, and never passed over: going on begins at it again."""

    async def act(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"id: p2\nevent: later\ndata: {}\n\n")
        await writer.drain()
        writer.write(b"id: p3\n" + nonsense + b"\n\nid: p4\nevent: later\ndata: {}\n\n")
        await asyncio.Event().wait()

    async with (
        http_peer(act) as peer,
        listener(peer.url) as control,
        control.feed(position="p1") as events,
    ):
        for _ in range(2):
            with pytest.raises(keystay.UnexpectedAnswer):
                await next_of(events)
        # The network may have brought all of it at once.
        assert peer.asked[1].headers["last-event-id"] in ("p1", "p2")


async def test_an_event_of_a_later_version_is_passed_over() -> None:
    """What is not known yet stops nobody, and counts for the position."""
    async with feed_peer() as feed, listener(feed.url) as control, control.feed() as events:
        feed.say("session.moved", actorId="alice")
        feed.cut()
        set_for(feed, "alice", 2)
        assert await cursors(events, 1) == [2]


async def test_feeds_do_not_take_the_connections_of_calls() -> None:
    """However many feeds are open, a call gets through."""
    async with feed_peer() as feed, listener(feed.url) as control:
        feeds = [control.feed() for _ in range(120)]
        await asyncio.gather(*(events.__aenter__() for events in feeds))
        set_for(feed, "alice", 1)
        assert [await cursors(events, 1) for events in feeds] == [[1]] * 120


@pytest.mark.parametrize("position", ["line\nbreak", "sn\N{SNOWMAN}w"])
async def test_a_position_that_never_was_one(position: str) -> None:
    """What cannot pass through a header is refused."""
    async with listener("http://127.0.0.1:1") as control:
        with pytest.raises(keystay.InvalidParams):
            control.feed(position=position)
