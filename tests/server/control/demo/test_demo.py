"""
`control/demo/`: who may see it, and what its page may ask of the API.
"""

import asyncio
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

import keystay_server.control.demo as package
from keystay_server.control.demo.routes import reachable
from keystay_server.settings.config import Config
from tests.support.backend import backend_of
from tests.support.paths import ROOT
from tests.support.raw_client import connected
from tests.support.server.shell import SOON_S, running
from tests.support.server.strict import FROM_ELSEWHERE, assert_is_strict
from tests.support.server_process import ServerProcess, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASSETS = sorted(file.name for file in Path(package.__path__[0], "assets").iterdir())
OUR_PAGE = {"Sec-Fetch-Site": "same-origin"}
ZOE = "player/zoë 星"


async def opened(stranger: httpx.AsyncClient, actor_id: str = ZOE) -> dict[str, Any]:
    """Log in as the page does."""
    body = {"actorId": actor_id, "meta": {"name": "Zoë"}, "ttl": 120}
    answer = await stranger.post("/demo/v1/sessions", json=body, headers=OUR_PAGE)
    assert answer.status_code == 201
    session: dict[str, Any] = answer.json()
    return session


def holding(session: dict[str, Any]) -> dict[str, str]:
    """What the page that holds the session sends along."""
    return {**OUR_PAGE, "X-Keystay-Session": quote(session["key"])}


def deeds(session: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """All that the page asks about a session: method, path, body."""
    id_, actor = quote(session["id"]), quote(session["actorId"], safe="")
    return [
        ("POST", f"/actors/{actor}/events", {"name": "chat.said", "data": {"text": "hi"}}),
        ("PATCH", f"/sessions/{id_}", {"meta": {"name": "Ada"}}),
        ("GET", f"/actors/{actor}/connections", None),
        ("DELETE", f"/sessions/{id_}?reason=banned", None),
    ]


async def ask(
    client: httpx.AsyncClient, deed: tuple[str, str, Any], headers: dict[str, str]
) -> httpx.Response:
    """Ask one of these."""
    method, path, body = deed
    return await client.request(method, f"/demo/v1{path}", json=body, headers=headers)


async def test_it_is_for_development_only() -> None:
    """Without `--dev` there is no page, no asset and no operation."""
    async with serving(dev=False) as server, backend_of(server.control) as client:
        for path in ("/demo", "/demo/assets/demo.js", "/demo/v1/sessions"):
            assert (await client.get(path)).status_code == 404
        answer = await client.post("/demo/v1/sessions", json={"actorId": "a"}, headers=OUR_PAGE)
        assert answer.status_code == 404


async def test_the_page_knows_the_server(
    server: ServerProcess, stranger: httpx.AsyncClient
) -> None:
    """Where clients connect, which its policy allows, and what extends a session."""
    answer = await stranger.get("/demo")
    assert_is_strict(answer, f"'self' {server.url}")
    assert f'data-url="{server.url}" data-activity="connection"' in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ASSETS)
async def test_its_assets_are_strict_too(stranger: httpx.AsyncClient, name: str) -> None:
    """None of them has anything from elsewhere."""
    assert_is_strict(await stranger.get(f"/demo/assets/{name}"))


async def test_all_modules_are_loaded_at_once(stranger: httpx.AsyncClient) -> None:
    """The page names every module: none waits for another one that imports it."""
    page = (await stranger.get("/demo")).text
    named = set(re.findall(r'(?:href|src)="demo/assets/([\w.]+\.js)"', page))
    assert named == {name for name in ASSETS if name.endswith(".js")}
    shared = set(re.findall(r'(?:href|src)="(assets/[\w.]+)"', page))
    for path in shared:
        assert (await stranger.get(f"/{path}")).status_code == 200


async def test_whoever_holds_a_session_plays_its_backend(
    server: ServerProcess, stranger: httpx.AsyncClient
) -> None:
    """Its connections get events, changes, and the reason with which it ends."""
    session = await opened(stranger)
    async with connected(server.url) as client:
        await client.call("events.subscribe", ["chat"])
        await client.call("session.restore", session["key"])
        answers = [await ask(stranger, deed, holding(session)) for deed in deeds(session)]
        assert [answer.status_code for answer in answers] == [201, 200, 200, 204]
        assert session["key"] not in "".join(answer.text for answer in answers)
        [connection] = answers[2].json()["connections"]
        assert connection["sessionId"] == session["id"]
        events = [await client.event() for _ in range(4)]
    assert [name for name, _, _ in events] == [
        *("session.set", "chat.said", "session.set", "session.unset")
    ]
    assert events[2][1]["meta"] == {"name": "Ada"}
    assert events[3][1] == {"reason": "banned", "id": session["id"]}


async def test_nothing_is_done_for_somebody_else(stranger: httpx.AsyncClient) -> None:
    """Not with the session of another actor, not with none, not with one that has ended."""
    victim, other = await opened(stranger, "victim"), await opened(stranger, "other")
    ended = await opened(stranger, "victim")
    await ask(stranger, deeds(ended)[-1], holding(ended))
    for deed in deeds(victim):
        assert (await ask(stranger, deed, holding(other))).status_code == 403
        assert (await ask(stranger, deed, OUR_PAGE)).status_code == 403
        answer = await ask(stranger, deed, holding(ended))
        assert (answer.status_code, answer.json()["code"]) == (410, "banned")
        assert victim["id"] not in answer.text
    answer = await ask(stranger, deeds(victim)[1], holding(victim))
    assert (answer.status_code, answer.json()["revision"]) == (200, 2)


@pytest.mark.parametrize(
    "said",
    [
        *FROM_ELSEWHERE,
        {"Sec-Fetch-Site": "same-origin", "Host": "rebound.example:8331"},
        {"Sec-Fetch-Site": "same-origin", "Host": "localhost.example"},
    ],
    ids=repr,
)
async def test_a_page_from_elsewhere_is_refused(
    stranger: httpx.AsyncClient, said: dict[str, str]
) -> None:
    """Be it another site's, or under another name that leads to this machine."""
    session = await opened(stranger)
    headers = {**holding(session), **said}
    if "Sec-Fetch-Site" not in said:
        del headers["Sec-Fetch-Site"]
    opening = ("POST", "/sessions", {"actorId": "victim"})
    for deed in (opening, deeds(session)[0], deeds(session)[1], deeds(session)[3]):
        assert (await ask(stranger, deed, headers)).status_code == 403


async def test_the_page_is_not_for_another_host(stranger: httpx.AsyncClient) -> None:
    """Under a name of this machine it is there, under any other it is not."""
    for host, status in (("localhost:1", 200), ("[::1]", 200), ("rebound.example", 403)):
        answer = await stranger.get("/demo", headers={"Host": host})
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"{oops", "JSON"),
        (b"{}", "actorId"),
        (b'{"actorId": ""}', "actorId"),
        (b'{"actorId": "a", "meta": 1}', "meta"),
        (b'{"actorId": "a", "ttl": -1}', "ttl"),
        (b'{"actorId": "a", "admin": true}', "admin"),
    ],
)
async def test_what_is_wrong_with_a_body_is_named(
    stranger: httpx.AsyncClient, body: bytes, named: str
) -> None:
    """As the API does it, for the operations are the API's."""
    answer = await stranger.post("/demo/v1/sessions", content=body, headers=OUR_PAGE)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalidParams")
    assert named in answer.json()["detail"]


async def test_bodies_are_bounded(stranger: httpx.AsyncClient) -> None:
    """One that is longer than 64 KiB is not read."""
    body = b" " * (64 * 1024 + 1)
    answer = await stranger.post("/demo/v1/sessions", content=body, headers=OUR_PAGE)
    assert answer.status_code == 413


async def test_the_rest_of_the_api_is_not_there(stranger: httpx.AsyncClient) -> None:
    """No other operation, no key in a URL, no retry that would take an API key."""
    session = await opened(stranger)
    headers = holding(session)
    for path in ("/stats", "/feed", "/events", "/actors/victim/sessions", "/openapi.json"):
        assert (await stranger.get(f"/demo/v1{path}", headers=headers)).status_code == 404
    for method in ("GET", "PUT"):
        answer = await stranger.request(
            method, f"/demo/v1/sessions/{session['id']}", headers=headers
        )
        assert answer.status_code == 405
    answer = await stranger.get(f"/v1/sessions/{session['id']}", headers=headers)
    assert answer.status_code == 401
    retry = {**headers, "Idempotency-Key": "again"}
    assert (await ask(stranger, deeds(session)[0], retry)).status_code == 400
    answer = await stranger.get(f"/demo/v1/sessions?key={session['key']}", headers=headers)
    assert answer.status_code == 400


async def test_its_address_is_logged() -> None:
    """In the log of a server for development; by default it is what `make run` prints."""
    places = ("--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--store", "memory://")
    env = {"KEYSTAY_API_KEY": "a-key"}
    async with running("serve", "--dev", *places, env=env) as process, asyncio.timeout(SOON_S):
        assert process.stdout is not None
        assert process.stderr is not None
        control = json.loads(await process.stdout.readline())["control"]
        said = await process.stderr.readuntil(b"/demo\n")
        assert said.decode().endswith(f"the demo is at {control}/demo\n")
    address = f"http://{Config().control}/demo"
    assert address in (ROOT / "Makefile").read_text()
    assert address in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("ws://127.0.0.1:8330", "ws://127.0.0.1:8330"),
        ("ws://localhost:8330", "ws://localhost:8330"),
        ("ws://0.0.0.0:8330", "ws://localhost:8330"),
        ("ws://[::1]:8330", "ws://localhost:8330"),
        ("wss://[::]:8330", "wss://localhost:8330"),
        ("wss://game.example:443", "wss://game.example:443"),
    ],
)
async def test_where_the_page_connects_to(listen: str, url: str) -> None:
    """Where the server listens; for an address that no policy can name, this machine."""
    assert reachable(listen) == url
