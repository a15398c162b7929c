"""
The reference is about the code that there is.
"""

import asyncio
import logging
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import keystay
from keystay_server.cli.main import _parser
from keystay_server.settings.config import Config
from tests.support.doc_pages import PAGES, SOON_S, block_with, blocks, run, run_body
from tests.support.paths import ROOT
from tests.support.raw_client import connected
from tests.support.server_process import serving

CLI = (sys.executable, "-m", "keystay_server.cli")
PROOFS = ("docs/reference/promises.md", "docs/reference/owasp.md")


def test_the_generated_tables(tmp_path: Path) -> None:
    """The tables of requests, bodies and metrics are those of the code: `make reference`."""
    program = ROOT / "docs/site/reference.py"
    subprocess.run([sys.executable, program, tmp_path], check=True)
    written = {page.name: page.read_text() for page in tmp_path.iterdir()}
    assert len(written) >= 2
    for name, text in written.items():
        assert (ROOT / "docs/reference" / name).read_text() == text, name


async def test_the_python_page() -> None:
    """Each block of the SDK's page runs; the session module's example keeps the key."""
    first, handler, closed, example = blocks("docs/reference/python.md", "python")
    async with serving() as server, keystay.connect(server.url) as client:
        await run_body(first.replace("ws://127.0.0.1:8330", server.url), {"keystay": keystay})
        await run_body(handler, {"client": client})
        await run_body(closed, {"client": client})
        session = await client.login("anonymous")
        storage = {"sessionKey": session.key}
        async with keystay.connect(server.url) as other:
            events = other.events("session.set")
            names = {"client": other, "local_storage": storage}
            await run_body(example, {**names, "logger": logging.getLogger("example")})
            async with asyncio.timeout(SOON_S):
                await anext(events)
            assert other.session is not None
            assert storage == {"sessionKey": other.session.key}


def test_the_commands_on_the_python_page() -> None:
    """Every method that the page names is one of the client."""
    page = (ROOT / "docs/reference/python.md").read_text()
    for name in re.findall(r"[`@ ]client\.(?!md)(\w+)", page):
        assert hasattr(keystay.Client, name), name


async def test_a_retry_with_an_idempotency_key(tmp_path: Path) -> None:
    """The commands of the page get one session, twice."""
    retry = block_with("docs/reference/http-api.md", "sh", "Idempotency-Key")
    (tmp_path / "keystay.key").write_text("test-api-key\n")
    async with serving() as server:
        retry = retry.replace("http://127.0.0.1:8331", server.control)
        output = await run("sh", "-c", f"cd {tmp_path}; {retry}")
    assert output.count('"actorId":"player:8"') == 2
    assert len(set(re.findall(r'"key":"([^"]+)"', output))) == 1


async def test_an_event_from_the_command_line() -> None:
    """The command of the page sends an event."""
    commands = block_with("docs/reference/command-line.md", "sh", "emit").splitlines()
    [emit] = [line for line in commands if " emit " in line]
    async with serving() as server, connected(server.url) as client:
        await client.call("events.subscribe", ["news"])
        await client.login("player:8")
        await client.event()
        output = await run(
            *(*CLI, *shlex.split(emit)[1:]),
            KEYSTAY_CONTROL=server.control,
            KEYSTAY_API_KEY="test-api-key",
        )
        assert output.startswith("news.mail is sent to player:8")
        assert (await client.event())[:2] == ("news.mail", {"unread": 3})


def documented_commands() -> dict[str, set[str]]:
    """Each command on the page, with its flags."""
    page = (ROOT / "docs/reference/command-line.md").read_text()
    commands: dict[str, set[str]] = {}
    for row in re.findall(r"^\| (`keystay .*?) \|", page, re.MULTILINE):
        for usage in re.findall(r"`keystay ([^`]+)`", row):
            name = re.match(r"[a-z]+(?: [a-z]+)?", usage)
            assert name is not None
            commands.setdefault(name[0], set()).update(re.findall(r"--[a-z-]+", usage))
    return commands


def shown_commands() -> list[str]:
    """Each call of the command line that any page shows, in order."""
    shells = [block for page in PAGES for block in blocks(str(page.relative_to(ROOT)), "sh")]
    lines = [line.strip() for shell in shells for line in shell.splitlines()]
    return [line for line in lines if re.match(r"(\.venv/bin/)?keystay ", line)]


def test_every_command_that_a_page_shows_is_right() -> None:
    """Command and flags exist: what the parser refuses would end the test."""
    commands = shown_commands()
    assert len(commands) > 30
    for command in commands:
        words = shlex.split(command, comments=True)[1:]
        assert _parser().parse_args(words).run, command


async def test_every_command_is_on_the_page() -> None:
    """The page has each command that `--help` lists, with flags that the command has."""
    listed = set()
    for group in ((), ("session",), ("config",)):
        help_ = await run(*CLI, *group, "--help", COLUMNS="100")
        names = re.findall(r"^    ([a-z]+)(?: \([a-z, ]+\))?(?:  |$)", help_, re.MULTILINE)
        listed |= {" ".join((*group, name)) for name in names}
    documented = documented_commands()
    assert set(documented) == listed - {"session", "config"}
    for name, flags in documented.items():
        help_ = await run(*CLI, *name.split(), "--help")
        assert [flag for flag in flags if flag not in help_] == [], name


def test_the_settings_of_the_limits_page() -> None:
    """Every setting in its first table is one of the server."""
    page = (ROOT / "docs/reference/limits.md").read_text()
    named = re.findall(r"`(max_\w+|\w+_timeout_s)`", page)
    assert len(named) > 5
    assert set(named) <= {setting.name for setting in fields(Config)}


@pytest.mark.parametrize("page", PROOFS)
def test_every_named_test_exists(page: str) -> None:
    """A claim names its test by file and function, and the test is there."""
    named = re.findall(r"`(tests/\S+?)::([\w ]+)`", (ROOT / page).read_text())
    assert len(named) > 20
    for file, test in named:
        assert re.search(rf"def {test}\(", (ROOT / file).read_text()), f"{file}::{test}"


def test_every_promise_has_its_test() -> None:
    """Every row of the page of promises names a test."""
    page = (ROOT / "docs/reference/promises.md").read_text()
    promised, _, _ = page.partition("## What is not promised")
    rows = [row for row in promised.splitlines() if row.startswith("| ") and "| |" not in row]
    assert len(rows) > 30
    assert [row for row in rows if "::test_" not in row and "proved by" not in row] == []


def test_the_tests_that_decisions_name() -> None:
    """Every file of tests that a decision names by its path is there."""
    pages = sorted((ROOT / "docs/decisions").glob("*.md"))
    named = {
        path for page in pages for path in re.findall(r"`(tests/[\w/]+\.py)`", page.read_text())
    }
    assert len(named) > 10
    assert sorted(path for path in named if not (ROOT / path).exists()) == []
