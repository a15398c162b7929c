"""What the backends' client and the real server do together: nothing twice, nothing lost."""

import asyncio
import base64
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

import keystay
from tests.client_py.control.conftest import API_KEY, QUICK
from tests.client_py.control.test_transport import control_port, loses_the_first_answer
from tests.support.certificate import make_certificate
from tests.support.client_py.http_peer import WAIT_S, answer, http_peer
from tests.support.client_py.relay import relay_to
from tests.support.server_process import ServerProcess, serving
from tests.support.stores.proxy import proxy_to


async def test_the_same_key_is_the_same_session(control: keystay.Control) -> None:
    """A program that was restarted in the middle of a login gets the session it has."""
    first, second = [
        await control.create_session("again", idempotency_key="login-7") for _ in range(2)
    ]
    assert (first.id, first.key) == (second.id, second.key)
    with pytest.raises(keystay.IdempotencyKeyReused):
        await control.create_session("again", language="fr", idempotency_key="login-7")


async def test_a_lost_answer_leaves_one_session(server: ServerProcess) -> None:
    """What was done, but not answered, is not done again."""
    async with (
        proxy_to(control_port(server), new_sieve=loses_the_first_answer()) as proxy,
        keystay.Control(f"http://127.0.0.1:{proxy.port}", API_KEY, options=QUICK) as control,
    ):
        opened = await control.create_session("lost-once")
        assert [session.id async for session in control.list_sessions("lost-once")] == [
            opened.id
        ]


async def test_a_lost_answer_leaves_one_event(
    server: ServerProcess, control: keystay.Control, client: keystay.Client
) -> None:
    """A client hears once what was said once."""
    session = await control.create_session("told-once")
    await client.subscribe("chat")
    await client.restore(session.key)
    heard = client.events("chat")
    async with (
        proxy_to(control_port(server), new_sieve=loses_the_first_answer()) as proxy,
        keystay.Control(f"http://127.0.0.1:{proxy.port}", API_KEY, options=QUICK) as lossy,
    ):
        cursor = await lossy.emit_to_actor("told-once", "chat.line", "once")
    await control.emit_to_actor("told-once", "chat.line", "next")
    told = [await anext(heard) for _ in range(2)]
    assert [event.data for event in told] == ["once", "next"]
    assert told[0].cursor == cursor


async def test_a_backend_on_uvloop(server: ServerProcess) -> None:
    """A program that uvicorn runs, on uvloop, has the same client."""
    uvloop = pytest.importorskip("uvloop")

    async def create() -> keystay.ControlSession:
        async with keystay.Control(server.control, API_KEY) as control:
            return await control.create_session("on-uvloop")

    def run() -> keystay.ControlSession:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(create())

    assert (await asyncio.to_thread(run)).actor_id == "on-uvloop"


async def test_all_pages(control: keystay.Control) -> None:
    """An actor with more sessions than a page has them all listed, oldest first."""
    opened = [(await control.create_session("pages")).id for _ in range(230)]
    assert [session.id async for session in control.list_sessions("pages")] == opened


async def test_the_feed_over_lines_that_break(
    server: ServerProcess, control: keystay.Control
) -> None:
    """Everything is heard once, in order, however often the line is cut."""
    async with (
        relay_to(server.control) as relay,
        keystay.Control(relay.url.replace("ws:", "http:"), API_KEY, options=QUICK) as distant,
        distant.feed(actors=["fed"]) as feed,
    ):
        expected: list[tuple[type, str]] = []
        for _ in range(5):
            session = await control.create_session("fed")
            relay.cut()
            await control.revoke_session(session.id, reason="banned")
            relay.mend()
            expected += [(keystay.SessionSet, session.id), (keystay.SessionUnset, session.id)]
        heard: list[tuple[type, str]] = []
        async with asyncio.timeout(WAIT_S):
            while len(heard) < len(expected):
                event = await anext(feed)
                assert not isinstance(event, keystay.FeedLost)
                id_ = event.id if isinstance(event, keystay.SessionUnset) else event.session.id
                heard.append((type(event), id_))
        assert heard == expected


async def test_over_tls(tmp_path: Path) -> None:
    """Requests and the feed; whom `ControlOptions.ssl` does not trust is asked nothing."""
    certificate, key = map(str, make_certificate(tmp_path))
    tls = ("--control-tls-cert", certificate, "--control-tls-key", key)
    async with serving(*tls, env={"KEYSTAY_API_KEY": API_KEY}) as server:
        url = server.control.replace("127.0.0.1", "localhost")
        trusting = replace(QUICK, ssl=ssl.create_default_context(cafile=certificate))
        async with (
            keystay.Control(url, API_KEY, options=trusting) as control,
            control.feed(actors=["secured"]) as feed,
        ):
            session = await control.create_session("secured")
            async with asyncio.timeout(WAIT_S):
                event = await anext(feed)
            assert isinstance(event, keystay.SessionSet)
            assert event.session.id == session.id
        async with keystay.Control(url, API_KEY, options=QUICK) as control:
            with pytest.raises(keystay.ConnectFailed, match=r"self.signed certificate"):
                await control.stats()


async def test_who_is_connected(control: keystay.Control, client: keystay.Client) -> None:
    """The nodes count a bound connection, and tell whose it is."""
    session = await control.create_session("connected")
    await client.restore(session.key)
    [connection] = await control.connections("connected")
    assert (connection.session_id, connection.address) == (session.id, "127.0.0.1")
    async with asyncio.timeout(WAIT_S):
        # A node reports about once a second, and tells nobody when.
        while not any(node.bound for node in (await control.stats()).nodes):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    stats = await control.stats()
    assert connection.node in [node.id for node in stats.nodes]
    assert stats.node == connection.node


async def test_a_webhook_of_the_server(tmp_path: Path) -> None:
    """What the server posts is what `verify_webhook` takes."""
    secret = "whsec_" + base64.b64encode(bytes(range(32))).decode()
    (tmp_path / "secret").write_text(secret)
    async with (
        http_peer(answer(204, b"")) as peer,
        serving(
            *("--webhook-url", peer.url, "--webhook-secret-file", str(tmp_path / "secret"))
        ) as server,
        keystay.Control(server.control, API_KEY) as control,
    ):
        # The very first webhook begins where the feed is when a node takes it on.
        async with asyncio.timeout(30):
            while not peer.asked:
                opened = await control.create_session("posted")
                await asyncio.sleep(0.2)
        asked = peer.asked[-1]
        with pytest.raises(keystay.InvalidWebhook):
            keystay.verify_webhook(asked.headers, asked.body + b" ", secret)
        events = keystay.verify_webhook(asked.headers, asked.body, secret)
        event = events[-1]
        assert isinstance(event, keystay.SessionSet)
        assert (event.actor_id, event.session.key) == ("posted", None)
        assert event.session.created_at <= opened.created_at
