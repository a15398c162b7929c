"""
`control/idempotency.py`: requests that come twice.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from keystay_protocol.session import split_key
from tests.server.control.conftest import API_KEY
from tests.server.control.endpoints.test_sessions import opened
from tests.support.backend import backend_of
from tests.support.raw_client import connected
from tests.support.server_process import ServerProcess, serving
from tests.support.valkey import running_valkey

pytestmark = pytest.mark.asyncio(loop_scope="session")


def header() -> dict[str, str]:
    """A new Idempotency-Key."""
    return {"Idempotency-Key": str(uuid4())}


def told(answer: httpx.Response) -> tuple[int, Any, str | None]:
    """Status, body, and whether it is marked as a replay."""
    return answer.status_code, answer.json(), answer.headers.get("Idempotent-Replayed")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def two_nodes(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[list[httpx.AsyncClient]]:
    """A backend's clients of two nodes; the second node knows the key by its digest alone."""
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    digest = hashlib.sha256(API_KEY.encode()).hexdigest()
    file.write_text(f'[shop]\nsha256 = "{digest}"\nscopes = ["admin"]\n')
    with running_valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        flags = ("--store", valkey.url("nodes"))
        more = ("--api-keys-file", str(file))
        async with (
            serving(*flags, env={"KEYSTAY_API_KEY": API_KEY}) as one,
            serving(*flags, *more) as other,
            backend_of(one.control, API_KEY) as first,
            backend_of(other.control, API_KEY) as second,
        ):
            yield [first, second]


async def test_a_retry_gets_the_same_session(two_nodes: list[httpx.AsyncClient]) -> None:
    """From any node: same id, same key; there is one session."""
    first, second = two_nodes
    headers, body = header(), {"actorId": "alice", "meta": {"b": 1, "a": 2}, "ttl": 60}
    answer = await first.post("/v1/sessions", json=body, headers=headers)
    session = answer.json()
    assert told(answer) == (201, session, None)
    body = {"ttl": 60, "meta": {"a": 2, "b": 1}, "actorId": "alice", "language": None}
    for client in (second, first):
        again = await client.post("/v1/sessions", json=body, headers=headers)
        assert told(again) == (201, session, "true")
        assert again.headers["Location"] == answer.headers["Location"]
    listed = (await second.get("/v1/actors/alice/sessions")).json()["sessions"]
    assert [one["id"] for one in listed] == [session["id"]]
    _, secret = split_key(session["key"])
    assert len(secret) == len("kst_") + 43


async def test_retries_at_once_open_one_session(two_nodes: list[httpx.AsyncClient]) -> None:
    """Twenty at once, over both nodes, get one session; one of them is not a repeat."""
    headers, body = header(), {"actorId": "bob"}
    answers = await asyncio.gather(
        *(two_nodes[n % 2].post("/v1/sessions", json=body, headers=headers) for n in range(20))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["key"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1


async def test_an_event_is_sent_once(two_nodes: list[httpx.AsyncClient]) -> None:
    """A retry gets the same cursor, and sends no event."""
    first, second = two_nodes
    session = await opened(first, actorId="carol")
    for path in (f"/v1/sessions/{session['id']}/events", "/v1/actors/carol/events"):
        headers, body = header(), {"name": "mail", "data": {"n": 1}}
        answer = await first.post(path, json=body, headers=headers)
        again = await second.post(path, json=body, headers=headers)
        assert told(again) == (201, answer.json(), "true")
        answer = await second.post(path, json={**body, "data": {"n": 2}}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotencyKeyReused")


async def test_a_client_hears_an_event_once(
    server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """However often it is sent."""
    session = await opened(backend, actorId="dora")
    async with connected(server.url) as client:
        await client.call("events.subscribe", [""])
        await client.call("session.restore", session["key"])
        await client.event()
        headers = header()
        for _ in range(3):
            await backend.post("/v1/actors/dora/events", json={"name": "a"}, headers=headers)
        await backend.post("/v1/actors/dora/events", json={"name": "b"})
        assert (await client.event())[0] == "a"
        assert (await client.event())[0] == "b"


async def test_other_requests_get_other_sessions(backend: httpx.AsyncClient) -> None:
    """Another Idempotency-Key, another actor, or none at all: each opens a session."""
    headers = header()
    sessions = [
        (await backend.post("/v1/sessions", json={"actorId": actor}, headers=given)).json()
        for actor, given in [("a1", headers), ("a2", headers), ("a1", header()), ("a1", {})]
    ]
    assert len({session["key"] for session in sessions}) == 4
    assert len({session["id"] for session in sessions}) == 4


async def test_another_body_is_refused(backend: httpx.AsyncClient) -> None:
    """The same key for something else is a mistake: 422, and nothing happens."""
    headers = header()
    await backend.post("/v1/sessions", json={"actorId": "erin"}, headers=headers)
    answer = await backend.post(
        "/v1/sessions", json={"actorId": "erin", "ttl": 60}, headers=headers
    )
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "idempotencyKeyReused"
    assert len((await backend.get("/v1/actors/erin/sessions")).json()["sessions"]) == 1


async def test_a_session_that_ended_is_gone(backend: httpx.AsyncClient) -> None:
    """A retry after the end gets 410 with the reason, and opens nothing."""
    headers, body = header(), {"actorId": "frank"}
    session = (await backend.post("/v1/sessions", json=body, headers=headers)).json()
    await backend.delete(f"/v1/sessions/{session['id']}", params={"reason": "banned"})
    answer = await backend.post("/v1/sessions", json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (410, "banned")
    assert (await backend.get("/v1/actors/frank/sessions")).json()["sessions"] == []


async def test_a_retry_tells_the_session_as_it_is_now(backend: httpx.AsyncClient) -> None:
    """It may have been changed meanwhile."""
    headers, body = header(), {"actorId": "grace"}
    session = (await backend.post("/v1/sessions", json=body, headers=headers)).json()
    await backend.patch(f"/v1/sessions/{session['id']}", json={"meta": {"level": 2}})
    again = (await backend.post("/v1/sessions", json=body, headers=headers)).json()
    assert again == {**session, "meta": {"level": 2}, "revision": 2}


async def test_a_session_is_given_away_once(backend: httpx.AsyncClient) -> None:
    """`reassign` again, when the old session has ended by it, gets the new one again."""
    guest = await opened(backend, actorId="guest", meta={"cart": 1})
    path, headers = f"/v1/sessions/{guest['id']}/reassign", header()
    answers = await asyncio.gather(
        *(backend.post(path, json={"actorId": "heidi"}, headers=headers) for _ in range(5))
    )
    answers.append(await backend.post(path, json={"actorId": "heidi"}, headers=headers))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["key"] for answer in answers}) == 1
    assert told(answers[-1]) == (201, answers[0].json(), "true")
    listed = (await backend.get("/v1/actors/heidi/sessions")).json()["sessions"]
    assert [session["meta"] for session in listed] == [{"cart": 1}]
    assert (await backend.get(f"/v1/sessions/{guest['id']}")).status_code == 404


async def test_a_request_of_another_api_key_is_not_replayed(tmp_path: Path) -> None:
    """Two backends with the same Idempotency-Key do not get each other's sessions."""
    file = tmp_path / "keys.toml"
    file.write_text('[shop]\nkey = "shop"\nscopes = ["sessions"]\n')
    async with (
        serving("--api-keys-file", str(file)) as server,
        backend_of(server.control) as client,
    ):
        headers, keys = header(), set()
        for api_key in ("shop", "test-api-key", "shop"):
            headers["Authorization"] = f"Bearer {api_key}"
            answer = await client.post("/v1/sessions", json={"actorId": "a"}, headers=headers)
            keys.add(answer.json()["key"])
    assert len(keys) == 2


async def test_a_retry_after_a_crash_gets_its_session(tmp_path: Path) -> None:
    """The backend that got no answer because the server died asks again, and gets it."""
    store = f"sqlite:///{tmp_path}/keystay.db"
    headers = {**header(), "Authorization": "Bearer test-api-key"}
    sessions = []
    for _ in range(2):
        async with (
            serving("--store", store) as server,
            backend_of(server.control) as client,
        ):
            answer = await client.post("/v1/sessions", json={"actorId": "a"}, headers=headers)
            sessions.append(answer.json())
            await server.kill()
    assert sessions[0] == sessions[1]


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "Schl\xfcssel"])
async def test_a_key_that_cannot_be_one_is_refused(
    backend: httpx.AsyncClient, key: str
) -> None:
    """It is 1 to 255 visible ASCII characters; anything else is 400."""
    for path in ("/v1/sessions", "/v1/actors/a/events", "/v1/sessions/YQ.x/events"):
        body = {"name": "a"} if path.endswith("events") else {"actorId": "a"}
        answer = await backend.post(
            path, json=body, headers={b"Idempotency-Key": key.encode("latin-1")}
        )
        assert answer.status_code == 400
        assert answer.json()["detail"].startswith("Idempotency-Key must be")


async def test_two_keys_are_refused(backend: httpx.AsyncClient) -> None:
    """It would not be known which one counts."""
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    answer = await backend.post("/v1/sessions", json={"actorId": "a"}, headers=headers)
    assert answer.status_code == 400
