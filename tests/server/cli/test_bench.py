"""
`keystay bench`: a server measured from the clients' side.
"""

import json
from subprocess import CompletedProcess

import pytest

from tests.support.server.shell import keystay
from tests.support.server_process import ServerProcess, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")


def bench(*words: str) -> "CompletedProcess[str]":
    """Run it; it needs nothing from the environment."""
    return keystay("bench", *words, env={})


SHORT = ("--seconds", "0.3", "--connections", "4")


async def test_programs_get_the_figures_of_each_command(server: ServerProcess) -> None:
    """How many, how often in a second, the quantiles, and which errors there were."""
    mix = "isValid=2,restore=1,list=1,now=1"
    done = bench(server.url, *SHORT, "--mix", mix, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert set(answer["commands"]) == {"login", "isValid", "restore", "list", "now"}
    assert answer["commands"]["login"]["count"] == 4
    for row in answer["commands"].values():
        assert row["errors"] == {}
        assert row["count"] > 0
        assert 0 < row["p50Ms"] <= row["p90Ms"] <= row["p99Ms"] <= row["maxMs"]
    assert 0.3 <= answer["seconds"] < 5


async def test_people_get_a_table_and_a_histogram(server: ServerProcess) -> None:
    """And how busy the client itself was."""
    done = bench(server.url, *SHORT, "--mix", "now=1")
    head, login, now, *rest = done.stdout.splitlines()
    assert head.split()[0] == "COMMAND"
    assert (login.split()[0], now.split()[0]) == ("login", "now")
    assert any(line.startswith("up to") and "#" in line for line in rest)
    assert "of a core" in rest[-1]


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["ws://203.0.113.7:8330"], 1, "add --yes"),
        (["ws://127.0.0.1:1", *SHORT], 1, "ws://127.0.0.1:1"),
        (["ws://127.0.0.1:1", "--mix", "shout=1"], 2, "isValid"),
        (["ws://127.0.0.1:1", "--mix", "now=0"], 2, "not all 0"),
        (["ws://127.0.0.1:1", "--connections", "100000"], 2, "from 1 to 5000"),
        (["ws://127.0.0.1:1", "--seconds", "1e9"], 2, "at most 600 s"),
    ],
)
async def test_what_it_refuses(words: list[str], code: int, error: str) -> None:
    """Another machine without --yes, a server that does not answer, and sizes too large."""
    done = bench(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert error in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_server_without_anonymous_login_is_named() -> None:
    """Sessions are opened by anonymous login, as `--dev` allows it."""
    async with serving(dev=False) as server:
        done = bench(server.url, *SHORT)
    assert done.returncode == 1
    assert "log in" in done.stderr
