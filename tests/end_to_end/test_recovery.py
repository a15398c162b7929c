"""
A client that was away comes back with its cursor, and misses nothing.
"""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import pytest
import pytest_asyncio

from tests.support.backend import backend_of, change
from tests.support.raw_client import RawClient, connected
from tests.support.server_process import ServerProcess, serving
from tests.support.valkey import Valkey, running_valkey

pytestmark = pytest.mark.asyncio(loop_scope="module")

HISTORY = 10
"""Events that `server` remembers."""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "redis"])
async def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServerProcess]:
    """One on each store, for the tests that do not kill it; each has an actor of its own."""
    folder = tmp_path_factory.mktemp("store")
    with ExitStack() as cleanup:
        url = f"sqlite:///{folder}/keystay.db"
        if request.param == "redis":
            url = cleanup.enter_context(running_valkey(folder)).url()
        async with serving("--store", url, "--history-events", str(HISTORY)) as running:
            yield running


def told(client: RawClient) -> list[tuple[str, int | None]]:
    """Name and cursor of each event that the client was sent."""
    return [(name, cursor) for name, _, cursor in client.events()]


async def logged_in(client: RawClient, actor_id: str) -> tuple[str, str, int | None]:
    """Log in; return the key, the id of the session and the cursor of its creation."""
    key = await client.login(actor_id)
    _, session, cursor = await client.event()
    return key, session["id"], cursor


async def restore(client: RawClient, key: str, cursor: Any = None) -> Any:
    """Restore with a cursor; return the result."""
    error, result = await client.call("session.restore", key, {"cursor": cursor})
    assert error is None, error
    return result


async def test_what_was_missed_is_replayed_before_the_reply(server: ServerProcess) -> None:
    """
    A restore with the last cursor brings every event of the session since, in order and once,
    then the session as it is, without a cursor, then the reply, with `recovered: true`.
    """
    async with connected(server.url) as stayed:
        async with connected(server.url) as left:
            key, id_, cursor = await logged_in(left, "alice")
        await stayed.call("session.restore", key)
        await change(server.control, id_, times=5)
        await stayed.call("time.now")
        missed = told(stayed)[1:]
        assert len(missed) == 5
        async with connected(server.url) as back:
            result = await restore(back, key, cursor)
            assert told(back) == [*missed, ("session.set", None)]
            assert result["cursor"] == missed[-1][1]
            assert result["recovered"] is True


async def test_recovery_after_a_kill(store_url: str) -> None:
    """What was missed is replayed by a server that was killed and started again."""
    async with serving("--store", store_url) as server, connected(server.url) as client:
        key, id_, cursor = await logged_in(client, "alice")
        await change(server.control, id_)
        await client.event()
        missed = told(client)[1:]
        await server.kill()
    async with serving("--store", store_url) as server, connected(server.url) as back:
        result = await restore(back, key, cursor)
        assert told(back) == [*missed, ("session.set", None)]
        assert result["recovered"] is True


async def test_what_a_backend_said_survives_a_kill(store_url: str) -> None:
    """
    What a backend said to an actor and to a session while its client was away, and before the
    server was killed, is replayed in the one order of the actor.
    """
    async with serving("--store", store_url) as server, connected(server.url) as client:
        _, result = await client.call("session.login", "anonymous", {"actorId": "alice"})
        session, cursor = result["session"], result["cursor"]
        said = []
        async with backend_of(server.control, "test-api-key") as backend:
            for number, path in enumerate([f"sessions/{session['id']}", "actors/alice"] * 2):
                event = {"name": f"game.{number}", "data": {"n": number}}
                answer = await backend.post(f"/v1/{path}/events", json=event)
                said.append((event["name"], answer.json()["cursor"]))
        await server.kill()
    async with serving("--store", store_url) as server, connected(server.url) as back:
        await back.call("events.subscribe", ["game"])
        result = await restore(back, session["key"], cursor)
        assert told(back) == [*said, ("session.set", None)]
        assert result["recovered"] is True


async def test_recovery_on_another_node(valkey: Valkey) -> None:
    """What was missed is replayed by whichever node the client comes back to."""
    async with (
        serving("--store", valkey.url()) as first,
        serving("--store", valkey.url()) as second,
        connected(first.url) as stayed,
        connected(second.url) as back,
    ):
        key, id_, cursor = await logged_in(stayed, "alice")
        await change(first.control, id_)
        await stayed.event()
        missed = told(stayed)[1:]
        result = await restore(back, key, cursor)
        assert told(back) == [*missed, ("session.set", None)]
        assert result["recovered"] is True


async def test_only_what_is_subscribed_is_replayed(server: ServerProcess) -> None:
    """A connection that does not hear `session` is replayed nothing, and has missed nothing."""
    async with connected(server.url) as client:
        key, id_, cursor = await logged_in(client, "bob")
        await change(server.control, id_)
        async with connected(server.url) as deaf:
            await deaf.call("events.unsubscribe", ["session"])
            assert (await restore(deaf, key, cursor))["recovered"] is True
            assert told(deaf) == []


async def test_a_history_that_does_not_reach_back(server: ServerProcess) -> None:
    """When too much happened, the client gets the session as it is, and `recovered: false`."""
    async with connected(server.url) as client:
        key, id_, cursor = await logged_in(client, "carol")
        await change(server.control, id_, times=HISTORY + 1)
        async with connected(server.url) as back:
            result = await restore(back, key, cursor)
            assert result["recovered"] is False
            assert told(back) == [("session.set", None)]
            await client.call("time.now")
            assert result["cursor"] == told(client)[-1][1]


async def test_nothing_is_replayed_to_a_connection_that_was_there(
    server: ServerProcess,
) -> None:
    """A connection that restores the session it is bound to is not sent anything twice."""
    async with connected(server.url) as client:
        key, id_, cursor = await logged_in(client, "dave")
        await change(server.control, id_)
        result = await restore(client, key, cursor)
        assert told(client) == [
            ("session.set", cursor),
            ("session.set", result["cursor"]),
            ("session.set", None),
        ]
        assert result["recovered"] is True


async def test_a_cursor_is_an_unsigned_integer(server: ServerProcess) -> None:
    """Anything else is `invalidParams`, and changes nothing."""
    async with connected(server.url) as client:
        key = await client.login("erin")
        for cursor in (-1, 2**53, "7", 1.0, True):
            error, _ = await client.call("session.restore", key, {"cursor": cursor})
            assert error == "invalidParams", cursor
        assert len(client.events()) == 1


async def test_a_cursor_from_nowhere(server: ServerProcess) -> None:
    """A cursor beyond all events is of a history that was lost: nothing can be recovered."""
    async with connected(server.url) as client:
        key = await client.login("frank")
        assert (await restore(client, key, 2**53 - 1))["recovered"] is False
