"""A process that was suspended: what arrived meanwhile counts, not the time that has passed."""

import asyncio

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from tests.client_py.control.conftest import API_KEY
from tests.support.client_py.golden import CURSOR, KEY, SESSION, bound, done, session_set
from tests.support.client_py.http_peer import SESSION as CONTROL_SESSION
from tests.support.client_py.http_peer import Asked, answer, http_peer
from tests.support.client_py.peer import WAIT_S, Peer, listening
from tests.support.client_py.suspended import program

pytestmark = pytest.mark.parametrize("run", ["asyncio.run", "uvloop.run"])

LOGIN = """
async with keystay.connect(url, timeout_s=0.3) as client:
    print("open", flush=True)
    result = (await client.login("anonymous")).id
"""
NOW = """
options = keystay.Options(ping_interval_s=0.05, ping_timeout_s=0.3)
async with keystay.connect(url, options=options) as client:
    print("open", flush=True)
    result = await client.now()
"""
CONNECT = """
async with keystay.connect(url, options=keystay.Options(open_timeout_s=0.5)) as client:
    result = client.state
"""
RESTORE = f"""
options = keystay.Options(open_timeout_s=0.5)
async with keystay.connect(url, key={KEY!r}, options=options) as client:
    result = client.session.id
"""
CREATE = f"""
async with keystay.Control(url, {API_KEY!r}, timeout_s=0.5) as control:
    result = (await control.create_session("alice")).id
"""


async def soon(event: asyncio.Event) -> None:
    """Wait for what a program does first."""
    async with asyncio.timeout(2 * WAIT_S):
        await event.wait()


async def test_a_reply(peer: Peer, run: str) -> None:
    """A login whose reply came while the process was suspended succeeds."""
    async with program(LOGIN, peer.url, run) as suspended:
        line = await peer.accept()
        assert await suspended.line() == "open"
        id_ = await line.expect("session.login", ["anonymous"])
        async with suspended.suspension():
            await line.send(session_set(CURSOR), bound(id_, CURSOR))
        assert await suspended.line() == SESSION.id


async def test_a_pong(peer: Peer, run: str) -> None:
    """A connection whose pong came while the process was suspended is alive."""
    async with program(NOW, peer.url, run) as suspended:
        line = await peer.accept()
        assert await suspended.line() == "open"
        id_ = await line.expect("time.now", [])
        line.stop_reading()
        await asyncio.sleep(0.15)  # Not a wait for something: within this time it pings.
        async with suspended.suspension():
            line.read_on()
        await line.send(done(id_, 7))
        assert await suspended.line() == "7"


async def test_a_handshake(run: str) -> None:
    """A connection that was accepted while the process was suspended is opened."""
    is_asked, may_answer = asyncio.Event(), asyncio.Event()

    async def wait(connection: ServerConnection, request: Request) -> Response | None:
        is_asked.set()
        await may_answer.wait()
        return None

    async with (
        listening(process_request=wait) as peer,
        program(CONNECT, peer.url, run) as suspended,
    ):
        await soon(is_asked)
        async with suspended.suspension():
            may_answer.set()
            await peer.accept()
        assert await suspended.line() == "open"


async def test_a_restored_session(peer: Peer, run: str) -> None:
    """A session that was restored while the process was suspended is there."""
    async with program(RESTORE, peer.url, run) as suspended:
        line = await peer.accept()
        id_ = await line.expect("session.restore", [KEY])
        async with suspended.suspension():
            await line.send(session_set(None), bound(id_))
        assert await suspended.line() == SESSION.id


async def test_an_answer_to_a_backend(run: str) -> None:
    """A session whose creation was answered while the backend was suspended is returned."""
    is_asked, may_answer = asyncio.Event(), asyncio.Event()

    async def act(asked: Asked, writer: asyncio.StreamWriter) -> None:
        is_asked.set()
        await may_answer.wait()
        await answer(200, CONTROL_SESSION)(asked, writer)

    async with http_peer(act) as peer, program(CREATE, peer.url, run) as suspended:
        await soon(is_asked)
        async with suspended.suspension():
            may_answer.set()
            await asyncio.sleep(0)
        assert await suspended.line() == CONTROL_SESSION["id"]
