"""One request on its way: lost lines, retries, deadlines, and a key that stays where it is."""

import asyncio
import json
import logging
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import keystay
from keystay.control import _transport
from tests.client_py.control.conftest import API_KEY, QUICK
from tests.support.client_py.http_peer import (
    SESSION,
    WAIT_S,
    Act,
    answer,
    break_in_the_middle,
    break_off,
    http_peer,
    keep_silent,
    problem,
)
from tests.support.server_process import ServerProcess
from tests.support.stores.proxy import Proxy, Sieve, proxy_to

SECRET = "ksa_" + "S3cret" * 8

Call = Callable[[keystay.Control], Coroutine[Any, Any, Any]]

REPEATABLE: dict[str, Call] = {
    "get_session": lambda control: control.get_session("YQ.1"),
    "revoke_session": lambda control: control.revoke_session("YQ.1"),
    "update_session": lambda control: control.update_session("YQ.1", language="fr"),
    "create_session": lambda control: control.create_session("alice"),
    "reassign_session": lambda control: control.reassign_session("YQ.1", "bob"),
    "emit_to_actor": lambda control: control.emit_to_actor("alice", "chat.line"),
    "emit_to_session": lambda control: control.emit_to_session("YQ.1", "chat.line"),
}
ONCE: dict[str, Call] = {
    "update_session": lambda control: control.update_session("YQ.1", language="fr", revision=1),
    "broadcast": lambda control: control.broadcast("chat.line"),
}
FINE = answer(200, {**SESSION, "cursor": 7})
IN_PASSING: dict[str, Act] = {
    "a broken line": break_off,
    "a broken answer": break_in_the_middle,
    "429": problem(429),
    "502 of a proxy": answer(502, b"<html>", content_type="text/html"),
    "503": problem(503, code="unavailable", retryAfter=0.01),
    "504": problem(504, code="timeout"),
    "a code of a later version": problem(409, code="inProgress", retryAfter=0.01),
}


def trying(url: str, *, timeout_s: float = WAIT_S, key: str = API_KEY) -> keystay.Control:
    """A backend that tries again soon."""
    return keystay.Control(url, key, timeout_s=timeout_s, options=QUICK)


def loses_the_first_answer() -> Callable[[], Sieve]:
    """Let the first request through to the server, and break its line instead of answering."""
    lost = iter([True])

    def new_sieve() -> Sieve:
        def sieve(data: bytes) -> bytes:
            if next(lost, False):
                raise ConnectionResetError
            return data

        return sieve

    return new_sieve


def control_port(server: ServerProcess) -> int:
    return int(server.control.rpartition(":")[2])


@pytest.mark.parametrize("trouble", IN_PASSING)
@pytest.mark.parametrize("call", REPEATABLE)
async def test_what_is_safe_is_tried_again(call: str, trouble: str) -> None:
    """Passing trouble is not seen by the program."""
    async with http_peer(IN_PASSING[trouble], FINE) as peer, trying(peer.url) as control:
        await REPEATABLE[call](control)
        first, second = peer.asked
        assert first == second


POSTED = ["create_session", "reassign_session", "emit_to_actor", "emit_to_session"]


@pytest.mark.parametrize("call", POSTED)
async def test_a_repetition_is_known_by_its_idempotency_key(call: str) -> None:
    """What does something twice when sent twice carries a key, another for each call."""
    async with http_peer(break_off, FINE) as peer, trying(peer.url) as control:
        await REPEATABLE[call](control)
        await REPEATABLE[call](control)
        first, second, other = [asked.headers["idempotency-key"] for asked in peer.asked]
        assert first == second
        assert first != other


async def test_the_program_may_give_the_idempotency_key() -> None:
    """A program that was restarted can repeat what it did before."""
    async with http_peer(FINE) as peer, trying(peer.url) as control:
        await control.create_session("alice", idempotency_key="order-7")
        assert peer.asked[0].headers["idempotency-key"] == "order-7"


@pytest.mark.parametrize("call", ONCE)
async def test_what_is_not_safe_is_sent_once(call: str) -> None:
    """Sent twice, a change to a revision would be refused because of itself."""
    async with http_peer(break_off) as peer, trying(peer.url) as control:
        with pytest.raises(keystay.ConnectionLost):
            await ONCE[call](control)
        assert len(peer.asked) == 1


@pytest.mark.parametrize("call", ONCE)
async def test_what_was_not_done_is_sent_again(call: str) -> None:
    """Whoever is told to come back later knows that nothing was done."""
    async with http_peer(problem(429), FINE) as peer, trying(peer.url) as control:
        await ONCE[call](control)
        assert len(peer.asked) == 2


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (problem(400, code="invalidParams", detail="meta must be an object"), "InvalidParams"),
        (problem(401), "Unauthorized"),
        (problem(403, code="insufficientScope", detail="it takes events"), "Forbidden"),
        (problem(422, code="idempotencyKeyReused"), "IdempotencyKeyReused"),
        (problem(404, code="noSession"), "NoSession"),
        (problem(409, code="sessionLimit"), "SessionLimit"),
        (problem(409, code="revisionConflict"), "RevisionConflict"),
        (problem(410, code="banned"), "SessionEnded"),
        (problem(500, code="internal"), "InternalError"),
        (answer(302, b"", Location="http://127.0.0.1:1/"), "UnexpectedAnswer"),
        (answer(200, b"<html>", content_type="text/html"), "UnexpectedAnswer"),
        (answer(200, {"hello": "world"}), "UnexpectedAnswer"),
        (answer(200, b""), "UnexpectedAnswer"),
        (answer(404, b"<html>", content_type="text/html"), "UnexpectedAnswer"),
    ],
)
async def test_what_another_attempt_would_not_change_stands(act: Act, error: str) -> None:
    """A refusal is raised as what it is, at once."""
    async with http_peer(act) as peer, trying(peer.url) as control:
        with pytest.raises(getattr(keystay, error)):
            await control.create_session("alice")
        assert len(peer.asked) == 1


async def test_attempts_are_bounded() -> None:
    """A server that is always busy is asked five times, and then the program is told."""
    async with http_peer(problem(503, code="unavailable")) as peer, trying(peer.url) as control:
        with pytest.raises(keystay.Unavailable):
            await control.get_session("YQ.1")
        assert len(peer.asked) == QUICK.max_attempts


async def test_a_wait_beyond_the_deadline_is_not_waited() -> None:
    """Who is asked to wait longer than there is time is told at once, and for how long."""
    async with http_peer(problem(429, retryAfter=60)) as peer, trying(peer.url) as control:
        async with asyncio.timeout(WAIT_S / 2):
            with pytest.raises(keystay.RateLimited) as caught:
                await control.get_session("YQ.1")
        assert caught.value.retry_after_s == 60
        assert len(peer.asked) == 1


async def test_retry_after_of_a_proxy() -> None:
    """The header counts where there is no problem document."""
    busy = answer(503, b"", Retry_After="60")
    async with http_peer(busy) as peer, trying(peer.url) as control:
        with pytest.raises(keystay.Unavailable) as caught:
            await control.get_session("YQ.1")
        assert caught.value.retry_after_s == 60


@pytest.mark.parametrize("act", [keep_silent, break_off])
async def test_all_attempts_share_one_deadline(act: Act) -> None:
    """However a server fails, a call does not take longer than `timeout_s`."""
    async with http_peer(act, keep_silent) as peer, trying(peer.url, timeout_s=0.2) as control:
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(keystay.Timeout):
                await control.get_session("YQ.1")


async def test_a_server_that_answers_slowly() -> None:
    """The deadline holds for the body too."""

    async def drip(_: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        await asyncio.Event().wait()

    async with http_peer(drip) as peer, trying(peer.url, timeout_s=0.2) as control:
        with pytest.raises(keystay.Timeout):
            await control.get_session("YQ.1")


async def test_nobody_listens() -> None:
    """An address without a server is `ConnectFailed`, with the reason of the network."""
    async with http_peer(FINE) as peer:
        url = peer.url
    async with trying(url) as control:
        refused = f"^{url} cannot be reached: Connection refused$"
        with pytest.raises(keystay.ConnectFailed, match=refused):
            await control.create_session("alice")


async def test_an_answer_without_end_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """What answers cannot fill the program's memory."""
    monkeypatch.setattr(_transport, "MAX_ANSWER_BYTES", 1000)
    async with http_peer(answer(200, b"x" * 5000)) as peer, trying(peer.url) as control:
        with pytest.raises(keystay.UnexpectedAnswer, match="1000 bytes"):
            await control.get_session("YQ.1")


async def test_a_cancelled_call_lets_go() -> None:
    """Whoever cancels is not kept waiting, and others are served on."""
    async with http_peer(keep_silent, FINE) as peer, trying(peer.url, timeout_s=60) as control:
        call = asyncio.create_task(control.get_session("YQ.1"))
        await peer.has_been_asked.wait()
        call.cancel()
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(asyncio.CancelledError):
                await call
            assert (await control.get_session("YQ.1")).actor_id == "alice"


async def test_after_the_end() -> None:
    """A closed backend does nothing."""
    async with http_peer(FINE) as peer:
        control = trying(peer.url)
        await control.get_session("YQ.1")
        await control.close()
        with pytest.raises(keystay.ClientClosed):
            await control.get_session("YQ.1")
        assert len(peer.asked) == 1


@pytest.mark.long
async def test_many_calls_at_once(server: ServerProcess) -> None:
    """More calls than connections wait for one another, and all are answered."""
    async with trying(server.control, timeout_s=30) as control:
        opened = await asyncio.gather(*(control.create_session("crowd") for _ in range(300)))
        assert len({session.id for session in opened}) == 300
        assert await control.revoke_sessions("crowd") == 300


async def test_an_end_whose_answer_is_lost(server: ServerProcess) -> None:
    """The session is gone, which is all that was wanted: no error because of the second try."""
    async with (
        proxy_to(control_port(server), new_sieve=loses_the_first_answer()) as proxy,
        trying(server.control) as direct,
        trying(f"http://127.0.0.1:{proxy.port}") as control,
    ):
        opened = await direct.create_session("lost-end")
        await control.revoke_session(opened.id)
        assert [session async for session in direct.list_sessions("lost-end")] == []
        with pytest.raises(keystay.NoSession):
            await control.revoke_session(opened.id)


async def test_a_session_whose_answer_is_lost(server: ServerProcess) -> None:
    """It is asked for again with the same idempotency key, and there is a key in the end."""
    async with (
        proxy_to(control_port(server), new_sieve=loses_the_first_answer()) as proxy,
        trying(f"http://127.0.0.1:{proxy.port}") as control,
    ):
        assert (await control.create_session("lost-answer")).key is not None
        assert len(set(keys_sent(proxy))) == 1
        assert len(keys_sent(proxy)) == 2


def keys_sent(proxy: Proxy) -> list[bytes]:
    """The idempotency keys that went through."""
    lines = b"".join(proxy.sent).splitlines()
    return [line for line in lines if line.lower().startswith(b"idempotency-key:")]


async def test_a_change_whose_answer_is_lost(server: ServerProcess) -> None:
    """With a revision, the program is told that nobody knows; the session tells."""
    async with (
        proxy_to(control_port(server), new_sieve=loses_the_first_answer()) as proxy,
        trying(server.control) as direct,
        trying(f"http://127.0.0.1:{proxy.port}") as control,
    ):
        opened = await direct.create_session("lost-change")
        with pytest.raises(keystay.ConnectionLost):
            await control.update_session(opened.id, language="fr", revision=opened.revision)
        assert (await control.get_session(opened.id)).language == "fr"


async def test_no_proxy_gets_the_key(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the environment says, requests go to the server itself."""
    async with http_peer(FINE) as peer:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, peer.url)
        async with trying(server.control) as control:
            await control.create_session("direct")
        assert peer.asked == []


async def test_no_redirect_is_followed() -> None:
    """Where a server points to is not asked."""
    async with (
        http_peer(FINE) as elsewhere,
        http_peer(answer(307, b"", Location=elsewhere.url)) as peer,
        trying(peer.url) as control,
    ):
        with pytest.raises(keystay.UnexpectedAnswer) as caught:
            await control.get_session("YQ.1")
        assert caught.value.status == 307
        assert elsewhere.asked == []


LEAKS: dict[str, Act] = {
    "refused": problem(401, detail="this is not the API key"),
    "broken": break_off,
    "silent": keep_silent,
    "nonsense": answer(200, b"<html>"),
}


@pytest.mark.parametrize("trouble", LEAKS)
async def test_the_key_is_in_no_error(trouble: str) -> None:
    """Neither the text nor the traceback nor what hangs on it, locals included, has the key."""
    async with (
        http_peer(LEAKS[trouble]) as peer,
        trying(peer.url, timeout_s=0.2, key=SECRET) as control,
    ):
        with pytest.raises(keystay.KeystayError) as caught:
            await control.get_session("YQ.1")
        shown = "".join(
            traceback.TracebackException.from_exception(
                caught.value, capture_locals=True
            ).format()
        )
        assert "control.get_session" in shown
        assert SECRET not in shown
        assert caught.value.__context__ is None or SECRET not in repr(caught.value.__context__)


async def test_neither_key_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Keys are not in the log, not even at DEBUG, and not in a repr."""
    for name in ("", "asyncio", "keystay"):
        caplog.set_level(logging.DEBUG, logger=name)
    fine = answer(200, {**SESSION, "key": f"alice:{SECRET}"})
    async with http_peer(break_off, fine) as peer, trying(peer.url) as control:
        session = await control.create_session("alice")
        assert session.key is not None
        assert caplog.records
        assert session.key not in caplog.text + repr(session)
        assert API_KEY not in caplog.text + repr(control) + repr(vars(control))


async def test_the_body_is_json(server: ServerProcess) -> None:
    """What is asked for is sent as JSON, and only what is given."""
    async with http_peer(FINE) as peer, trying(peer.url) as control:
        await control.create_session("alice", ttl_s=1.5)
        [asked] = peer.asked
        assert json.loads(asked.body) == {"actorId": "alice", "ttl": 1.5}
        assert asked.headers["content-type"] == "application/json"
        assert asked.headers["authorization"] == f"Bearer {API_KEY}"
