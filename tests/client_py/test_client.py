"""What a program does with a client, against the real server."""

import asyncio
import time
from typing import Any

import pytest

import keystay
from keystay import Session
from tests.support.client_py.peer import WAIT_S
from tests.support.server_process import ServerProcess

NO_SESSION = "nobody:kst_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


async def login(client: keystay.Client, actor_id: str) -> str:
    """Log in as this actor; return the key."""
    session = await client.login("anonymous", {"actorId": actor_id})
    assert session.key is not None
    return session.key


class TestCommands:
    """Each command, its result and its refusals."""

    async def test_login_opens_a_session(self, client: keystay.Client) -> None:
        """The session is returned, and is the client's from then on."""
        assert client.session is None
        session = await client.login("anonymous")
        assert client.session == session
        assert client.get_key() == session.key
        assert session.expires_at > session.created_at

    async def test_login_as_somebody(self, client: keystay.Client) -> None:
        """Credentials are what the authenticator takes."""
        session = await client.login("anonymous", {"actorId": "a:{b}:Zoë"})
        assert session.actor_id == "a:{b}:Zoë"

    async def test_login_by_an_unknown_method(self, client: keystay.Client) -> None:
        """The refusal has a class of its own, and leaves the client as it was."""
        with pytest.raises(keystay.LoginDisabled):
            await client.login("carrier-pigeon")
        assert client.session is None

    async def test_is_valid(self, client: keystay.Client, other: keystay.Client) -> None:
        """It raises why a key is not valid, and binds to nothing."""
        key = await login(other, "valid")
        await client.is_valid(key)
        assert client.session is None
        await other.logout()
        with pytest.raises(keystay.LoggedOut):
            await client.is_valid(key)
        with pytest.raises(keystay.NoSession):
            await client.is_valid(NO_SESSION)
        with pytest.raises(keystay.InvalidSessionKey):
            await client.is_valid("not a key")
        with pytest.raises(keystay.InvalidSessionKey):
            await client.is_valid(None)

    async def test_restore(self, server: ServerProcess, client: keystay.Client) -> None:
        """A second connection gets the same session."""
        key = await login(client, "restored")
        async with keystay.connect(server.url) as other:
            events = client.events()
            session = await other.restore(key)
            assert client.session is not None
            assert session.id == client.session.id
            assert other.session == session
            await client.now()
        await client.close()
        assert [event async for event in events] == []  # Nothing happened to the session.

    async def test_restore_with_the_connection(
        self, server: ServerProcess, client: keystay.Client
    ) -> None:
        """`connect(url, key=...)` is bound when it is open."""
        key = await login(client, "returning")
        async with keystay.connect(server.url, key=key) as other:
            assert other.session is not None
            assert other.session.actor_id == "returning"
            assert (await other.restore()).id == other.session.id

    async def test_restore_without_a_key(self, client: keystay.Client) -> None:
        """There is nothing to ask the server."""
        with pytest.raises(keystay.NoSession):
            await client.restore()

    async def test_logout(self, client: keystay.Client) -> None:
        """The session is over at once; logging out again does nothing."""
        key = await login(client, "leaving")
        await client.logout()
        assert client.session is None
        assert client.get_key() is None
        await client.logout()
        with pytest.raises(keystay.LoggedOut):
            await client.restore(key)

    async def test_logout_of_all(self, server: ServerProcess, client: keystay.Client) -> None:
        """Every session of the actor; without one of its own it ends none, and says so."""
        await login(client, "everywhere")
        async with keystay.connect(server.url) as other:
            await login(other, "everywhere")
            ends = other.events("session.unset")
            await client.logout("all")
            async with asyncio.timeout(WAIT_S):
                assert (await anext(ends)).data["reason"] == "loggedOut"
        for scope in keystay.LogoutScope.ALL, keystay.LogoutScope.OTHERS:
            with pytest.raises(keystay.NoSession):
                await client.logout(scope)

    async def test_logout_of_something_else(self, client: keystay.Client) -> None:
        """A scope that there is not is a mistake of the program."""
        with pytest.raises(ValueError, match="everybody"):
            await client.logout("everybody")  # type: ignore[call-overload]

    async def test_list(self, server: ServerProcess, client: keystay.Client) -> None:
        """The actor's sessions, without their keys; one of them is this client's."""
        await login(client, "lister")
        async with keystay.connect(server.url) as other:
            await login(other, "lister")
            sessions = await other.list()
            assert [session.key for session in sessions] == [None, None]
            assert other.session is not None
            assert other.session.id in {session.id for session in sessions}

    async def test_list_without_a_session(self, client: keystay.Client) -> None:
        """The server says what is missing."""
        with pytest.raises(keystay.NoSession):
            await client.list()

    async def test_now(self, client: keystay.Client) -> None:
        """The server's time, in Unix milliseconds."""
        assert abs(await client.now() - time.time() * 1000) < 60_000


class TestHandlers:
    """Events reach the program."""

    async def test_the_session_is_new_before_handlers_hear_of_it(
        self, client: keystay.Client
    ) -> None:
        """And a handler that has time is called before the command returns."""
        heard: list[tuple[str, Any, Session | None]] = []

        @client.on("session")
        def changed(path: str, data: Any) -> None:
            heard.append((path, data, client.session))

        session = await client.login("anonymous")
        assert heard == [("session.set", session, session)]
        await client.logout()
        path, data, current = heard[1]
        assert (path, current) == ("session.unset", None)
        assert data == {"reason": "loggedOut", "id": session.id}

    async def test_a_handler_may_await_a_command(self, client: keystay.Client) -> None:
        """Handlers do not run where replies are read: nothing waits for itself."""
        listed: asyncio.Future[list[Session]] = asyncio.get_running_loop().create_future()

        @client.on("session.set")
        async def changed(path: str, session: Session) -> None:
            listed.set_result(await client.list())

        await login(client, "curious")
        async with asyncio.timeout(WAIT_S):
            assert [session.actor_id for session in await listed] == ["curious"]

    async def test_handlers_registered_before_connecting_miss_nothing(
        self, server: ServerProcess, client: keystay.Client
    ) -> None:
        """The `session.set` of the restored key is theirs."""
        key = await login(client, "early")
        heard: list[str] = []
        other = keystay.connect(server.url, key=key)
        other.on("", lambda path, data: heard.append(path))
        async with other:
            await other.now()
        assert heard == ["session.set"]

    async def test_off(self, client: keystay.Client) -> None:
        """A handler that was taken away is not called."""
        heard: list[str] = []

        def handler(path: str, data: Any) -> None:
            heard.append(path)

        assert client.on("session", handler) is handler
        client.off("session", handler)
        await client.login("anonymous")
        assert heard == []

    async def test_events_as_an_iterator(self, client: keystay.Client) -> None:
        """It hears from the call on, and ends when the client is closed."""
        events = client.events("session")
        session = await client.login("anonymous")
        await client.logout()
        await client.close()
        heard = [(event.name, event.cursor) async for event in events]
        assert [name for name, _ in heard] == ["session.set", "session.unset"]
        cursors = [cursor for _, cursor in heard if cursor is not None]
        assert cursors == sorted(cursors)
        assert client.session is None
        assert session.key is not None


class TestKeys:
    """`set_session_key`, the seed's way to say who one is."""

    async def test_commands_after_it_act_on_its_session(
        self, server: ServerProcess, client: keystay.Client
    ) -> None:
        """No await in between."""
        key = await login(client, "quick")
        async with keystay.connect(server.url) as other:
            other.set_session_key(key)
            assert [session.actor_id for session in await other.list()] == ["quick"]

    async def test_a_key_that_is_refused(self, client: keystay.Client) -> None:
        """Handlers hear `session.unset` with the code; nothing is kept."""
        events = client.events("session.unset")
        client.set_session_key(NO_SESSION)
        assert client.get_key() == NO_SESSION
        async with asyncio.timeout(WAIT_S):
            event = await anext(events)
        assert event.data == {"reason": "noSession", "id": None}
        assert client.get_key() is None
