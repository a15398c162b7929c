"""
A session from login to logout, over real sockets, on each store.
"""

import pytest

from tests.raw_client import connected
from tests.server_process import serving


async def test_a_session_survives_its_connection(store_url: str) -> None:
    """A client whose connection dropped comes back with its key and holds the same session."""
    async with serving("--store", store_url) as server:
        async with connected(server.url) as client:
            key = await client.login("alice")
            _, login, _ = await client.event()
            client.websocket.transport.abort()
        async with connected(server.url) as client:
            assert await client.call("session.isValid", key) == (None, None)
            error, result = await client.call("session.restore", key)
            assert error is None
            assert result["session"]["id"] == login["id"]
            assert result["session"]["key"] == key
            assert result["recovered"] is False


async def test_logout_on_one_connection_unsets_the_session_on_the_other(store_url: str) -> None:
    """A logout reaches every connection of the session: the caller's before its reply."""
    async with (
        serving("--store", store_url) as server,
        connected(server.url) as one,
        connected(server.url) as other,
    ):
        key = await one.login("alice")
        await other.call("session.restore", key)
        assert await one.call("session.logout") == (None, None)
        assert [name for name, _, _ in one.events()] == [
            "session.set",
            "session.set",
            "session.unset",
        ]
        assert (await other.event())[0] == "session.set"
        name, data, _ = await other.event()
        assert (name, data["reason"]) == ("session.unset", "loggedOut")
        assert await other.call("session.isValid", key) == ("loggedOut", None)
        assert (await other.call("session.list"))[0] == "noSession"


@pytest.mark.parametrize("scope", ["others", "all"])
async def test_logout_reaches_the_actors_other_sessions(store_url: str, scope: str) -> None:
    """A logout of others or of all ends the sessions of the actor's other devices."""
    async with (
        serving("--store", store_url) as server,
        connected(server.url) as phone,
        connected(server.url) as laptop,
        connected(server.url) as stranger,
    ):
        phone_key, laptop_key = await phone.login("alice"), await laptop.login("alice")
        strangers_key = await stranger.login("bob")
        assert await phone.call("session.logout", {"scope": scope}) == (None, None)
        await laptop.event()
        assert (await laptop.event())[0] == "session.unset"
        assert (await phone.call("session.isValid", laptop_key))[0] == "loggedOut"
        expected = None if scope == "others" else "loggedOut"
        assert (await phone.call("session.isValid", phone_key))[0] == expected
        assert (await phone.call("session.isValid", strangers_key))[0] is None
        assert [name for name, _, _ in stranger.events()] == ["session.set"]


async def test_a_failed_restore_leaves_the_bound_session_alone(store_url: str) -> None:
    """After a restore that is refused the connection still holds the session it held."""
    async with serving("--store", store_url) as server, connected(server.url) as client:
        await client.login("alice")
        assert (await client.call("session.restore", "bob:kst_" + "A" * 43))[0] == "noSession"
        assert (await client.call("session.restore", "no key"))[0] == "invalidSessionKey"
        error, sessions = await client.call("session.list")
        assert error is None
        assert [session["actorId"] for session in sessions] == ["alice"]


async def test_pipelined_commands_act_one_after_another(store_url: str) -> None:
    """A client may send restore, list, logout and list at once: each sees what came before."""
    async with serving("--store", store_url) as server, connected(server.url) as client:
        key = await client.login("alice")
        async with connected(server.url) as other:
            ids = [
                await other.send("session.restore", key),
                await other.send("session.list"),
                await other.send("session.logout"),
                await other.send("session.list"),
            ]
            errors = [(await other.reply(id_))[0] for id_ in ids]
            assert errors == [None, None, None, "noSession"]
            assert [m[1] for m in other.received if m[0] == 1] == ids
