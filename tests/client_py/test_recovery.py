"""A client that was away hears what it missed, against the real server."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import keystay
from keystay import SESSION_RECOVERED, ConnectionState, Event, Stream
from tests.client_py.peer import FAST, WAIT_S
from tests.client_py.relay import Relay, relay_to
from tests.server_process import ServerProcess, serving

Told = tuple[str, Any, int | None]


async def log_in(client: keystay.Client, actor_id: str) -> str:
    """Log in as this actor; return the key."""
    session = await client.login("anonymous", {"actorId": actor_id})
    assert session.key is not None
    return session.key


async def until(events: Stream[Event], name: str) -> list[Told]:
    """All events up to the first with this name."""
    heard: list[Told] = []
    async with asyncio.timeout(WAIT_S):
        async for event in events:
            heard.append((event.name, event.data, event.cursor))
            if event.name == name:
                break
    return heard


async def lose_line(client: keystay.Client, relay: Relay) -> None:
    """Cut the line, and wait until the client has noticed."""
    relay.cut()
    await client.wait_for(ConnectionState.RECONNECTING)


async def test_what_was_missed_is_heard_in_order_and_once(server: ServerProcess) -> None:
    """
    After a broken line, iterators and handlers hear exactly what a client that stayed has
    heard, and then that this was all of it.
    """
    async with (
        relay_to(server.url) as relay,
        keystay.connect(relay.url, options=FAST) as client,
        keystay.connect(server.url) as stayed,
    ):
        key = await log_in(client, "away")
        await stayed.restore(key)
        await client.now()
        heard, theirs = client.events(), stayed.events()
        handled: list[tuple[str, Any]] = []
        client.on("", lambda path, data: handled.append((path, data)))
        assert client.recovered is None

        await lose_line(client, relay)
        for _ in range(5):
            await stayed.restore(key)
        relay.mend()

        *missed, last = await until(heard, SESSION_RECOVERED)
        assert last == (SESSION_RECOVERED, {"recovered": True}, None)
        assert client.recovered is True
        assert len(missed) == 6
        async with asyncio.timeout(WAIT_S):
            for event in missed:
                other = await anext(theirs)
                assert event == (other.name, other.data, other.cursor)
        await client.close()
        assert handled == [(name, data) for name, data, _ in [*missed, last]]


async def test_a_line_that_breaks_again_and_again(server: ServerProcess) -> None:
    """Each time only what was missed since comes, and the program is told each time."""
    async with (
        relay_to(server.url) as relay,
        keystay.connect(relay.url, options=FAST) as client,
        keystay.connect(server.url) as stayed,
    ):
        key = await log_in(client, "restless")
        await stayed.restore(key)
        await client.now()
        heard = client.events()
        cursors = []
        for _ in range(3):
            await lose_line(client, relay)
            await stayed.restore(key)
            relay.mend()
            *missed, last = await until(heard, SESSION_RECOVERED)
            assert last[1] == {"recovered": True}
            cursors += [cursor for _, _, cursor in missed]
        assert len(cursors) == 6
        assert cursors == sorted(set(cursors), key=lambda cursor: cursor or 0)


async def test_a_killed_server_forgets_nothing(tmp_path: Path) -> None:
    """What happened before a SIGKILL is heard from the server that was started after it."""
    store = f"sqlite:///{tmp_path}/keystay.db"
    async with (
        serving("--store", store) as first,
        relay_to(first.url) as relay,
        keystay.connect(relay.url, options=FAST) as client,
    ):
        key = await log_in(client, "survivor")
        heard = client.events("session")
        await lose_line(client, relay)
        async with keystay.connect(first.url) as other:
            theirs = other.events("session.set")
            for _ in range(3):
                await other.restore(key)
            await other.close()
            missed = [event.cursor async for event in theirs]
        await first.kill()
        async with serving("--store", store) as second:
            relay.mend(second.url)
            told = await until(heard, SESSION_RECOVERED)
            assert [cursor for _, _, cursor in told[:-2]] == missed
            assert client.recovered is True
            await client.close()


async def test_a_history_that_is_too_short() -> None:
    """A program that was away for too much is told so, and has the session as it is now."""
    async with (
        serving("--history-events", "10") as server,
        relay_to(server.url) as relay,
        keystay.connect(relay.url, options=FAST) as client,
        keystay.connect(server.url) as stayed,
    ):
        key = await log_in(client, "long-gone")
        heard = client.events("session")
        await lose_line(client, relay)
        for _ in range(11):
            await stayed.restore(key)
        relay.mend()
        told = await until(heard, SESSION_RECOVERED)
        assert [name for name, _, _ in told] == ["session.set", SESSION_RECOVERED]
        assert told[-1][1] == {"recovered": False}
        assert client.recovered is False
        assert client.session == told[0][1]


async def test_what_to_do_about_a_gap_may_be_done_at_once() -> None:
    """When a handler hears of the gap, the client is open, and commands go out."""
    async with (
        serving("--history-events", "1") as server,
        relay_to(server.url) as relay,
        keystay.connect(relay.url, options=FAST) as client,
        keystay.connect(server.url) as stayed,
    ):
        loaded: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        @client.on(SESSION_RECOVERED)
        async def load_anew(path: str, data: dict[str, bool]) -> None:
            assert client.state is ConnectionState.OPEN
            loaded.set_result(len(await client.list()))

        key = await log_in(client, "careful")
        await lose_line(client, relay)
        for _ in range(3):
            await stayed.restore(key)
        relay.mend()
        async with asyncio.timeout(WAIT_S):
            assert await loaded == 1


async def test_a_session_that_ended_meanwhile(server: ServerProcess) -> None:
    """The program hears the reason, and of no recovery: there is nothing to go on with."""
    async with (
        relay_to(server.url) as relay,
        keystay.connect(relay.url, options=FAST) as client,
        keystay.connect(server.url) as other,
    ):
        await other.restore(await log_in(client, "gone"))
        await client.now()
        heard = client.events()
        await lose_line(client, relay)
        await other.logout()
        relay.mend()
        told = await until(heard, "session.unset")
        assert [data["reason"] for _, data, _ in told] == ["loggedOut"]
        assert (client.session, client.recovered) == (None, None)


async def test_a_reconnect_without_a_session(server: ServerProcess) -> None:
    """Who has no session missed nothing, and is told nothing."""
    async with (
        relay_to(server.url) as relay,
        keystay.connect(relay.url, options=replace(FAST, paths=("chat",))) as client,
    ):
        heard = client.events()
        await lose_line(client, relay)
        relay.mend()
        await client.wait_for(ConnectionState.OPEN)
        await client.close()
        assert client.recovered is None
        assert [event async for event in heard] == []
