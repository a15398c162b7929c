"""
`control/events.py`: what backends say, and which clients hear it.
"""

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.server.control.endpoints.test_sessions import opened
from tests.support.raw_client import RawClient, connected
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def holder(client: RawClient, session: dict[str, Any], *paths: str) -> int:
    """Bind the client to the session, subscribed to the paths; return its cursor."""
    await client.call("events.subscribe", list(paths))
    error, result = await client.call("session.restore", session["key"])
    assert error is None
    await client.event()
    return int(result["cursor"])


async def test_an_event_reaches_a_session(
    server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """`POST /v1/sessions/{id}/events` reaches its connections, and no other session's."""
    phone, laptop = [await opened(backend, actorId="alice") for _ in range(2)]
    async with connected(server.url) as one, connected(server.url) as other:
        cursor = await holder(one, phone, "game")
        await holder(other, laptop, "game")
        answer = await backend.post(
            f"/v1/sessions/{phone['id']}/events",
            json={"name": "game.move", "data": {"to": [1, 2], "by": "Zoë"}},
        )
        assert answer.status_code == 201
        event = await one.event()
        assert event == ("game.move", {"to": [1, 2], "by": "Zoë"}, answer.json()["cursor"])
        assert event[2] is not None
        assert event[2] > cursor
        await other.call("time.now")
        assert len(other.events()) == 1


@pytest.mark.parametrize("actor_id", ["bob", "a/b c%2F", "{Zoë}"])
async def test_an_event_reaches_an_actor(
    server: ServerProcess, backend: httpx.AsyncClient, actor_id: str
) -> None:
    """`POST /v1/actors/{actorId}/events` reaches the connections of all its sessions."""
    sessions = [await opened(backend, actorId=actor_id) for _ in range(2)]
    async with connected(server.url) as one, connected(server.url) as other:
        for client, session in zip((one, other), sessions, strict=True):
            await holder(client, session, "")
        answer = await backend.post(
            f"/v1/actors/{quote(actor_id, safe='')}/events", json={"name": "mail"}
        )
        assert answer.status_code == 201
        for client in (one, other):
            assert await client.event() == ("mail", None, answer.json()["cursor"])


async def test_who_was_away_hears_it_later(
    server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """An event sent while a client was away is replayed when it restores with its cursor."""
    session = await opened(backend, actorId="carol")
    async with connected(server.url) as client:
        cursor = await holder(client, session)
    for number in range(3):
        await backend.post("/v1/actors/carol/events", json={"name": "mail.new", "data": number})
    await backend.post("/v1/actors/carol/events", json={"name": "unheard", "data": 4})
    async with connected(server.url) as client:
        await client.call("events.subscribe", ["mail"])
        _, result = await client.call("session.restore", session["key"], {"cursor": cursor})
        assert result["recovered"] is True
        assert [(name, data) for name, data, _ in client.events()[:3]] == [
            ("mail.new", 0),
            ("mail.new", 1),
            ("mail.new", 2),
        ]
        assert [name for name, _, _ in client.events()[3:]] == ["session.set"]


async def test_a_broadcast_reaches_all_connections(
    server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """`POST /v1/broadcast` reaches every connection that is subscribed, bound or not."""
    session = await opened(backend, actorId="dora")
    async with (
        connected(server.url) as bound,
        connected(server.url) as unbound,
        connected(server.url) as deaf,
    ):
        await holder(bound, session, "news")
        await unbound.call("events.subscribe", ["news.flash"])
        answer = await backend.post("/v1/broadcast", json={"name": "news.flash", "data": {}})
        assert answer.status_code == 202
        assert await bound.event() == ("news.flash", {}, None)
        assert await unbound.event() == ("news.flash", {}, None)
        await deaf.call("time.now")
        assert deaf.events() == []


@pytest.mark.parametrize("name", ["session.set", "session", "server.draining", "events.lost"])
async def test_the_protocols_own_names_are_refused(
    backend: httpx.AsyncClient, name: str
) -> None:
    """A backend cannot pass something off as the server's own word."""
    for path in ("/v1/broadcast", "/v1/actors/alice/events"):
        answer = await backend.post(path, json={"name": name})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalidParams")
        assert answer.json()["detail"].startswith("name must not begin with")


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"name": 7},
        {"name": ""},
        {"name": "a..b"},
        {"name": "a b"},
        {"name": "x" * 129},
        {"name": "a", "data": "x" * 16_500},
        {"name": "a", "data": 2**64},
        {"name": "a", "to": "alice"},
    ],
    ids=lambda event: repr(event)[:30],
)
async def test_an_invalid_event_is_refused(
    backend: httpx.AsyncClient, event: dict[str, Any]
) -> None:
    """400 with what is wrong."""
    answer = await backend.post("/v1/actors/alice/events", json=event)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalidParams")


async def test_an_event_of_16_kib_is_sent(backend: httpx.AsyncClient) -> None:
    """The bound is on the data as MessagePack: 16 KiB, a string's own three bytes included."""
    event = {"name": "a", "data": "x" * (16 * 1024 - 3)}
    assert (await backend.post("/v1/actors/alice/events", json=event)).status_code == 201
    event["data"] += "x"
    assert (await backend.post("/v1/actors/alice/events", json=event)).status_code == 400


async def test_no_event_is_sent_to_a_session_that_ended(backend: httpx.AsyncClient) -> None:
    """404, as for a session that never was."""
    session = await opened(backend, actorId="alice")
    await backend.delete(f"/v1/sessions/{session['id']}")
    for id_ in (session["id"], "nothing"):
        answer = await backend.post(f"/v1/sessions/{id_}/events", json={"name": "a"})
        assert (answer.status_code, answer.json()["code"]) == (404, "noSession")


@pytest.mark.parametrize("path", ["/v1/actors/past/events", "/v1/events?actorId=past"])
async def test_an_actors_events_can_be_read_again(
    backend: httpx.AsyncClient, path: str
) -> None:
    """Those that its history has: with names and times, and never with a key."""
    session = await opened(backend, actorId="past")
    await backend.post("/v1/actors/past/events", json={"name": "chat.said", "data": {"n": 1}})
    await backend.delete(f"/v1/sessions/{session['id']}?reason=banned")
    answer = await backend.get(path)
    begun, said, ended = answer.json()["events"][-3:]
    assert (begun["name"], begun["sessionId"]) == ("session.set", session["id"])
    assert begun["data"]["actorId"] == "past"
    assert (said["name"], said["sessionId"], said["data"]) == ("chat.said", None, {"n": 1})
    assert ended["name"] == "session.unset"
    assert ended["data"] == {"reason": "banned", "id": session["id"]}
    assert begun["cursor"] < said["cursor"] < ended["cursor"]
    assert abs(ended["at"] - session["createdAt"]) < 60_000
    assert "kst_" not in answer.text
    assert (await backend.get("/v1/events")).status_code == 400
    assert (await backend.get("/v1/actors/nobody/events")).json() == {"events": []}


async def test_actors_that_are_connected_are_found_by_how_their_ids_begin(
    server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """`GET /v1/actors?prefix=`."""
    async with connected(server.url) as client:
        await client.login("findable:7")
        found = await backend.get("/v1/actors", params={"prefix": "findable"})
        assert found.json() == {"actors": ["findable:7"]}
    assert (await backend.get("/v1/actors")).status_code == 400
