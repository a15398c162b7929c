"""
The example of the session module that this one follows, line by line in Python.

A browser's `localStorage` is a dictionary here; `mage.session` and
`mage.eventManager` are the client.
"""

import asyncio
import logging

from keystay import Client, Session
from tests.support.client_py.peer import WAIT_S

STORE_KEY = "sessionKey"

logger = logging.getLogger("example")


def seed_example(client: Client, local_storage: dict[str, str]) -> None:
    """Check the stored key and use it; store every new one. Nothing is awaited."""
    session_key = local_storage.get(STORE_KEY)

    def checked(err: str | None) -> None:
        if err:
            logger.debug("Stored session key is invalid: %s", err)
            local_storage.pop(STORE_KEY, None)
        else:
            logger.debug("Stored session key is valid")
            assert session_key is not None
            client.set_session_key(session_key)

    client.is_valid(session_key, checked)

    @client.on("session.set")
    def save(path: str, session: Session) -> None:
        logger.debug("Saving session key locally")
        assert session.key is not None
        local_storage[STORE_KEY] = session.key


async def opened_elsewhere(client: Client) -> str:
    """A key as it was stored when the user was here last."""
    session = await client.login("anonymous")
    assert session.key is not None
    return session.key


async def test_a_stored_key_that_is_valid(client: Client, other: Client) -> None:
    """The user is logged in, and the key is stored again by the `session.set` of it."""
    local_storage = {STORE_KEY: await opened_elsewhere(other)}
    events = client.events("session.set")
    seed_example(client, local_storage)
    async with asyncio.timeout(WAIT_S):
        await anext(events)
        await client.now()
    assert client.session is not None
    assert local_storage == {STORE_KEY: client.session.key}


async def test_a_stored_key_that_is_not(client: Client, other: Client) -> None:
    """It is forgotten, and nobody is logged in."""
    local_storage = {STORE_KEY: await opened_elsewhere(other)}
    await other.logout()
    seed_example(client, local_storage)
    await client.now()
    assert local_storage == {}
    assert client.session is None


async def test_nothing_is_stored(client: Client) -> None:
    """No key is no valid one: nobody is logged in, and the next login is stored."""
    local_storage: dict[str, str] = {}
    seed_example(client, local_storage)
    checked: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
    client.is_valid(None, checked.set_result)
    async with asyncio.timeout(WAIT_S):
        assert await checked == "invalidSessionKey"
    events = client.events("session.set")
    session = await client.login("anonymous")
    async with asyncio.timeout(WAIT_S):
        await anext(events)
        await client.now()
    assert local_storage == {STORE_KEY: session.key}


async def test_restore_and_logout_with_callbacks(client: Client, other: Client) -> None:
    """`restore(key, callback)` and `logout(callback)`: null, or an error string."""
    key = await opened_elsewhere(other)
    answers: asyncio.Queue[tuple[str, str | None]] = asyncio.Queue()
    client.restore(key, lambda err: answers.put_nowait(("restored", err)))
    client.logout(callback=lambda err: answers.put_nowait(("logged out", err)))
    client.restore(key, lambda err: answers.put_nowait(("restored", err)))
    async with asyncio.timeout(WAIT_S):
        assert [await answers.get() for _ in range(3)] == [
            ("restored", None),
            ("logged out", None),
            ("restored", "loggedOut"),
        ]


async def test_a_callback_may_be_async(client: Client) -> None:
    """It is awaited, by the client."""
    answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    async def checked(err: str | None) -> None:
        await client.now()
        answer.set_result(err)

    client.is_valid("not a key", checked)
    async with asyncio.timeout(WAIT_S):
        assert await answer == "invalidSessionKey"
