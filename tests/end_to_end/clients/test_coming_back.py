"""
Lines that break and servers that end, and what a program has to do about it: nothing.
"""

from pathlib import Path

import pytest

import keystay
from tests.end_to_end.clients.conftest import API_KEY, Run
from tests.support.client_py.relay import Relay, relay_to
from tests.support.end_to_end.program import Program, code_of
from tests.support.server_process import ServerProcess, serving
from tests.support.valkey import Valkey

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def lose_line(program: Program, relay: Relay) -> None:
    """Cut the line, and wait until the client has noticed."""
    relay.cut()
    await program.enters("reconnecting")


async def test_a_network_that_breaks(
    run: Run, server: ServerProcess, backend: keystay.Control
) -> None:
    """
    What was missed is heard in order and once, then that it was all; commands given
    meanwhile are carried out, and subscriptions are as they were.
    """
    async with relay_to(server.url) as relay:
        program = await run(relay.url)
        session = await program.call("login", "anonymous")
        await program.call("subscribe", "n")
        await backend.emit_to_session(session["id"], "n", 0)
        await program.until("n")
        await lose_line(program, relay)
        for number in range(1, 6):
            await backend.emit_to_session(session["id"], "n", number)
        await backend.update_session(session["id"], meta={"level": 2})
        waiting = [program.give("list"), program.give("isValid", "no key")]
        relay.mend()
        assert await program.until("session.recovered") == {"recovered": True}
        await backend.emit_to_session(session["id"], "n", 6)
        await program.until("n", 7)
        assert program.told("n") == list(range(7))
        # That of the login, that of the change, and that of the restore.
        assert [told["meta"] for told in program.told("session.set")] == [
            *({}, {"level": 2}, {"level": 2}),
        ]
        assert program.names[-2:] == ["session.recovered", "n"]
        assert [each["id"] for each in await waiting[0]] == [session["id"]]
        assert await code_of(waiting[1]) == "invalidSessionKey"
        seen = await program.look()
        assert (seen["state"], seen["recovered"]) == ("open", True)


async def test_a_history_that_does_not_reach_back(
    run: Run, strict_server: ServerProcess
) -> None:
    """Who was away for too much has the session as it is now, and is told of the gap."""
    async with (
        relay_to(strict_server.url) as relay,
        keystay.Control(strict_server.control, API_KEY) as backend,
    ):
        program = await run(relay.url, paths=["session", "n"])
        session = await program.call("login", "anonymous")
        await lose_line(program, relay)
        await backend.update_session(session["id"], meta={"level": 2})
        for number in range(6):
            await backend.emit_to_session(session["id"], "n", number)
        relay.mend()
        assert await program.until("session.recovered") == {"recovered": False}
        assert program.names == ["session.set", "session.set", "session.recovered"]
        seen = await program.look()
        assert (seen["session"]["meta"], seen["recovered"]) == ({"level": 2}, False)


async def test_a_session_that_ended_meanwhile(
    run: Run, server: ServerProcess, backend: keystay.Control
) -> None:
    """The program hears why, and of no recovery; the client is open, without a session."""
    async with relay_to(server.url) as relay:
        program = await run(relay.url)
        session = await program.call("login", "anonymous")
        await lose_line(program, relay)
        await backend.revoke_session(session["id"], reason="banned")
        relay.mend()
        assert await program.until("session.unset") == {"reason": "banned", "id": session["id"]}
        assert await code_of(program.call("list")) == "noSession"
        assert program.names == ["session.set", "session.unset"]
        seen = await program.look()
        assert (seen["state"], seen["key"], seen["recovered"]) == ("open", None, None)


async def test_a_line_that_breaks_without_a_session(
    run: Run, server: ServerProcess, backend: keystay.Control
) -> None:
    """Who has none missed nothing and is told nothing; what is subscribed to stays so."""
    async with relay_to(server.url) as relay:
        program = await run(relay.url, paths=["chat"])
        await lose_line(program, relay)
        relay.mend()
        await program.call("now")
        await backend.broadcast("chat", "hi")
        await program.until("chat")
        assert program.heard == [("chat", "hi")]
        assert (await program.look())["recovered"] is None


async def test_a_login_while_the_network_is_away(run: Run, server: ServerProcess) -> None:
    """It was not sent, so it is not lost: it is carried out when there is a line."""
    async with relay_to(server.url) as relay:
        program = await run(relay.url)
        await program.call("now")
        await lose_line(program, relay)
        waiting = program.give("login", "anonymous")
        relay.mend()
        session = await waiting
        assert (await program.look())["session"] == session


async def test_a_server_that_is_killed(run: Run, tmp_path: Path) -> None:
    """On SQLite the session lives on, and what was said before the kill is heard after it."""
    store = ("--store", f"sqlite:///{tmp_path}/keystay.db")
    async with serving(*store) as first, relay_to(first.url) as relay:
        program = await run(relay.url, paths=["session", "n"])
        session = await program.call("login", "anonymous")
        await lose_line(program, relay)
        async with keystay.Control(first.control, API_KEY) as backend:
            for number in range(3):
                await backend.emit_to_session(session["id"], "n", number)
        await first.kill()
        waiting = program.give("list")
        async with serving(*store) as second:
            relay.mend(second.url)
            assert [each["id"] for each in await waiting] == [session["id"]]
            assert await program.until("session.recovered") == {"recovered": True}
            assert program.told("n") == [0, 1, 2]
            await program.close()


async def test_a_node_that_goes_away(run: Run, valkey: Valkey) -> None:
    """
    Programs move to another node: who has a session hears everything, and a login that is
    given meanwhile, which could not be sent twice, is not lost.
    """
    store = ("--store", valkey.url())
    async with (
        serving(*store) as first,
        serving(*store) as second,
        relay_to(first.url) as relay,
        keystay.Control(second.control, API_KEY) as backend,
    ):
        player = await run(relay.url, paths=["session", "n"])
        newcomer = await run(relay.url)
        session = await player.call("login", "anonymous")
        relay.mend(second.url)  # As a balancer would: for those who come from now on.
        first.process.terminate()
        for program in (player, newcomer):
            assert (await program.until("server.draining"))["reconnectAfter"] >= 0
        waiting = newcomer.give("login", "anonymous", {"actorId": "newcomer"})
        for number in range(5):
            await backend.emit_to_session(session["id"], "n", number)
        assert await first.process.wait() == 0
        assert (await waiting)["actorId"] == "newcomer"
        assert await player.until("session.recovered") == {"recovered": True}
        await player.until("n", 5)
        assert player.told("n") == list(range(5))
        for program in (player, newcomer):
            await program.close()
