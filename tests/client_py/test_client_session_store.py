"""A program that is started again goes on with its session, against the real server."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import keystay
from keystay import SESSION_RECOVERED, Event, FileSessionStore, StoredSession
from tests.support.client_py.backends import backend
from tests.support.client_py.golden import CURSOR, KEY
from tests.support.client_py.peer import FAST, WAIT_S, Peer
from tests.support.server_process import ServerProcess, serving


@pytest.fixture
def store(tmp_path: Path) -> FileSessionStore:
    """What both runs of the program use."""
    return FileSessionStore(tmp_path / "session")


@pytest.fixture
async def stored(
    server: ServerProcess, store: FileSessionStore, request: pytest.FixtureRequest
) -> keystay.Session:
    """The session of a first run, whose program has ended."""
    async with keystay.connect(server.url, session_store=store) as client:
        return await client.login("anonymous", {"actorId": request.node.name})


async def start_again(
    url: str, store: FileSessionStore, **options: Any
) -> tuple[keystay.Client, list[Event]]:
    """Run the program again until it is connected; return what it heard."""
    client = keystay.connect(url, session_store=store, options=replace(FAST, **options))
    events = client.events()
    async with client:
        await client.now()
    return client, [event async for event in events]


async def test_the_second_run_is_logged_in(
    server: ServerProcess, store: FileSessionStore, stored: keystay.Session
) -> None:
    """`session` is there when the client is connected; nothing was missed, and it says so."""
    before = store.load()
    assert before is not None
    client, heard = await start_again(server.url, store)
    assert client.session is not None
    assert client.session.id == stored.id
    assert [event.name for event in heard] == ["session.set", SESSION_RECOVERED]
    assert client.recovered is True
    assert heard[0].cursor is None
    assert store.load() == before


async def test_the_second_run_hears_what_happened_in_between(
    server: ServerProcess, store: FileSessionStore, stored: keystay.Session
) -> None:
    """Every event of the session since the first run ended, in order, and each once."""
    async with backend(server) as control:
        for number in range(3):
            await control.update_session(stored.id, meta={"number": number})
    _, heard = await start_again(server.url, store)
    assert [event.data.meta for event in heard[:3]] == [{"number": n} for n in range(3)]
    assert [event.name for event in heard[3:]] == ["session.set", SESSION_RECOVERED]
    assert heard[-1] == Event(SESSION_RECOVERED, {"recovered": True}, None)
    _, heard = await start_again(server.url, store)
    assert [event.name for event in heard] == ["session.set", SESSION_RECOVERED]


async def test_the_second_run_after_a_killed_server(
    tmp_path: Path, store: FileSessionStore
) -> None:
    """The store and the server's database are enough to go on."""
    database = f"sqlite:///{tmp_path}/keystay.db"
    async with serving("--store", database) as first:
        async with keystay.connect(first.url, session_store=store) as client:
            session = await client.login("anonymous")
        await first.kill()
    async with serving("--store", database) as second:
        client, _ = await start_again(second.url, store)
    assert client.session is not None
    assert client.session.id == session.id
    assert client.recovered is True


async def test_a_second_run_that_comes_too_late(store: FileSessionStore) -> None:
    """It is logged in, and is told that it has to load anew what it remembers."""
    async with serving("--history-events", "2") as server:
        async with keystay.connect(server.url, session_store=store) as client:
            session = await client.login("anonymous")
        async with backend(server) as control:
            for number in range(3):
                await control.update_session(session.id, meta={"number": number})
        client, heard = await start_again(server.url, store)
    assert client.session is not None
    assert client.recovered is False
    assert heard[-1].data == {"recovered": False}


async def test_a_logout_clears_the_store(
    server: ServerProcess, store: FileSessionStore, stored: keystay.Session
) -> None:
    """The key is gone when the client is closed, and the next run begins without."""
    async with keystay.connect(server.url, session_store=store) as client:
        await client.logout()
    assert store.load() is None
    client, heard = await start_again(server.url, store)
    assert (client.session, client.recovered, heard) == (None, None, [])


async def test_a_refused_key_is_cleared(
    server: ServerProcess, store: FileSessionStore, stored: keystay.Session
) -> None:
    """The program hears why, as of a key of its own, and is connected without a session."""
    async with keystay.connect(server.url, key=stored.key) as other:
        await other.logout()
    client, heard = await start_again(server.url, store)
    assert heard == [Event("session.unset", {"reason": "loggedOut", "id": None}, None)]
    assert client.session is None
    assert store.load() is None


@pytest.mark.parametrize("content", [b"", b'{"key": "pla', b'{"key": "\\ud800", "cursor": 1}'])
async def test_a_corrupt_file(
    server: ServerProcess, tmp_path: Path, store: FileSessionStore, content: bytes
) -> None:
    """It is the same as none, and the next login is stored over it."""
    (tmp_path / "session").write_bytes(content)
    async with keystay.connect(server.url, session_store=store) as client:
        assert client.session is None
        session = await client.login("anonymous")
    stored = store.load()
    assert stored is not None
    assert stored.key == session.key


async def test_a_key_of_the_program_goes_first(
    server: ServerProcess, store: FileSessionStore, stored: keystay.Session
) -> None:
    """What is stored is left alone until another session is there, and then replaced."""
    async with keystay.connect(server.url) as other:
        key = (await other.login("anonymous")).key
    async with keystay.connect(server.url, key=key, session_store=store) as client:
        assert client.session is not None
        assert client.session.actor_id != stored.actor_id
        assert client.recovered is None
    left = store.load()
    assert left is not None
    assert left.key == key


async def test_a_key_that_is_refused_beside_a_session(
    server: ServerProcess, store: FileSessionStore, stored: keystay.Session
) -> None:
    """The session that stays bound stays stored."""
    async with keystay.connect(server.url, session_store=store) as client:
        unset = client.events("session.unset")
        client.set_session_key(KEY)
        async with asyncio.timeout(WAIT_S):
            assert (await anext(unset)).data["id"] is None
    left = store.load()
    assert left is not None
    assert left.key == stored.key


async def test_every_event_moves_the_stored_cursor(peer: Peer, store: FileSessionStore) -> None:
    """A program that is killed comes back to the newest event, not to its start."""
    store.save(StoredSession(KEY, CURSOR))
    client = keystay.connect(peer.url, session_store=store, options=FAST)
    opening = asyncio.ensure_future(client)
    line = await peer.accept()
    await line.serve_restore(KEY, CURSOR + 1, after=CURSOR)
    await opening
    await client.close()
    assert store.load() == StoredSession(KEY, CURSOR + 1)


async def test_a_first_attempt_that_fails_keeps_what_is_stored(
    peer: Peer, store: FileSessionStore
) -> None:
    """No server is no reason to forget a key."""
    store.save(StoredSession(KEY, CURSOR))
    peer.stop()
    with pytest.raises(keystay.ConnectFailed):
        await keystay.connect(peer.url, session_store=store)
    assert store.load() == StoredSession(KEY, CURSOR)


async def test_a_store_that_cannot_be_used(
    server: ServerProcess, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder that is not there is in the log; the client works as without a store."""
    caplog.set_level(logging.DEBUG)
    store = FileSessionStore(tmp_path / "none" / "session")
    async with keystay.connect(server.url, session_store=store) as client:
        await client.login("anonymous")
        assert len(await client.list()) == 1
    assert "the session store could not be written" in caplog.text
    assert "kst_" not in caplog.text


async def test_no_key_in_the_log(
    server: ServerProcess,
    store: FileSessionStore,
    stored: keystay.Session,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With every logger at DEBUG, neither loading nor saving nor clearing shows it."""
    caplog.set_level(logging.DEBUG)
    async with keystay.connect(server.url, session_store=store) as client:
        await client.logout()
    assert "open" in caplog.text
    assert "kst_" not in caplog.text + repr(store.load()) + repr(client)
