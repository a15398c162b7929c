"""
How a node delivers webhooks, to a receiver that does as the test says.
"""

import asyncio
import json
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from keystay_server.feed import webhooks
from keystay_server.feed.signing import Signer
from keystay_server.feed.webhooks import LEASE, Endpoint, Webhooks, oldest_in
from keystay_server.stores import open_store
from keystay_server.stores.events import FeedEntry, FeedPage, SessionUnset
from keystay_server.stores.retention import Retention
from keystay_server.telemetry.counts import Counts
from tests.support.server.far_store import FarStore
from tests.support.stores.installation import Heard, new_session, opened

WAIT_S = 10.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Receiver:
    """Answers each POST with the next of its answers; with 200 when there are no more."""

    def __init__(self) -> None:
        self.answers: list[bytes | None] = []
        self.url = ""
        self.ids: list[str] = []
        self.events: list[dict[str, Any]] = []
        self.waited: list[float] = []
        self._came = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                body = await reader.readexactly(int(headers["content-length"]))
                self.waited.append(asyncio.get_running_loop().time())
                self.ids.append(headers["webhook-id"])
                answer = self.answers.pop(0) if self.answers else OK
                if answer == OK:
                    self.take(json.loads(body)["events"])
                self._came.set()
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def take(self, events: list[dict[str, Any]]) -> None:
        """Take what was not taken before."""
        newest = self.cursors()[-1] if self.events else 0
        self.events += [event for event in events if event.get("cursor", newest + 1) > newest]

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(WAIT_S):
            while not is_so():
                self._came.clear()
                await self._came.wait()

    def cursors(self) -> list[int]:
        """What was taken."""
        return [event.get("cursor", 0) for event in self.events]


@pytest.fixture
async def store() -> AsyncIterator[FarStore]:
    """A started store."""
    made = FarStore(open_store("memory://", Retention()))
    await made.start(Heard())
    yield made
    await made.stop()


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    """A running receiver, and a node that does not wait for long."""
    monkeypatch.setattr(webhooks, "BACKOFF_BASE_S", 0.02)
    monkeypatch.setattr(webhooks, "READ_EVERY_S", 0.02)
    monkeypatch.setattr(webhooks, "RENEW_EVERY_S", 0.05)
    made = Receiver()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with server:
        yield made


@pytest.fixture
async def node(store: FarStore, receiver: Receiver) -> AsyncIterator[Webhooks]:
    """A node that delivers from now on."""
    made = make_node(store, receiver)
    made.start()
    await until_begun(store)
    yield made
    await made.stop()


def make_node(
    store: FarStore, receiver: Receiver, timeout_s: float = 5.0, counts: Counts | None = None
) -> Webhooks:
    """A node that has not begun."""
    endpoint = Endpoint(receiver.url, Signer(lambda: [b"x" * 32]), timeout_s)
    return Webhooks(store, secrets.token_hex(6), endpoint, counts)


async def until_begun(store: FarStore) -> None:
    """Wait until there is a place to begin at."""
    async with asyncio.timeout(WAIT_S):
        while await store.saved_position(LEASE) is None:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(WAIT_S):
        while not is_so():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


async def open_sessions(store: FarStore, number: int) -> list[int]:
    """Open so many; return the cursors."""
    return [(await opened(store, new_session())).cursor for _ in range(number)]


@pytest.mark.usefixtures("node")
async def test_events_are_posted_in_order(store: FarStore, receiver: Receiver) -> None:
    """Each as the feed tells it, with its type; as many together as there are."""
    some = await open_sessions(store, 250)
    await receiver.until(lambda: len(receiver.events) == 250)
    assert receiver.cursors() == some
    assert set(receiver.events[0]) == {"type", "actorId", "cursor", "at", "session"}
    assert {event["type"] for event in receiver.events} == {"session.set"}
    assert "key" not in receiver.events[0]["session"]
    assert 3 <= len(set(receiver.ids)) == len(receiver.ids)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 307 Elsewhere\r\nLocation: /hook\r\nContent-Length: 0\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
    ids=["silence", "failure", "misconfigured", "redirect", "no HTTP"],
)
@pytest.mark.usefixtures("node")
async def test_what_is_not_taken_is_sent_again(
    store: FarStore,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
    answer: bytes | None,
) -> None:
    """Under the same id, until it is taken, and before anything else; both are logged once."""
    caplog.set_level(logging.INFO, "keystay.webhooks")
    receiver.answers = [answer] * 4
    first = await open_sessions(store, 1)
    await receiver.until(lambda: len(receiver.ids) == 2)
    rest = await open_sessions(store, 3)
    await receiver.until(lambda: len(receiver.events) == 4)
    assert receiver.cursors() == first + rest
    assert len(set(receiver.ids[:5])) == 1
    assert [
        (record.levelname, record.getMessage().split(" (")[0]) for record in caplog.records
    ] == [
        ("WARNING", "the webhook was not accepted"),
        ("INFO", "the webhook is accepted again"),
    ]


@pytest.mark.usefixtures("node")
async def test_it_waits_as_long_as_it_is_asked_to(store: FarStore, receiver: Receiver) -> None:
    """`Retry-After` is the least."""
    busy = b"HTTP/1.1 429 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
    receiver.answers = [busy]
    await open_sessions(store, 1)
    await receiver.until(lambda: len(receiver.events) == 1)
    first, second = receiver.waited
    assert second - first >= 0.99


@pytest.mark.parametrize(
    "retry_after",
    [
        b"\xb2",
        b"soon",
        b"Mon, 01 Jan 2024 00:00:00 +99999999999999999",
        b"Mon, 01 Jan 99999 00:00:00 GMT",
    ],
    ids=["no digit", "no date", "too far east", "too late"],
)
@pytest.mark.usefixtures("node")
async def test_a_wait_that_makes_no_sense_is_none(
    store: FarStore,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
    retry_after: bytes,
) -> None:
    """Whatever `Retry-After` says, it does not end the attempts, nor fill the log."""
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: %b\r\nContent-Length: 0\r\n\r\n" % retry_after
    receiver.answers = [busy] * 3
    await open_sessions(store, 1)
    await receiver.until(lambda: len(receiver.events) == 1)
    assert "Traceback" not in caplog.text
    assert len([r for r in caplog.records if r.name == "keystay.webhooks"]) <= 2


async def test_a_request_that_cannot_be_made_has_failed(
    store: FarStore, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is raised for it, it is counted and tried again, and logged in one line."""
    receiver.url = "http://xn--/hook"  # No setting can be this: a host that no name stands for.
    counts = Counts()
    node = make_node(store, receiver, counts=counts)
    node.start()
    await until_begun(store)
    await open_sessions(store, 1)
    await until(lambda: counts.webhooks_failed >= 2)
    await node.stop()
    [record] = [r for r in caplog.records if r.name == "keystay.webhooks"]
    assert record.getMessage().startswith("the webhook was not accepted (")
    assert record.exc_info is None


async def test_it_is_not_waited_for_beyond_the_timeout(
    store: FarStore, receiver: Receiver
) -> None:
    """A receiver that answers byte by byte does not hold it up."""
    node = make_node(store, receiver, timeout_s=0.1)
    node.start()
    await until_begun(store)
    receiver.answers = [b"HTTP/1.1 200 "]
    await open_sessions(store, 1)
    await receiver.until(lambda: len(receiver.events) == 1)
    await node.stop()


async def test_it_goes_on_where_it_stopped(store: FarStore, receiver: Receiver) -> None:
    """Another node begins after what was taken, as soon as the first has stopped."""
    whole: list[int] = []
    for _ in range(3):
        node = make_node(store, receiver)
        node.start()
        await until_begun(store)
        whole += await open_sessions(store, 2)
        await receiver.until(lambda: receiver.cursors() == whole)  # noqa: B023 - awaited here
        async with asyncio.timeout(WAIT_S):
            await node.stop()
        whole += await open_sessions(store, 2)
    assert receiver.cursors() == whole[: len(receiver.events)]


async def test_one_node_delivers(store: FarStore, receiver: Receiver) -> None:
    """However many there are; it says so of itself, and the others do not."""
    seen = [Counts() for _ in range(5)]
    nodes = [make_node(store, receiver, counts=counts) for counts in seen]
    for node in nodes:
        node.start()
    await until_begun(store)
    some = await open_sessions(store, 100)
    await receiver.until(lambda: len(receiver.events) >= 100)
    assert sum(counts.webhook_lease_until > time.monotonic() for counts in seen) == 1
    for node in nodes:
        await node.stop()
    assert receiver.cursors() == some


@pytest.mark.usefixtures("node")
async def test_an_outage_of_the_store_is_waited_out(
    store: FarStore, receiver: Receiver
) -> None:
    """What happened before is delivered when it is back."""
    some = await open_sessions(store, 1)
    await receiver.until(lambda: len(receiver.events) == 1)
    store.is_down = True
    await store.until_asked("lease", 6)
    store.is_down = False
    some += await open_sessions(store, 2)
    await receiver.until(lambda: len(receiver.events) == 3)
    assert receiver.cursors() == some


async def test_a_place_that_nothing_leads_back_to(store: FarStore, receiver: Receiver) -> None:
    """The receiver is told that something is missing, before what is there."""
    some = await open_sessions(store, 1)
    await store.lease(LEASE, "somebody", 1000)
    await store.save_position(LEASE, "somebody", (7,))
    await store.lease(LEASE, "somebody", 0)
    node = make_node(store, receiver)
    node.start()
    await receiver.until(lambda: len(receiver.events) == 2)
    await node.stop()
    assert receiver.events[0] == {"type": "feed.lost"}
    assert receiver.events[1]["cursor"] == some[0]


async def test_posts_are_counted_by_whether_they_were_taken(
    store: FarStore, receiver: Receiver
) -> None:
    """Each attempt, however it failed; the oldest event waits until one is taken."""
    counts = Counts()
    node = make_node(store, receiver, counts=counts)
    node.start()
    await until_begun(store)
    receiver.answers = [None, b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"] * 500
    [first] = await open_sessions(store, 1)
    await until(lambda: counts.webhooks_failed >= 2)
    assert counts.webhook_taken_until == first // 1024 / 1000
    assert counts.webhooks_delivered == 0
    receiver.answers.clear()
    await until(lambda: counts.webhooks_delivered == 1)
    await until(lambda: counts.webhook_taken_until > first // 1024 / 1000)
    await node.stop()


async def test_a_feed_that_cannot_be_read_stands_still(
    store: FarStore, receiver: Receiver
) -> None:
    """As long as the node has the lease, whatever waits is as old as its last look."""
    counts = Counts()
    node = make_node(store, receiver, counts=counts)
    node.start()
    await until_begun(store)
    store.hold_answers("read_feed")
    await store.until_done("read_feed")
    taken_until, asked = counts.webhook_taken_until, counts.webhook_lease_until
    await until(lambda: counts.webhook_lease_until > asked)
    assert counts.webhook_taken_until == taken_until
    store.deliver_answers("read_feed")
    await until(lambda: counts.webhook_taken_until > taken_until)
    await node.stop()


def test_the_oldest_event_of_a_page() -> None:
    """By their cursors; a page without events is as old as its read."""
    ended = SessionUnset("id", "revoked")
    events = [FeedEntry(0, n, "alice", ms * 1024, ended) for n, ms in ((2, 7000), (3, 5000))]

    def page(*entries: FeedEntry) -> FeedPage:
        return FeedPage(list(entries), (3,), is_complete=True, is_end=True)

    assert oldest_in(page(*events), 9.0) == 5.0
    assert oldest_in(page(), 9.0) == 9.0
