"""
What a healthy server never does, and what a later one may: played by a peer.
"""

import asyncio
from typing import Any

import pytest

from keystay_protocol.codec import encode
from keystay_protocol.frames import Event, Reply
from tests.end_to_end.clients.conftest import Run
from tests.support.client_py.golden import (
    AFTER,
    CURSOR,
    KEY,
    SESSION,
    bound,
    done,
    refused,
    session_set,
    session_unset,
    wire_session,
)
from tests.support.client_py.peer import Peer, PeerConnection
from tests.support.end_to_end.program import Program, code_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def bound_program(run: Run, peer: Peer, **options: Any) -> tuple[Program, PeerConnection]:
    """A program that restored the session of `KEY`, and the line it did it on."""
    opening = asyncio.ensure_future(run(peer.url, key=KEY, **options))
    line = await peer.accept()
    await line.serve_restore(KEY)
    return await opening, line


async def come_back(peer: Peer) -> PeerConnection:
    """Take the client's next line, on which it restores the session."""
    line = await peer.accept()
    await line.serve_restore(KEY, CURSOR + 1, after=CURSOR)
    return line


async def test_a_login_that_was_on_its_way(run: Run, peer: Peer) -> None:
    """When the line breaks it fails, for nobody knows whether it was carried out."""
    program, line = await bound_program(run, peer)
    given = program.give("login", "anonymous")
    await line.expect("session.login", ["anonymous"])
    line.drop()
    assert await code_of(given) == "connectionLost"
    line = await come_back(peer)
    given = program.give("now")
    await line.serve_now(1)  # And nothing before it.
    assert await given == 1


async def test_a_question_that_was_on_its_way(run: Run, peer: Peer) -> None:
    """When the line breaks it is asked again, and answered."""
    program, line = await bound_program(run, peer)
    given = program.give("isValid", KEY)
    await line.expect("session.isValid", [KEY])
    line.drop()
    line = await come_back(peer)
    await line.send(refused(await line.expect("session.isValid", [KEY]), "expired"))
    assert await code_of(given) == "expired"


async def test_too_many_commands(run: Run, peer: Peer) -> None:
    """One more than may wait is refused at once; those before it are answered."""
    program, line = await bound_program(run, peer, maxPending=2)
    *waiting, last = [program.give("now") for _ in range(3)]
    assert await code_of(last) == "queueFull"
    for number, given in enumerate(waiting):
        await line.serve_now(number)
        assert await given == number


async def test_a_command_that_is_not_answered_in_time(run: Run, peer: Peer) -> None:
    """It costs that command alone; an answer that comes later is no matter."""
    program, line = await bound_program(run, peer)
    assert await code_of(program.call("list", timeoutMs=30)) == "timeout"
    await line.send(done(await line.expect("session.list", []), []))
    given = program.give("now")
    await line.serve_now(1)
    assert await given == 1


async def test_a_code_that_says_stay_away(run: Run, peer: Peer) -> None:
    """After 4500 the client is closed for good, says why, and does not come back."""
    program, line = await bound_program(run, peer)
    given = program.give("now")
    await line.command()
    await line.close(4500, "be fixed")
    assert await code_of(given) == "clientClosed"
    await program.enters("closed")
    assert await code_of(program.call("now")) == "clientClosed"
    seen = await program.look()
    assert (seen["state"], seen["error"]) == ("closed", "closedByServer")
    assert peer.has_no_more()


@pytest.mark.parametrize("code", [1012, 4499])
async def test_a_code_that_says_come_back(run: Run, peer: Peer, code: int) -> None:
    """One that the protocol names, and one that it does not: by its range."""
    program, line = await bound_program(run, peer)
    await line.close(code)
    await come_back(peer)
    assert await program.until("session.recovered") == {"recovered": False}


async def test_a_server_that_wants_a_session_first(run: Run, peer: Peer) -> None:
    """After 4000 a client without one comes back as soon as there is something to do."""
    program = await run(peer.url)
    line = await peer.accept()
    await line.close(4000, "no session in time")
    await program.enters("idle")
    assert peer.has_no_more()
    given = program.give("login", "anonymous")
    line = await peer.accept()
    id_ = await line.expect("session.login", ["anonymous"])
    await line.send(session_set(), bound(id_))
    assert (await given)["actorId"] == SESSION.actor_id


async def test_a_server_that_breaks_the_protocol(run: Run, peer: Peer) -> None:
    """The client hangs up with 4500, and comes back: another node may be well."""
    program, line = await bound_program(run, peer)
    await line.send(b"\xc1")
    assert await line.closed_with() == 4500
    await come_back(peer)
    await program.until("session.recovered")
    assert (await program.look())["state"] == "open"


async def test_a_draining_server_is_sent_nothing_more(run: Run, peer: Peer) -> None:
    """It would not read it. What is given after the event goes out on the next line."""
    program, line = await bound_program(run, peer)
    before = program.give("logout", "others")
    id_ = await line.expect("session.logout", [{"scope": "others"}])
    await line.send(encode(Event("server.draining", {"reconnectAfter": 100}, None)))
    await program.until("server.draining")
    after = program.give("login", "anonymous")
    await line.send(done(id_))
    await before
    assert await line.closed_with() == 1000  # And no command before it.
    line = await come_back(peer)
    id_ = await line.expect("session.login", ["anonymous"])
    await line.send(session_set(CURSOR + 2), bound(id_, CURSOR + 2))
    assert (await after)["actorId"] == SESSION.actor_id


class TestALaterServer:
    """Servers add; a client takes what it does not know as SPEC section 9 says."""

    async def test_events_and_fields(self, run: Run, peer: Peer) -> None:
        """Unknown fields are passed over, in every map; unknown events go to who hears them."""
        program, line = await bound_program(run, peer)
        unset = {"reason": "revoked", "id": SESSION.id, "mood": "grim"}
        asked = program.give("list")
        result = [wire_session(key=None, mood=None) | {"current": True}]
        await line.send(
            encode(Event("weather.changed", {"to": "rain"}, CURSOR + 1)),
            session_set(CURSOR + 2, mood={"good": True}, meta={"level": 2}),
            done(await line.expect("session.list", []), result),
            encode(Event("session.unset", unset, CURSOR + 3)),
        )
        [listed] = await asked
        assert listed["id"] == SESSION.id
        assert (await program.until("session.unset"))["reason"] == "revoked"
        assert program.names == [
            *("session.set", "weather.changed", "session.set", "session.unset"),
        ]
        assert program.told("session.set")[1]["meta"] == {"level": 2}

    async def test_a_reason(self, run: Run, peer: Peer) -> None:
        """One that is not known ends a session as any other."""
        program, line = await bound_program(run, peer)
        await line.send(session_unset("eatenByAGrue", CURSOR + 1))
        assert (await program.until("session.unset"))["reason"] == "eatenByAGrue"
        assert (await program.look())["key"] is None

    async def test_a_code_that_passes(self, run: Run, peer: Peer) -> None:
        """With `retryAfter` it says nothing of the session: the client asks again later."""
        program, line = await bound_program(run, peer)
        line.drop()
        line = await peer.accept()
        id_ = await line.expect("session.restore", [KEY, AFTER])
        await line.send(refused(id_, "notOnSundays", retryAfter=0.01, mood="calm"))
        assert await line.closed_with() == 1000
        await come_back(peer)
        await program.until("session.recovered")
        assert program.told("session.unset") == []

    async def test_a_code_that_ends_the_session(self, run: Run, peer: Peer) -> None:
        """Without it, a code that a restore is refused with is why the session ended."""
        program, line = await bound_program(run, peer)
        line.drop()
        line = await peer.accept()
        id_ = await line.expect("session.restore", [KEY, AFTER])
        await line.send(refused(id_, "eatenByAGrue", mood="grim"))
        unset = await program.until("session.unset")
        assert unset == {"reason": "eatenByAGrue", "id": SESSION.id}
        seen = await program.look()
        assert (seen["state"], seen["key"], seen["session"]) == ("open", None, None)

    async def test_a_refusal(self, run: Run, peer: Peer) -> None:
        """To any other command it is a refusal, and nothing else."""
        program, line = await bound_program(run, peer)
        given = program.give("list")
        id_ = await line.expect("session.list", [])
        await line.send(encode(Reply(id_, "notToday", {"message": "no", "mood": "grim"})))
        assert await code_of(given) == "notToday"
        assert (await program.look())["key"] == KEY
