"""
Every example in the documentation does what it says.
"""

import asyncio
import base64
import json
import logging
import os
import re
import shlex
import shutil
import sys
import textwrap
import time
from asyncio.subprocess import PIPE
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import keystay
from keystay_server.feed.signing import Signer, read_secrets
from keystay_server.gateway.commands.signature import Row, string
from keystay_server.gateway.context import Context
from keystay_server.gateway.dispatch import Dispatcher
from keystay_server.settings.config import Config
from keystay_server.telemetry.catalogue import METRICS
from tests.support.certificate import make_certificate
from tests.support.paths import ROOT
from tests.support.raw_client import connected
from tests.support.server_process import ServerProcess, serving
from tests.support.valkey import running_valkey

PAGES = sorted(
    page
    for pattern in ("*.md", "*/*.md", "docs/*/*.md", "examples/*/*.md")
    for page in ROOT.glob(pattern)
)
SOON_S = 20.0


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page, in order."""
    text = (ROOT / page).read_text()
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(code) for _, code in found]


async def run(*command: str, **environment: str) -> str:
    """Run a program; return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=PIPE, env={**os.environ, **environment}
    )
    async with asyncio.timeout(SOON_S):
        output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


async def test_the_program_in_the_readme(tmp_path: Path) -> None:
    """The first program that a newcomer copies prints what it says."""
    [program] = blocks("README.md", "python")
    async with serving() as server:
        (tmp_path / "try.py").write_text(program.replace("ws://127.0.0.1:8330", server.url))
        output = await run(sys.executable, str(tmp_path / "try.py"))
    assert re.fullmatch(r"sessions: \['\S+'\]\nsession\.unset loggedOut\n", output)


async def test_the_command_line_in_the_readme() -> None:
    """A session is created, listed and ended by the commands that the README shows."""
    [shell] = [block for block in blocks("README.md", "sh") if "session create" in block]
    create, show, end = shell.splitlines()
    async with serving() as server:

        async def keystay_prints(line: str, *more: str) -> str:
            words = shlex.split(line, comments=True)[1:]
            return await run(
                *(sys.executable, "-m", "keystay_server.cli", *words, *more),
                KEYSTAY_CONTROL=server.control,
                KEYSTAY_API_KEY="test-api-key",
            )

        created = json.loads(await keystay_prints(create, "--json"))
        assert created["meta"] == {"name": "Ada"}
        assert created["id"] in await keystay_prints(show)
        await keystay_prints(end.replace(" ID ", f" {created['id']} "))
        async with connected(server.url) as client:
            assert (await client.call("session.isValid", created["key"]))[0] == "banned"


async def run_body(code: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run a block as the body of a coroutine; return the names that it made."""
    body = textwrap.indent(code + "\nglobals().update(locals())", "    ")
    exec(f"async def body():\n{body}", names)
    await names["body"]()
    return names


async def test_the_python_page() -> None:
    """Each block of the SDK's page runs; the session module's example keeps the key."""
    first, handler, closed, example = blocks("docs/python.md", "python")
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


async def test_the_commands_on_the_python_page_exist() -> None:
    """Every method that the page names is one of the client."""
    page = (ROOT / "docs/python.md").read_text()
    for name in re.findall(r"client\.(\w+)", page):
        assert hasattr(keystay.Client, name), name


async def test_the_new_command_of_the_extending_page() -> None:
    """The handler that the page shows is one that the dispatcher runs."""
    echo_code, _ = blocks("docs/extending.md", "python")
    names = await run_body(echo_code, {"Context": Context})
    dispatcher = Dispatcher({"debug.echo": Row(names["echo"], string("text"))}, deadline_s=1)
    from keystay_protocol.codec import decode
    from keystay_protocol.frames import Command, Reply

    reply = dispatcher.run(None, Command(1, "debug.echo", ["hello"]))  # type: ignore[arg-type]
    assert isinstance(reply, bytes)
    assert decode(reply) == Reply(1, None, "hello")


async def test_the_authenticator_of_the_extending_page(tmp_path: Path) -> None:
    """A program that embeds the server lets in whom its own authenticator lets in."""
    _, program = blocks("docs/extending.md", "python")
    anywhere = 'Config(store="memory://", listen="127.0.0.1:0", control="127.0.0.1:0")'
    program = program.replace('Config(store="memory://")', anywhere).replace(
        "run(print)", "run(lambda ready: print(__import__('json').dumps(ready), flush=True))"
    )
    (tmp_path / "embedded.py").write_text(program)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "embedded.py", cwd=tmp_path, stdout=PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(SOON_S):
        server = ServerProcess(process, json.loads(await process.stdout.readline()))
        async with connected(server.url) as client:
            error, result = await client.call("session.login", "ticket", "ticket-for-alice")
            assert (error, result["session"]["meta"]) == (None, {"seat": 12})
            assert (await client.call("session.login", "ticket", "?"))[0] == "loginFailed"
        assert await server.terminate() == 0


async def test_the_api_keys_on_the_operations_page(tmp_path: Path) -> None:
    """The file that the page shows has two keys that are good, and the commands run."""
    [keys] = blocks("docs/operations.md", "toml")
    [retry] = [code for code in blocks("docs/operations.md", "sh") if "Idempotency-Key" in code]
    (tmp_path / "keys.toml").write_text(keys)
    (tmp_path / "keystay.key").write_text("the-key-of-the-shop\n")
    async with serving("--api-keys-file", str(tmp_path / "keys.toml")) as server:
        commands = retry.replace("http://127.0.0.1:8331", server.control)
        output = await run("sh", "-c", f"cd {tmp_path}; {commands}")
    assert output.count('"actorId":"player:8"') == 2
    assert len(set(re.findall(r'"key":"([^"]+)"', output))) == 1


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
async def test_tls_of_the_control_port_on_the_operations_page(tmp_path: Path) -> None:
    """Command line and curl ask a server with a certificate that nobody else trusts."""
    [commands] = [
        code for code in blocks("docs/operations.md", "sh") if "SSL_CERT_FILE" in code
    ]
    certificate, key = map(str, make_certificate(tmp_path))
    tls = ("--control-tls-cert", certificate, "--control-tls-key", key)
    (tmp_path / "keystay.key").write_text("test-api-key\n")
    async with serving(*tls) as server:
        url = server.control.replace("127.0.0.1", "localhost")
        commands = commands.replace("https://keystay.internal:8331", url)
        commands = commands.replace("/etc/ssl/our-authority.pem", certificate)
        command = f"{sys.executable} -m keystay_server.cli"
        commands = commands.replace("\nkeystay ", f"\n{command} ")
        output = await run("sh", "-c", f"cd {tmp_path}; set -e\n{commands}")
    assert server.url in output
    assert json.loads(output.splitlines()[-1])["nodes"][0]["listen"] == server.url


def test_the_check_of_a_webhook_on_the_operations_page() -> None:
    """It accepts what the server signs, and neither another body nor an old request."""
    [code] = blocks("docs/operations.md", "python")
    names: dict[str, Any] = {}
    exec(code, names)
    old, new, now = bytes(range(32)), b"x" * 32, round(time.time())
    text = f"whsec_{base64.b64encode(new).decode()}"
    for secrets, at, body, is_genuine in (
        ([new], now, b"{}", True),
        ([old, new], now, b"{}", True),
        ([old], now, b"{}", False),
        ([new], now, b"[]", False),
        ([new], 1, b"{}", False),
    ):
        headers = Signer(lambda: secrets).headers("msg_1", at, b"{}")  # noqa: B023 - read here
        assert names["is_genuine"](headers, body, text) is is_genuine


async def test_the_secret_of_a_webhook_on_the_operations_page(tmp_path: Path) -> None:
    """The command makes a file that the server takes, and with `>>` another secret in it."""
    [command] = [code for code in blocks("docs/operations.md", "sh") if "whsec_" in code]
    file = str(tmp_path / "webhook.secret")
    await run("sh", "-c", f"cd {tmp_path} && {command}")
    [first] = read_secrets(file)
    await run("sh", "-c", f"cd {tmp_path} && {command.replace('>', '>>')}")
    old, new = read_secrets(file)
    assert first == old != new


async def test_the_feed_on_the_operations_page() -> None:
    """curl prints what becomes of a session, in the form that the page shows."""
    [command] = [code for code in blocks("docs/operations.md", "sh") if "/v1/feed" in code]
    async with serving() as server:
        command = command.replace("http://127.0.0.1:8331", server.control)
        command = command.replace("$(cat keystay.key)", "test-api-key")
        listening = await asyncio.create_subprocess_shell(f"exec {command}", stdout=PIPE)
        assert listening.stdout is not None
        try:
            async with asyncio.timeout(SOON_S):
                await listening.stdout.readuntil(b"\n\n")
                async with connected(server.url) as client:
                    await client.login("player:8")
                lines = (await listening.stdout.readuntil(b"\n\n")).decode().split("\n")
        finally:
            listening.kill()
            await listening.communicate()
    names = [line.partition(": ")[0] for line in lines if line]
    assert (names, lines[1]) == (["id", "event", "data"], "event: session.set")
    assert json.loads(lines[2].removeprefix("data: "))["actorId"] == "player:8"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of the documentation leads to a file."""
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / link).exists(), link


def test_every_promise_has_its_test() -> None:
    """Every test that the page of promises names is there."""
    page = (ROOT / "docs/promises.md").read_text()
    named = re.findall(r"`(tests/\S+?)::(\w+)`", page)
    rows = [
        row for row in page.splitlines() if row.startswith("| ") and not row.startswith("| **")
    ]
    assert all("::test_" in row for row in rows if not row.startswith("| |"))
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(), test


def test_the_metrics_on_the_operations_page_are_those_of_the_code() -> None:
    """Name, kind, labels and meaning, in the order of the table in the code."""
    page = (ROOT / "docs/operations.md").read_text()
    rows = re.findall(r"^\| `(keystay_\w+)` \| (\w+)(.*?) \| (.*) \|$", page, re.MULTILINE)
    told = [
        (name, kind, tuple(re.findall(r"`(\w+)`", labels)), meaning)
        for name, kind, labels, meaning in rows
    ]
    assert told == [
        (metric.name, metric.kind, metric.labels, metric.meaning) for metric in METRICS
    ]
    known = {metric.name for metric in METRICS}
    assert set(re.findall(r"`(keystay_\w+)`", page)) <= known


async def test_the_commands_on_the_operations_page(tmp_path: Path) -> None:
    """Each line of the command line that the page shows is one that works."""
    [shell] = [block for block in blocks("docs/operations.md", "sh") if "emit" in block]
    [doctor] = [block for block in blocks("docs/operations.md", "sh") if "doctor" in block]
    emit, *_ = shell.splitlines()
    with running_valkey(tmp_path, "--appendonly", "yes") as valkey:
        url = valkey.url().partition("?")[0]
        words = shlex.split(doctor.replace("redis://127.0.0.1:6379/0", url))[1:]
        said = await run(
            *(sys.executable, "-m", "keystay_server.cli", *words), KEYSTAY_API_KEY="k" * 40
        )
    assert "can be reached" in said
    async with serving() as server, connected(server.url) as client:
        await client.call("events.subscribe", ["news"])
        await client.login("player:8")
        await client.event()
        said = await run(
            *(sys.executable, "-m", "keystay_server.cli", *shlex.split(emit)[1:]),
            KEYSTAY_CONTROL=server.control,
            KEYSTAY_API_KEY="test-api-key",
        )
        assert said.startswith("news.mail is sent to player:8")
        assert (await client.event())[:2] == ("news.mail", {"unread": 3})


def test_the_settings_on_the_operations_page_exist() -> None:
    """Every setting that the page names is one of the server, with the default it says."""
    settings = {setting.name: setting.default for setting in fields(Config)}
    page = (ROOT / "docs/operations.md").read_text()
    named = re.findall(r"`(max_\w+|\w+_timeout_s)`", page)
    assert named
    assert [name for name in named if name not in settings] == []
