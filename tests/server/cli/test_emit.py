"""
`keystay emit` and `keystay broadcast`: events from operators to clients.
"""

import json

import pytest

from tests.support.raw_client import connected
from tests.support.server.shell import keystay
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_event_reaches_whom_it_is_for(
    server: ServerProcess, env: dict[str, str]
) -> None:
    """An actor, one session, or all connections; its data is JSON, null without any."""
    async with connected(server.url) as client:
        await client.call("events.subscribe", ["news"])
        key = await client.login("emit:1")
        session_id = (await client.event())[1]["id"]
        words = ("emit", "emit:1", "news", '{"level": 3}', "--json")
        done = keystay(*words, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        cursor = json.loads(done.stdout)["cursor"]
        assert await client.event() == ("news", {"level": 3}, cursor)
        done = keystay("emit", "--session", session_id, "news", env=env)
        assert done.stdout.startswith(f"news is sent to {session_id}, with the cursor ")
        assert (await client.event())[:2] == ("news", None)
        for command in (("broadcast",), ("emit", "--all")):
            done = keystay(*command, "news", '"hello"', env=env)
            assert done.stdout == "news is sent to all open connections\n"
            assert await client.event() == ("news", "hello", None)
        assert (await client.call("session.isValid", key))[0] is None


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("nobody",), 2, "keystay emit: give ACTOR NAME [DATA]"),
        (("--all", "news", "1", "2"), 2, "keystay emit: give NAME [DATA]"),
        (("nobody", "news", "{"), 2, "keystay emit: DATA must be JSON"),
        (("--all", "--session", "x", "news"), 2, "keystay emit: argument --session: not"),
        (("--session", "nobody", "news"), 1, "keystay: no live session has this id"),
        (("nobody", "session.set"), 1, "keystay: name"),
    ],
)
async def test_what_makes_no_sense_is_one_line(
    env: dict[str, str], words: tuple[str, ...], code: int, why: str
) -> None:
    """Wrong usage exits with 2, what the server refuses with 1."""
    done = keystay("emit", *words, env=env)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(why)
    assert done.stderr.count("\n") == 1
