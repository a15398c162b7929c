"""
A Redis that dies, stalls, forgets, or is cut off; and what nodes make of it.
"""

import asyncio
import logging

import pytest
from redis.asyncio import Redis

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import NoSession, Unavailable
from keystay_server.stores.records import Holding
from keystay_server.stores.redis import RedisStore
from keystay_server.stores.redis.address import Location
from keystay_server.stores.redis.announcements import Announcements
from keystay_server.stores.redis.gaps import Gaps
from keystay_server.stores.redis.partitions import Partitions
from keystay_server.stores.redis.server import Server
from tests.support.asking import until
from tests.support.stores.installation import SOON_S, Heard, new_session, opened
from tests.support.stores.proxy import proxy_to
from tests.support.stores.redis_node import QUICK, node, until_announced_or_missed, until_served
from tests.support.valkey import Valkey

QUICKLY_S = QUICK.link.deadline_s + 0.3


async def assert_unavailable(store: RedisStore) -> None:
    """Every method says so, soon, when to try again, and nothing about the server."""
    new = new_session()
    calls = [
        store.create(new),
        store.check("alice", new.digest),
        store.restore("alice", new.digest),
        store.touch([Holding("alice", new.digest)]),
        store.end("alice", None, LogoutScope.ALL, "revoked"),
        store.sessions("alice", 1),
        store.session("alice", new.id),
        store.history("alice", 0),
    ]
    async with asyncio.timeout(QUICKLY_S):
        errors = await asyncio.gather(*calls, return_exceptions=True)
    for error in errors:
        assert isinstance(error, Unavailable)
        assert error.retry_after_s
        assert "127.0.0.1" not in str(error)


async def test_a_killed_redis_is_unavailable_and_comes_back(own_valkey: Valkey) -> None:
    """While it is gone everything is Unavailable; then it serves, and losses are told."""
    async with node(own_valkey.url()) as (store, heard):
        await opened(store, new_session("alice"))
        await opened(store, new_session("bob"))
        own_valkey.kill()
        await assert_unavailable(store)
        heard.actors.add("alice")
        await asyncio.to_thread(own_valkey.start)
        assert await heard.loss() == {"alice"}  # This server keeps nothing on disk.
        event = await until_served(store)
        assert await heard.event() == event


async def test_a_silent_redis_is_unavailable_and_comes_back(own_valkey: Valkey) -> None:
    """A Redis that takes commands and answers none fails them by their deadline."""
    async with node(own_valkey.url()) as (store, heard):
        heard.actors.add("alice")
        first = await opened(store, new_session())
        assert await heard.event() == first
        own_valkey.pause()
        try:
            await assert_unavailable(store)
            await assert_unavailable(store)
        finally:
            own_valkey.resume()
        unheard = await until_served(store)
        event = await opened(store, new_session())
        assert event in (await store.history("alice", unheard.cursor)).events
        # Of the creates that failed, some may have been carried out.
        await until_announced_or_missed(heard, event)


async def test_a_redis_that_is_not_there_yet(
    own_valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    """A store starts without its server, says so once, and serves as soon as there is one."""
    own_valkey.kill()
    async with node(own_valkey.url(userinfo=":hunter2@")) as (store, heard):
        for _ in range(3):
            await assert_unavailable(store)
        [lost] = caplog.records
        assert lost.levelno == logging.WARNING
        await asyncio.to_thread(own_valkey.start)
        await assert_unavailable(store)  # This server wants no password.
    assert "hunter2" not in caplog.text

    caplog.clear()
    caplog.set_level(logging.INFO, "keystay.store")
    own_valkey.kill()
    async with node(own_valkey.url()) as (store, heard):
        await asyncio.to_thread(own_valkey.start)
        await until_served(store)
        await until_logged(caplog, "reached redis")
        assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.INFO]
        heard.actors.add("alice")
        event = await opened(store, new_session())
        assert await heard.event() == event


async def test_scripts_that_redis_lost_are_loaded_again(own_valkey: Valkey) -> None:
    """SCRIPT FLUSH goes unnoticed, for a whole batch of commands at once."""
    async with node(own_valkey.url()) as (store, _), Redis(port=own_valkey.port) as admin:
        for _ in range(3):
            await admin.script_flush()
            news = [new_session() for _ in range(10)]
            events = await asyncio.gather(*map(store.create, news))
            assert len({event.cursor for [event] in events}) == 10
            assert [record.id for record in await store.sessions("alice", 10, newest=True)] == [
                new.id for new in news
            ]


async def test_a_flushed_redis_is_another_history(own_valkey: Valkey) -> None:
    """After FLUSHALL cursors grow on, and no history claims to be complete."""
    async with node(own_valkey.url()) as (store, _), Redis(port=own_valkey.port) as admin:
        new = new_session()
        before = await opened(store, new)
        await admin.flushall()
        with pytest.raises(NoSession):
            await store.check("alice", new.digest)
        assert not (await store.history("alice", before.cursor)).complete
        after = await opened(store, new_session())
        assert after.cursor > before.cursor
        assert after.previous == 0
        history = await store.history("alice", before.cursor)
        assert (history.events, history.complete) == ([after], False)


async def test_a_dead_subscription_is_noticed(valkey: Valkey, prefix: str) -> None:
    """One that is open and silent is replaced, and what it lost is found by its number."""
    async with (
        proxy_to(valkey.port) as proxy,
        node(f"redis://127.0.0.1:{proxy.port}?prefix={prefix}") as (store, heard),
    ):
        heard.actors |= {"alice", "bob"}
        seen = await opened(store, new_session("alice"))
        assert await heard.event() == seen
        assert proxy.swallow(b"SSUBSCRIBE") == 1
        unheard = await opened(store, new_session("alice"))
        assert await heard.loss() == {"alice"}
        assert (await store.history("alice", seen.cursor)).events == [unheard]
        event = await opened(store, new_session("bob"))
        assert await heard.event() == event


async def test_sessions_need_no_subscription(
    valkey: Valkey, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """While announcements cannot come in, logins and restores work; then gaps are repaired."""
    async with (
        proxy_to(valkey.port) as proxy,
        node(f"redis://127.0.0.1:{proxy.port}?prefix={prefix}") as (store, heard),
    ):
        heard.actors.add("alice")
        proxy.refuses = b"SSUBSCRIBE"
        assert proxy.cut(b"SSUBSCRIBE") == 1
        await until_logged(caplog, "lost redis")
        new = new_session()
        await opened(store, new)
        assert (await store.restore("alice", new.digest)).record.id == new.id
        proxy.refuses = None
        assert await heard.loss() == {"alice"}


async def until_logged(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """Wait until something is in the log."""

    async def is_logged() -> bool:
        return words in caplog.text

    await until(is_logged)


async def test_a_dead_command_connection_is_replaced(valkey: Valkey, prefix: str) -> None:
    """Commands on a connection that went silent fail by their deadline, and the next do not."""
    async with (
        proxy_to(valkey.port) as proxy,
        node(f"redis://127.0.0.1:{proxy.port}?prefix={prefix}") as (store, _),
    ):
        await opened(store, new_session())
        assert proxy.swallow(b"EVALSHA") >= 1
        with pytest.raises(Unavailable):
            async with asyncio.timeout(QUICKLY_S):
                await opened(store, new_session())
        await until_served(store)


async def test_a_write_of_unknown_fate_is_not_repeated(valkey: Valkey, prefix: str) -> None:
    """A command whose answer was lost is sent once."""
    async with (
        proxy_to(valkey.port) as proxy,
        node(f"redis://127.0.0.1:{proxy.port}?prefix={prefix}") as (store, _),
    ):
        await store.sessions("alice", 1)
        proxy.swallow(b"EVALSHA")
        new = new_session()
        with pytest.raises(Unavailable):
            await opened(store, new)
        await until_served(store)
        assert b"".join(proxy.sent).count(new.id.encode()) == 1


async def test_closed_connections_cost_no_command(valkey: Valkey, prefix: str) -> None:
    """Connections that Redis closed while they were idle are noticed before they are used."""
    async with node(valkey.url(prefix)) as (store, heard), Redis(port=valkey.port) as admin:
        heard.actors.add("alice")
        for kind in ("normal", "pubsub"):
            await admin.client_kill_filter(_type=kind, skipme=True)
        event = await opened(store, new_session())
        await until_announced_or_missed(heard, event)


async def test_a_stopped_store_is_unavailable(valkey: Valkey, prefix: str) -> None:
    """What is called after the end is refused, and nobody waits for ever."""
    async with node(valkey.url(prefix)) as (store, _):
        pending = [asyncio.create_task(store.create(new_session())) for _ in range(5)]
        await asyncio.sleep(0)
    for create in pending:
        assert await create
    with pytest.raises(Unavailable):
        await opened(store, new_session())


async def test_a_subscription_stops_while_its_line_breaks(valkey: Valkey, prefix: str) -> None:
    """A line that breaks in the very moment of the stop does not swallow it."""
    location = Location.parse(valkey.url(prefix), QUICK.connect_s)
    announcements = Announcements(Gaps(64))
    announcements.start(Heard())

    async def check() -> None:
        """There is nothing to check."""

    address = location.server(*location.hosts[0])
    server = Server(address, Partitions(prefix, 64), announcements, check, QUICK)
    server.subscription.cover(range(64))
    server.open()
    assert await server.subscription.attempted is None
    server.subscription.cover(range(32))  # Breaks the line with the loop's next turn.
    async with asyncio.timeout(SOON_S) as deadline:
        await server.stop()
    assert not deadline.expired()
