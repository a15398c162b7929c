"""
`keystay stats`: the nodes in a table.
"""

import asyncio
import json

import pytest

from tests.support.raw_client import connected
from tests.support.server.shell import SOON_S, keystay, on_terminal, running
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_programs_get_the_document_of_the_server(
    server: ServerProcess, env: dict[str, str]
) -> None:
    """`--json` is the answer of `GET /v1/stats`."""
    answer = json.loads(keystay("stats", "--json", env=env).stdout)
    [node] = answer["nodes"]
    assert node["id"] == answer["node"]
    assert node["listen"] == server.url


async def test_people_get_a_line_for_each_node(
    server: ServerProcess, env: dict[str, str]
) -> None:
    """The one that answers is marked; numbers are not rounded."""
    async with connected(server.url) as client:
        await client.login("stats:2")
        done = keystay("stats", env=env)
    head, row = done.stdout.splitlines()
    assert head.split()[:4] == ["NODE", "LISTENS", "ON", "VERSION"]
    cells = row.split()
    assert cells[0].endswith("*")
    assert cells[1] == server.url
    assert cells[3] == "serving"


async def test_a_terminal_gets_a_table(env: dict[str, str]) -> None:
    """With colours and lines; the words are the same."""
    said = await on_terminal("stats", env=env)
    assert "NODE" in said
    assert "\x1b[" in said
    assert "─" in said
    assert "serving" in said


async def test_it_goes_on_with_rates(server: ServerProcess, env: dict[str, str]) -> None:
    """`--watch` shows the nodes every second; from the second time on with rates."""
    async with (
        running("stats", "--watch", env=env) as watching,
        connected(server.url) as client,
        asyncio.timeout(SOON_S),
    ):
        assert watching.stdout is not None
        assert b"COMMANDS/s" not in await watching.stdout.readline()
        await watching.stdout.readline()
        for _ in range(20):
            await client.call("time.now")
        assert b"COMMANDS/s" in await watching.stdout.readline()
        commands_per_s, events_per_s = (await watching.stdout.readline()).split()[-2:]
    assert float(commands_per_s) > 1
    assert float(events_per_s) == 0


async def test_many_answers_are_one_json_object_a_line(env: dict[str, str]) -> None:
    """`--watch --json` is for programs that draw curves."""
    async with running("stats", "--watch", "--json", env=env) as watching:
        assert watching.stdout is not None
        async with asyncio.timeout(SOON_S):
            answers = [json.loads(await watching.stdout.readline()) for _ in range(2)]
    first, second = (answer["nodes"][0] for answer in answers)
    assert first["seenAt"] < second["seenAt"]
