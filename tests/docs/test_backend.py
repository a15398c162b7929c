"""
The examples for backends do what they say, and clients are notified.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import shutil
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

import keystay
from keystay_protocol.session import split_key
from tests.client_py.control.test_events import SET, UNSET
from tests.support.client_py.feed_peer import feed_peer
from tests.support.client_py.http_peer import SESSION
from tests.support.doc_pages import SOON_S, block_with, blocks, run_body
from tests.support.paths import ROOT
from tests.support.raw_client import RawClient, connected
from tests.support.server_process import ServerProcess, serving

PAGE = "docs/reference/control.md"
FEED = "docs/guides/feed.md"
API_KEY = "test-api-key"


@asynccontextmanager
async def browser(server: ServerProcess, key: str) -> AsyncIterator[RawClient]:
    """A client made from the specification, which has restored this key."""
    async with connected(server.url) as client:
        assert (await client.call("events.subscribe", ["session", "shop"]))[0] is None
        assert (await client.call("session.restore", key))[0] is None
        name, session, _ = await client.event()
        assert (name, session["meta"]) == ("session.set", {"plan": "free"})
        yield client


async def gets_the_story(client: RawClient) -> None:
    """Hear what the page's backends do, in order."""
    name, session, _ = await client.event()
    assert (name, session["meta"]) == ("session.set", {"plan": "gold"})
    assert (await client.event())[:2] == ("shop.bought", {"item": "lamp"})
    name, end, _ = await client.event()
    assert (name, end["reason"], end["id"]) == ("session.unset", "banned", session["id"])


@asynccontextmanager
async def script(
    server: ServerProcess, directory: Path, *words: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The page's script, running."""
    text = block_with("docs/start/backend.md", "sh", "#!/bin/sh")
    (directory / "login.sh").write_text(text)
    process = await asyncio.create_subprocess_exec(
        *("sh", "login.sh", *words),
        cwd=directory,
        stdin=PIPE,
        stdout=PIPE,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "KEYSTAY_CONTROL": server.control,
            "KEYSTAY_API_KEY": API_KEY,
        },
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
async def test_a_login_with_curl(tmp_path: Path) -> None:
    """A shell script opens a session, and its browser gets every event of it."""
    async with serving() as server, script(server, tmp_path, "ada", "correct horse") as backend:
        assert backend.stdin is not None
        assert backend.stdout is not None
        async with asyncio.timeout(SOON_S):
            key = (await backend.stdout.readline()).decode().strip()
            assert split_key(key)[0] == "user:ada"
            async with browser(server, key) as client:
                backend.stdin.write(b"\n")
                await gets_the_story(client)
                assert (await client.call("session.isValid", key))[0] == "banned"
            assert await backend.wait() == 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
async def test_a_wrong_password_with_curl(tmp_path: Path) -> None:
    """Whoever does not know the password gets no session."""
    async with serving() as server, script(server, tmp_path, "ada", "wrong") as backend:
        async with asyncio.timeout(SOON_S):
            output, _ = await backend.communicate()
        assert (backend.returncode, output) == (1, b"")
        async with keystay.Control(server.control, API_KEY) as control:
            assert [session async for session in control.list_sessions("user:ada")] == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
async def test_a_refusal_ends_the_script(tmp_path: Path) -> None:
    """With a wrong API key it stops at once, and hands out nothing."""
    async with (
        serving(env={"KEYSTAY_API_KEY": "another-key"}) as server,
        script(server, tmp_path, "ada", "correct horse") as backend,
    ):
        async with asyncio.timeout(SOON_S):
            output, _ = await backend.communicate()
        assert backend.returncode != 0
        assert b"kst_" not in output


async def test_a_login_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same life of a session, with `keystay.Control`."""
    [login] = blocks(PAGE, "python")
    monkeypatch.setenv("KEYSTAY_API_KEY", API_KEY)
    async with serving() as server, asyncio.timeout(SOON_S):
        browsers: list[asyncio.Task[None]] = []

        async def answer(key: str) -> None:
            has_restored = asyncio.Event()

            async def be_the_browser() -> None:
                async with browser(server, key) as client:
                    has_restored.set()
                    await gets_the_story(client)

            browsers.append(asyncio.create_task(be_the_browser()))
            await has_restored.wait()

        code = login.replace("http://127.0.0.1:8331", server.control)
        await run_body(code, {"answer": answer})
        await asyncio.gather(*browsers)


async def test_the_feed_of_the_page() -> None:
    """The program knows each session that there is, and where it left off."""
    listen = block_with(FEED, "python", "control.feed")
    plans: dict[str, Any] = {"gone": "gold"}
    positions: list[str | None] = []
    has_all = asyncio.Event()

    def save_position(position: str | None) -> None:
        positions.append(position)
        if len(positions) == 3:
            has_all.set()

    async with feed_peer() as feed, keystay.Control(feed.url, API_KEY) as control:
        feed.say("session.unset", **UNSET)
        feed.forget()
        names = {
            "control": control,
            "keystay": keystay,
            "plans": plans,
            "load_position": lambda: "p0",
            "save_position": save_position,
        }
        program = asyncio.create_task(run_body(listen, names))
        async with asyncio.timeout(SOON_S):
            await feed.arrival()
            session = {**SESSION, "meta": {"plan": "free"}}
            feed.say("session.set", **{**SET, "session": session})
            feed.say("session.unset", **UNSET)
            await has_all.wait()
        program.cancel()
        await asyncio.gather(program, return_exceptions=True)
    assert plans == {session["id"]: "free"}
    assert positions == ["p1", "p2", "p3"]


async def test_the_webhook_of_the_page() -> None:
    """Each event is handled once, however often it comes; what is not signed, never."""
    endpoint = block_with(FEED, "python", "verify_webhook")
    key = bytes(range(32))
    handled: list[Any] = []

    async def handle(event: Any) -> None:
        handled.append(event)

    async def load_anew() -> None:
        handled.clear()

    names: dict[str, Any] = {
        "keystay": keystay,
        "secret": "whsec_" + base64.b64encode(key).decode(),
        "newest": {},
        "load_anew": load_anew,
        "handle": handle,
    }
    names = await run_body(endpoint, names)
    app = Starlette(routes=[Route("/", names["webhook"], methods=["POST"])])
    events = [{"type": "feed.lost"}, {"type": "session.unset", **UNSET}]
    body = json.dumps({"events": events}).encode()
    sent_at = str(int(time.time()))
    mac = hmac.digest(key, b"msg_1." + sent_at.encode() + b"." + body, hashlib.sha256)
    headers = {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": sent_at,
        "Webhook-Signature": "v1," + base64.b64encode(mac).decode(),
    }
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://backend"
    ) as sender:
        assert (await sender.post("/", content=body, headers=headers)).status_code == 204
        assert [event.id for event in handled] == [UNSET["id"]]
        assert (await sender.post("/", content=body, headers=headers)).status_code == 204
        assert handled == []
        forged = await sender.post("/", content=body + b" ", headers=headers)
    assert forged.status_code == 400


def test_the_methods_on_the_page_exist() -> None:
    """Each method of `Control` is on the page, and each that the page names exists."""
    page = (ROOT / PAGE).read_text()
    rows = [row for row in page.splitlines() if row.startswith("| `")]
    named = {row.partition("control.")[2].partition("(")[0] for row in rows}
    there = {name for name in vars(keystay.Control) if not name.startswith("_")}
    assert named == there - {"close"}


def test_the_errors_on_the_page_exist() -> None:
    """What the page says is raised can be caught."""
    page = (ROOT / PAGE).read_text()
    errors = page.partition("**Errors.**")[2].partition("\n\n")[0]
    for name in errors.replace("keystay.", "").split("`")[1::2]:
        assert hasattr(keystay, name), name
