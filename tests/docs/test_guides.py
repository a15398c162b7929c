"""
What the guides show works.
"""

import asyncio
import base64
import json
import re
import shlex
import shutil
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

import keystay
from keystay_protocol.codec import decode
from keystay_protocol.frames import Command, Reply
from keystay_server.feed.signing import Signer, read_secrets
from keystay_server.gateway.commands.signature import Row, string
from keystay_server.gateway.context import Context
from keystay_server.gateway.dispatch import Dispatcher
from keystay_server.stores.errors import StoreError
from keystay_server.stores.sqlite.schema import examine
from tests.support.certificate import make_certificate
from tests.support.doc_pages import SOON_S, block_with, blocks, run, run_body
from tests.support.paths import ROOT
from tests.support.raw_client import connected
from tests.support.server_process import ServerProcess, serving
from tests.support.valkey import running_valkey

CLI = (sys.executable, "-m", "keystay_server.cli")
has_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")


async def test_a_new_command() -> None:
    """The handler of the page about extending is one that the dispatcher runs."""
    echo_code, _ = blocks("docs/guides/extending.md", "python")
    names = await run_body(echo_code, {"Context": Context})
    dispatcher = Dispatcher({"debug.echo": Row(names["echo"], string("text"))}, deadline_s=1)
    reply = dispatcher.run(None, Command(1, "debug.echo", ["hello"]))  # type: ignore[arg-type]
    assert isinstance(reply, bytes)
    assert decode(reply) == Reply(1, None, "hello")


@asynccontextmanager
async def embedded(program: str, folder: Path) -> AsyncIterator[ServerProcess]:
    """A program that embeds the server, on free ports."""
    (folder / "embedded.py").write_text(program)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "embedded.py", cwd=folder, stdout=PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(SOON_S):
        server = ServerProcess(process, json.loads(await process.stdout.readline()))
        yield server
        assert await server.terminate() == 0


async def test_a_new_way_to_log_in(tmp_path: Path) -> None:
    """A program that embeds the server accepts whom its own authenticator accepts."""
    _, program = blocks("docs/guides/extending.md", "python")
    anywhere = 'Config(store="memory://", listen="127.0.0.1:0", control="127.0.0.1:0")'
    program = program.replace('Config(store="memory://")', anywhere).replace(
        "run(print)", "run(lambda ready: print(__import__('json').dumps(ready), flush=True))"
    )
    async with embedded(program, tmp_path) as server, connected(server.url) as client:
        error, result = await client.call("session.login", "ticket", "ticket-for-alice")
        assert (error, result["session"]["meta"]) == (None, {"seat": 12})
        assert (await client.call("session.login", "ticket", "?"))[0] == "loginFailed"


async def test_login_with_a_jwt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token of the page's backend opens a session, with the commands of the page."""
    page = "docs/guides/jwt-login.md"
    make_secret, serve = block_with(page, "sh", "jwt.secret").splitlines()
    backend, login = blocks(page, "python")
    monkeypatch.chdir(tmp_path)
    await run("sh", "-c", make_secret)
    names = await run_body(backend, {})
    flags = shlex.split(serve)[2:]
    async with serving(*flags, dev=False) as server, keystay.connect(server.url) as client:
        names = await run_body(login, {"client": client, "token": names["token_for"]("ada")})
    session = names["session"]
    assert (session.actor_id, session.meta, session.language) == ("ada", {"plan": "free"}, "en")


async def test_the_api_keys(tmp_path: Path) -> None:
    """The file of the page has two keys that the server accepts."""
    [keys] = blocks("docs/guides/keys.md", "toml")
    (tmp_path / "keys.toml").write_text(keys)
    async with serving("--api-keys-file", str(tmp_path / "keys.toml")) as server:
        shop = keystay.Control(server.control, "the-key-of-the-shop")
        support = keystay.Control(server.control, "ksa_a-key-of-32-random-bytes-in-base64url")
        async with shop, support:
            session = await shop.create_session("player:8")
            assert (await support.get_session(session.id)).actor_id == "player:8"
            with pytest.raises(keystay.Forbidden):
                await support.revoke_session(session.id)


@has_curl
async def test_tls_of_the_control_port(tmp_path: Path) -> None:
    """Command line and curl use a server with a certificate of an own authority."""
    commands = block_with("docs/guides/keys.md", "sh", "SSL_CERT_FILE")
    certificate, key = map(str, make_certificate(tmp_path))
    tls = ("--control-tls-cert", certificate, "--control-tls-key", key)
    (tmp_path / "keystay.key").write_text("test-api-key\n")
    async with serving(*tls) as server:
        url = server.control.replace("127.0.0.1", "localhost")
        commands = commands.replace("https://keystay.internal:8331", url)
        commands = commands.replace("/etc/ssl/our-authority.pem", certificate)
        commands = commands.replace("\nkeystay ", f"\n{' '.join(CLI)} ")
        output = await run("sh", "-c", f"cd {tmp_path}; set -e\n{commands}")
    assert server.url in output
    assert json.loads(output.splitlines()[-1])["nodes"][0]["listen"] == server.url


def test_the_check_of_a_webhook() -> None:
    """It accepts what the server signs, and neither another body nor an old request."""
    code = block_with("docs/guides/feed.md", "python", "is_genuine")
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


async def test_the_secret_of_a_webhook(tmp_path: Path) -> None:
    """The command makes a file that the server accepts, and with `>>` adds a second secret."""
    command = block_with("docs/guides/feed.md", "sh", "whsec_")
    file = str(tmp_path / "webhook.secret")
    await run("sh", "-c", f"cd {tmp_path} && {command}")
    [first] = read_secrets(file)
    await run("sh", "-c", f"cd {tmp_path} && {command.replace('>', '>>')}")
    old, new = read_secrets(file)
    assert first == old != new


@has_curl
async def test_the_feed() -> None:
    """curl prints the changes of sessions, in the form that the page shows."""
    command = block_with("docs/guides/feed.md", "sh", "/v1/feed")
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


async def test_doctor(tmp_path: Path) -> None:
    """The command of the production checklist examines a Valkey."""
    doctor = block_with("docs/guides/production.md", "sh", "doctor")
    with running_valkey(tmp_path, "--appendonly", "yes") as valkey:
        url = valkey.url().partition("?")[0]
        words = shlex.split(doctor.replace("redis://127.0.0.1:6379/0", url))[1:]
        output = await run(*CLI, *words, KEYSTAY_API_KEY="k" * 40)
    assert "can be reached" in output


def backup_commands() -> list[str]:
    """The commands of the page on backups, but for those that stop and start the server."""
    return [
        "\n".join(line for line in block.splitlines() if "systemctl" not in line)
        for block in blocks("docs/guides/backup.md", "sh")
    ]


@pytest.mark.long  # It needs the program sqlite3.
async def test_a_damaged_file_is_recovered(tmp_path: Path) -> None:
    """What can be read of it: a session is live again, and the server starts."""
    *_, recover = backup_commands()
    path = tmp_path / "keystay.db"
    store = ("--store", f"sqlite:///{path}")
    async with serving(*store) as server:
        async with connected(server.url) as client:
            key = await client.login("ada")
        assert await server.terminate() == 0
    with closing(sqlite3.connect(path)) as db:
        # An index is enough: no row is lost with it.
        (page,) = db.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'sessions_by_deadline'"
        ).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    with pytest.raises(StoreError, match="is damaged"):
        examine(str(path))
    await run("sh", "-c", f"cd {tmp_path}; set -e\n{recover}")
    async with serving(*store) as server, connected(server.url) as client:
        assert (await client.call("session.isValid", key))[0] is None


async def test_a_backup_and_its_restore(tmp_path: Path) -> None:
    """A session that was in the backup is live again; a later one is unknown."""
    backup, restore, _ = backup_commands()
    store = ("--store", f"sqlite:///{tmp_path}/keystay.db")

    async def logged_in(actor: str) -> str:
        async with serving(*store) as server:
            async with connected(server.url) as client:
                key = await client.login(actor)
            assert await server.terminate() == 0
        return key

    kept = await logged_in("ada")
    await run("sh", "-c", f"cd {tmp_path}; set -e\n{backup}")
    late = await logged_in("bob")
    await run("sh", "-c", f"cd {tmp_path}; set -e\n{restore}")
    async with serving(*store) as server, connected(server.url) as client:
        assert (await client.call("session.isValid", kept))[0] is None
        assert (await client.call("session.isValid", late))[0] == "noSession"


def log_texts() -> str:
    """All string literals of the server, joined over line ends."""
    sources = "\n".join(
        file.read_text() for file in sorted((ROOT / "server/keystay_server").rglob("*.py"))
    )
    return re.sub(r'"\s*\n\s*f?"', "", sources)


def test_the_symptoms_of_the_troubleshooting_page() -> None:
    """Each log line and error text that the page explains is one that the server writes."""
    page = (ROOT / "docs/guides/troubleshooting.md").read_text()
    shown = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    texts = log_texts() + (ROOT / "protocol/SPEC.md").read_text()
    parts = [part.strip() for line in shown for part in line.split("...") if part.strip()]
    assert len(parts) > 20
    assert [part for part in parts if part not in texts] == []
