"""A client that was away hears what it missed, against the real server."""

import asyncio
from typing import Any

import keystay
from keystay import SESSION_RECOVERED, ConnectionState, Event, Stream
from tests.support.client_py.backends import backend
from tests.support.client_py.peer import FAST, WAIT_S
from tests.support.client_py.relay import Relay, relay_to
from tests.support.server_process import ServerProcess

Told = tuple[str, Any, int | None]


async def log_in(client: keystay.Client, actor_id: str) -> str:
    """Log in as this actor; return the key."""
    session = await client.login("anonymous", {"actorId": actor_id})
    assert session.key is not None
    return session.key


async def change(server: ServerProcess, key: str, *, times: int) -> None:
    """Have a backend change the session, so that its connections are sent events."""
    async with keystay.connect(server.url, key=key) as holder, backend(server) as control:
        assert holder.session is not None
        for number in range(times):
            await control.update_session(holder.session.id, meta={"number": number})


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
        await change(server, key, times=5)
        relay.mend()

        *missed, restored, last = await until(heard, SESSION_RECOVERED)
        assert last == (SESSION_RECOVERED, {"recovered": True}, None)
        assert client.recovered is True
        assert restored == ("session.set", client.session, None)
        assert len(missed) == 5
        async with asyncio.timeout(WAIT_S):
            for event in missed:
                other = await anext(theirs)
                assert event == (other.name, other.data, other.cursor)
        await client.close()
        assert handled == [(name, data) for name, data, _ in [*missed, restored, last]]


async def test_a_line_that_breaks_again_and_again(server: ServerProcess) -> None:
    """Each time only what was missed since comes, and the program is told each time."""
    async with (
        relay_to(server.url) as relay,
        keystay.connect(relay.url, options=FAST) as client,
    ):
        key = await log_in(client, "restless")
        heard = client.events()
        cursors = []
        for _ in range(3):
            await lose_line(client, relay)
            await change(server, key, times=2)
            relay.mend()
            *missed, restored, last = await until(heard, SESSION_RECOVERED)
            assert (restored[2], last[1]) == (None, {"recovered": True})
            cursors += [cursor for _, _, cursor in missed]
        assert len(cursors) == 6
        assert cursors == sorted(set(cursors), key=lambda cursor: cursor or 0)


async def test_what_to_do_about_a_gap_may_be_done_at_once(server: ServerProcess) -> None:
    """When a handler hears whether there is one, the client is open, and commands go out."""
    async with (
        relay_to(server.url) as relay,
        keystay.connect(relay.url, options=FAST) as client,
    ):
        loaded: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        @client.on(SESSION_RECOVERED)
        async def load_anew(path: str, data: dict[str, bool]) -> None:
            assert client.state is ConnectionState.OPEN
            loaded.set_result(len(await client.list()))

        await log_in(client, "careful")
        await lose_line(client, relay)
        relay.mend()
        async with asyncio.timeout(WAIT_S):
            assert await loaded == 1
