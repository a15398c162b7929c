"""
The link: a command goes, its own answer comes back, or an error in time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from keystay_protocol.errors import Unavailable
from keystay_server.stores.redis.address import Location
from keystay_server.stores.redis.link import BATCH, Link
from keystay_server.stores.redis.tuning import LinkTuning
from tests.support.stores.proxy import Proxy, proxy_to
from tests.support.valkey import Valkey

BUSY_STEPS = 20_000
"""Of a script that keeps the server busy for about a fifth of a millisecond."""


@asynccontextmanager
async def link_to(port: int, tuning: LinkTuning) -> AsyncIterator[Link]:
    """Run a link."""
    link = Link(Location.parse("redis://").server("127.0.0.1", port).wire, tuning)
    link.start()
    try:
        yield link
    finally:
        await link.stop()


@pytest.fixture
async def proxy(valkey: Valkey) -> AsyncIterator[Proxy]:
    """A proxy to the shared server."""
    async with proxy_to(valkey.port) as proxy:
        yield proxy


async def test_commands_of_one_turn_travel_together(proxy: Proxy) -> None:
    """What is sent in one turn of the event loop is one write, and answered in order."""
    async with link_to(proxy.port, LinkTuning()) as link:
        await link.send("ECHO", "warm")
        before = len(proxy.sent)
        answers = await asyncio.gather(*(link.send("ECHO", i) for i in range(100)))
        assert answers == [str(i).encode() for i in range(100)]
        assert len(proxy.sent) - before == 1


async def test_more_callers_than_connections_wait(valkey: Valkey) -> None:
    """Callers beyond the number of connections wait their turn."""

    async def call_often(link: Link, i: int) -> list[bytes]:
        return [await link.send("ECHO", f"{i}-{n}") for n in range(10)]

    async with link_to(valkey.port, LinkTuning(lanes=2, deadline_s=5)) as link:
        answers = await asyncio.gather(*(call_often(link, i) for i in range(300)))
    assert answers == [[f"{i}-{n}".encode() for n in range(10)] for i in range(300)]


async def test_too_many_waiting_are_refused(valkey: Valkey) -> None:
    """The queue has a bound: one more command fails at once, the others are answered."""
    async with link_to(valkey.port, LinkTuning(waiting=10)) as link:
        calls = [asyncio.create_task(link.send("ECHO", i)) for i in range(11)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert answers[:10] == [str(i).encode() for i in range(10)]
        assert isinstance(answers[10], Unavailable)
        assert await link.send("ECHO", "again") == b"again"


async def test_a_cancelled_caller_leaves_its_answer_to_nobody(valkey: Valkey) -> None:
    """Whenever a caller gives up, the others get their own answers."""
    async with link_to(valkey.port, LinkTuning(lanes=1)) as link:
        for turns in range(12):
            gone = [asyncio.create_task(link.send("ECHO", f"gone-{i}")) for i in range(5)]
            kept = [asyncio.create_task(link.send("ECHO", f"kept-{i}")) for i in range(5)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for call in gone:
                call.cancel()
            answers = await asyncio.gather(*kept, link.send("ECHO", "next"))
            assert answers == [*(f"kept-{i}".encode() for i in range(5)), b"next"]
            await asyncio.gather(*gone, return_exceptions=True)


async def test_a_refusal_is_for_its_caller_alone(valkey: Valkey) -> None:
    """A command that Redis refuses fails; those that travel with it do not."""
    async with link_to(valkey.port, LinkTuning()) as link:
        calls = [link.send("ECHO", 1), link.send("NONSENSE"), link.send("ECHO", 2)]
        one, refused, two = await asyncio.gather(*calls, return_exceptions=True)
        assert (one, two) == (b"1", b"2")
        assert isinstance(refused, Unavailable)
        assert refused.message == "the store refused"


async def test_a_deadline_includes_waiting_for_a_lane(own_valkey: Valkey) -> None:
    """Behind a batch that nobody answers, a command waits no longer than its own deadline."""
    async with link_to(own_valkey.port, LinkTuning(lanes=1, deadline_s=0.4)) as link:
        await link.send("ECHO", "warm")
        own_valkey.pause()
        loop = asyncio.get_running_loop()
        stuck = asyncio.create_task(link.send("ECHO", "stuck"))
        await asyncio.sleep(0.2)
        start = loop.time()
        with pytest.raises(Unavailable):
            await link.send("ECHO", "behind")
        assert loop.time() - start < 0.5
        with pytest.raises(Unavailable):
            await stuck
        own_valkey.resume()


@pytest.mark.long  # It takes four seconds.
async def test_a_server_that_is_busy_is_waited_for(valkey: Valkey) -> None:
    """While it goes on answering others, a command in the queue may take longer."""
    slow = ("EVAL", f"local n = 0 for i = 1, {BUSY_STEPS} do n = n + i end return n", 0)
    async with link_to(valkey.port, LinkTuning(lanes=1, deadline_s=1.0)) as link:
        loop = asyncio.get_running_loop()
        begun, calls = loop.time(), []
        while loop.time() - begun < 1.2:  # Each travels by itself, and waits for those before.
            calls += [asyncio.create_task(link.send(*slow)) for _ in range(2 * BATCH)]
            await asyncio.wait(calls, timeout=0.05)
        answers = await asyncio.gather(*calls)
    assert len(set(answers)) == 1


async def test_a_connection_that_was_idle_is_replaced_before_use(proxy: Proxy) -> None:
    """A balancer may have dropped it silently; nothing is sent on it, and nothing twice."""
    async with link_to(proxy.port, LinkTuning(lanes=1, idle_s=0)) as link:
        assert await link.send("ECHO", "warm") == b"warm"
        assert proxy.swallow(b"warm") == 1
        assert await link.send("ECHO", "first") == b"first"
    assert b"".join(proxy.sent).count(b"first") == 1
