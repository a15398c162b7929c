"""
`deploy/nginx.conf` and `deploy/haproxy.cfg`, run in front of two nodes on one Valkey.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

import keystay
from tests.support.deploy.front import SOON_S, Front, in_front_of
from tests.support.raw_client import RawClient, connected
from tests.support.server.raw_peer import dialled, request
from tests.support.server_process import ServerProcess, serving
from tests.support.valkey import Valkey, running_valkey

pytestmark = pytest.mark.long

API_KEY = "the-api-key-of-the-nodes"
BOTH = pytest.mark.parametrize("program", ["nginx", "haproxy"])


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    """The store of both nodes."""
    with running_valkey(tmp_path) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Site:
    """A proxy, the two nodes behind it, and a backend of each."""

    front: Front
    nodes: tuple[ServerProcess, ServerProcess]
    backends: tuple[keystay.Control, keystay.Control]

    @property
    def options(self) -> keystay.Options:
        """For clients that trust the proxy, and are quick to come back."""
        return keystay.Options(ssl=self.front.tls, backoff_base_s=0.1)

    def client(self, key: str | None = None) -> keystay.Client:
        """A client of the SDK, as a player has it."""
        return keystay.connect(self.front.url, key=key, options=self.options)

    async def node_of(self, actor_id: str) -> int:
        """Which node holds the actor's only connection: 0 or 1."""
        [connection] = await self.backends[0].connections(actor_id)
        ids = [(await backend.stats()).node for backend in self.backends]
        return ids.index(connection.node)


@asynccontextmanager
async def site(
    program: str, valkey: Valkey, directory: Path, *flags: str, silence: str = "75s"
) -> AsyncIterator[Site]:
    """Run all of it, with these flags for both nodes."""
    env = {"KEYSTAY_API_KEY": API_KEY}
    flags = ("--store", valkey.url(), *flags)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        nodes = (
            await enter(serving(*flags, env=env, dev=False)),
            await enter(serving(*flags, env=env, dev=False)),
        )
        backends = (
            await enter(keystay.Control(nodes[0].control, API_KEY)),
            await enter(keystay.Control(nodes[1].control, API_KEY)),
        )
        front = await enter(in_front_of(program, nodes, directory, silence))
        yield Site(front, nodes, backends)


async def ended(client: RawClient) -> int:
    """Wait for the end of a connection; return its close code."""
    try:
        async with asyncio.timeout(SOON_S):
            while True:
                await client.receive()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


@BOTH
async def test_clients_on_both_nodes_are_told(
    program: str, valkey: Valkey, tmp_path: Path
) -> None:
    """A session is restored over TLS on two nodes, and each change is pushed to both."""
    async with site(program, valkey, tmp_path) as here:
        session = await here.backends[0].create_session("player:7")
        async with here.client(session.key) as one, here.client(session.key) as two:
            heard = [client.events("session.unset") for client in (one, two)]
            connections = await here.backends[1].connections("player:7")
            assert len({connection.node for connection in connections}) == 2
            await here.backends[0].revoke_session(session.id, reason="banned")
            async with asyncio.timeout(SOON_S):
                told = [(await anext(events)).data["reason"] for events in heard]
            assert told == ["banned", "banned"]


@BOTH
async def test_who_is_silent_stays_and_who_is_gone_is_found_out(
    program: str, valkey: Valkey, tmp_path: Path
) -> None:
    """The server's pings keep a connection open for longer than the proxy's timeouts."""
    pings = ("--ping-interval-s", "0.5", "--ping-timeout-s", "0.5")
    async with (
        site(program, valkey, tmp_path, *pings, silence="3s") as here,
        connected(here.front.url, ssl=here.front.tls, ping_interval=None) as silent,
        dialled("localhost", here.front.port, **here.front.secured) as gone,
    ):
        assert (await gone.handshake(request("/keystay"))).status == 101
        started = asyncio.get_running_loop().time()
        await gone.end()
        assert 1 <= asyncio.get_running_loop().time() - started < 3
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4):
                await silent.websocket.recv()
        assert (await silent.call("time.now"))[0] is None


@BOTH
async def test_it_cuts_off_who_is_not_even_pinged(
    program: str, valkey: Valkey, tmp_path: Path
) -> None:
    """Its timeouts are what is in the file: without pings they count."""
    async with (
        site(program, valkey, tmp_path, "--ping-interval-s", "0", silence="1s") as here,
        connected(here.front.url, ssl=here.front.tls, ping_interval=None) as silent,
    ):
        started = asyncio.get_running_loop().time()
        assert await ended(silent) == 1006
        assert asyncio.get_running_loop().time() - started > 0.9


@BOTH
async def test_a_client_is_told_why_it_is_closed(
    program: str, valkey: Valkey, tmp_path: Path
) -> None:
    """Close codes of the server come through: it is they that say whether to come back."""
    async with site(program, valkey, tmp_path, "--session-timeout-s", "1") as here:
        for said, code in ((b"\xc1", 4500), (bytes(70_000), 1009), (b"", 4000)):
            async with connected(here.front.url, ssl=here.front.tls) as client:
                if said:
                    await client.websocket.send(said)
                assert await ended(client) == code


@BOTH
async def test_a_node_that_goes_sends_its_clients_to_the_other(
    program: str, valkey: Valkey, tmp_path: Path
) -> None:
    """It says when to come back, closes with 1012, and the proxy asks the other one."""
    async with site(program, valkey, tmp_path) as here:
        session = await here.backends[0].create_session("player:7")
        async with connected(here.front.url, ssl=here.front.tls) as client:
            await client.call("session.restore", session.key)
            await client.event()
            going = await here.node_of("player:7")
            stopped = asyncio.create_task(here.nodes[going].terminate())
            assert (await client.event())[0] == "server.draining"
            assert await ended(client) == 1012
            assert await stopped == 0
        for _ in range(4):
            async with connected(here.front.url, ssl=here.front.tls) as client:
                assert (await client.call("session.restore", session.key))[0] is None


@BOTH
async def test_a_killed_node_loses_its_clients_nothing(
    program: str, valkey: Valkey, tmp_path: Path
) -> None:
    """They come back to the other one through the same address, and hear what they missed."""
    async with site(program, valkey, tmp_path) as here:
        session = await here.backends[0].create_session("player:7")
        async with here.client(session.key) as client:
            await client.subscribe("mail")
            heard = client.events("mail")
            held_by = await here.node_of("player:7")
            left = here.backends[1 - held_by]
            await left.emit_to_actor("player:7", "mail.new", 1)
            await here.nodes[held_by].kill()
            await left.emit_to_actor("player:7", "mail.new", 2)
            async with asyncio.timeout(SOON_S):
                assert [(await anext(heard)).data for _ in range(2)] == [1, 2]


@BOTH
async def test_a_full_node_is_passed_over(program: str, valkey: Valkey, tmp_path: Path) -> None:
    """Where one has no room the other is asked; if neither has any, the client comes later."""
    async with (
        site(program, valkey, tmp_path, "--max-connections", "1") as here,
        connected(here.nodes[0].url),
        connected(here.front.url, ssl=here.front.tls) as client,
    ):
        assert (await client.call("time.now"))[0] is None
        with pytest.raises(InvalidStatus) as refused:
            await connected(here.front.url, ssl=here.front.tls).__aenter__()
        assert refused.value.response.status_code in (502, 503)


@BOTH
async def test_pages_of_the_same_host_may_connect(
    program: str, valkey: Valkey, tmp_path: Path
) -> None:
    """The node sees the host that the page connects to; no other page gets in."""
    async with site(program, valkey, tmp_path) as here:
        home = f"https://localhost:{here.front.port}"
        for origin, status in ((home, 101), ("https://evil.example", 403)):
            async with dialled("localhost", here.front.port, **here.front.secured) as page:
                host = f"localhost:{here.front.port}"
                asked = request("/keystay", Origin=origin, Host=host)
                assert (await page.handshake(asked)).status == status


@BOTH
async def test_the_control_port_is_not_there(
    program: str, valkey: Valkey, tmp_path: Path
) -> None:
    """What is for backends is not to be had through it, whoever asks."""
    async with (
        site(program, valkey, tmp_path) as here,
        httpx.AsyncClient(verify=here.front.tls, trust_env=False) as http,
    ):
        for path in ("/livez", "/readyz", "/metrics", "/v1/stats", "/"):
            for below in ("", "/keystay"):
                answer = await http.get(
                    f"https://localhost:{here.front.port}{below}{path}",
                    headers={"Authorization": f"Bearer {API_KEY}"},
                )
                assert answer.status_code in (404, 426), (below, path)


@BOTH
async def test_a_reload_cuts_off_nobody(program: str, valkey: Valkey, tmp_path: Path) -> None:
    """A certificate is renewed while clients are connected; new ones come in meanwhile."""
    async with (
        site(program, valkey, tmp_path) as here,
        connected(here.front.url, ssl=here.front.tls) as client,
    ):
        await here.front.reload()
        assert (await client.call("time.now"))[0] is None
        async with connected(here.front.url, ssl=here.front.tls) as later:
            assert (await later.call("time.now"))[0] is None


async def test_haproxy_takes_a_node_out_that_drains(valkey: Valkey, tmp_path: Path) -> None:
    """Its readiness check finds it out while the last clients are still leaving."""
    async with (
        site("haproxy", valkey, tmp_path, "--close-timeout-s", "15") as here,
        dialled("localhost", here.front.port, **here.front.secured) as lingerer,
    ):
        session = await here.backends[0].create_session("player:7")
        assert (await lingerer.handshake(request("/keystay"))).status == 101
        assert (await lingerer.call("session.restore", session.key))[0] is None
        going = await here.node_of("player:7")
        # It never answers the close frame: until it is given up, the node is there.
        stopped = asyncio.create_task(here.nodes[going].terminate())
        name = ("first", "second")[going]
        await here.front.says(f"Server keystay/{name} is DOWN.*code: 503")
        assert not stopped.done()
        async with connected(here.front.url, ssl=here.front.tls) as client:
            assert (await client.call("session.restore", session.key))[0] is None
        assert (await lingerer.close_frame())[0] == 1012
        lingerer.writer.transport.abort()
        assert await stopped == 0


async def test_haproxy_lets_nobody_in_while_the_store_is_away(
    valkey: Valkey, tmp_path: Path
) -> None:
    """Who is connected stays so; when the store is back, so is the service."""
    async with site("haproxy", valkey, tmp_path) as here:
        async with connected(here.front.url, ssl=here.front.tls) as client:
            valkey.pause()
            await here.front.says("backend 'keystay' has no server available")
            with pytest.raises(InvalidStatus) as refused:
                await connected(here.front.url, ssl=here.front.tls).__aenter__()
            assert refused.value.response.status_code in (502, 503)
            assert (await client.call("time.now"))[0] is None
            valkey.resume()
            await here.front.says(r"Server keystay/\w+ is UP")
        async with connected(here.front.url, ssl=here.front.tls) as client:
            assert (await client.call("time.now"))[0] is None
