"""
Actor ids that change the meaning of a path: no request becomes another operation on its way.
"""

import posixpath
import re
from pathlib import Path

import httpx
import jwt
import pytest

from tests.support.backend import backend_of
from tests.support.raw_client import connected
from tests.support.server_process import ServerProcess, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

DOTS = (".", "..")
ODD_IDS = [
    "a/../b",
    "/",
    "a//b",
    "./a",
    "%2e%2e",
    "a?b#c",
    "a;b",
    "a+b c",
    "Zoë",
    "\\..\\",
    "-",
]
SECRET = "a-secret-for-these-tests-of-at-least-32-bytes"


@pytest.mark.parametrize("actor_id", DOTS)
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/sessions", {"actorId": None}),
        ("POST", "/v1/sessions/{session}/reassign", {"actorId": None}),
        ("POST", "/v1/emit", {"actorId": None, "name": "mail"}),
        ("GET", "/v1/sessions?actorId={id}", None),
        ("DELETE", "/v1/sessions?actorId={id}", None),
        ("GET", "/v1/connections?actorId={id}", None),
        ("GET", "/v1/feed?actor={id}", None),
        ("GET", "/v1/actors/{encoded}/sessions", None),
        ("DELETE", "/v1/actors/{encoded}/sessions", None),
        ("GET", "/v1/actors/{encoded}/connections", None),
        ("POST", "/v1/actors/{encoded}/events", {"name": "mail"}),
    ],
)
async def test_dots_are_no_actor(
    backend: httpx.AsyncClient,
    actor_id: str,
    method: str,
    path: str,
    body: dict[str, str | None] | None,
) -> None:
    """`.` and `..` get 400 at every operation that takes an actor id."""
    opened = (await backend.post("/v1/sessions", json={"actorId": "dots"})).json()
    encoded = actor_id.replace(".", "%2E")
    path = path.format(id=actor_id, encoded=encoded, session=opened["id"])
    if body is not None and "actorId" in body:
        body = {**body, "actorId": actor_id}
    answer = await backend.request(method, path, json=body)
    assert answer.status_code == 400, answer.text
    assert "not . or .." in answer.json()["detail"]


@pytest.mark.parametrize("actor_id", DOTS)
async def test_dots_cannot_log_in(server: ServerProcess, actor_id: str, tmp_path: Path) -> None:
    """Neither anonymously, nor by a JWT, nor with a key of such an actor."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    token = jwt.encode({"sub": actor_id, "exp": 4_000_000_000}, SECRET, "HS256")
    flags = ("--jwt-key-file", str(secret))
    async with serving(*flags) as with_jwt, connected(with_jwt.url) as client:
        anonymous = await client.call("session.login", "anonymous", {"actorId": actor_id})
        assert anonymous[0] == "invalidParams"
        assert (await client.call("session.login", "jwt", token))[0] == "invalidParams"
        key = f"{actor_id}:kst_{'A' * 43}"
        assert (await client.call("session.isValid", key))[0] == "invalidSessionKey"


async def test_no_path_becomes_another_operation_without_its_dot_segments(
    stranger: httpx.AsyncClient,
) -> None:
    """Whatever part of a path is `.` or `..`: without it there is no such operation."""
    paths = (await stranger.get("/v1/openapi.json")).json()["paths"]
    found = 0
    for path, operations in paths.items():
        for parameter in re.findall(r"{\w+}", path):
            for dots in DOTS:
                others = paths.get(posixpath.normpath(path.replace(parameter, dots)), {})
                for method in operations.keys() & others.keys():
                    # It insists on an actor in the query, and gets none here.
                    parameters = others[method]["parameters"]
                    assert [each["name"] for each in parameters if each["required"]] == [
                        "actorId"
                    ]
                    found += 1
    assert found


async def test_what_has_lost_its_dot_segments_is_refused(backend: httpx.AsyncClient) -> None:
    """An operation of all sessions, or for everybody, is not there by accident."""
    for method, path, status in (
        ("GET", "/v1/sessions", 400),
        ("DELETE", "/v1/sessions?reason=banned", 400),
        ("GET", "/v1/connections", 400),
        ("GET", "/v1/events", 400),
        ("POST", "/v1/events", 405),
    ):
        answer = await backend.request(method, path)
        assert answer.status_code == status


@pytest.mark.parametrize("actor_id", ODD_IDS)
async def test_any_id_can_be_given_in_the_query_or_the_body(
    server: ServerProcess, backend: httpx.AsyncClient, actor_id: str
) -> None:
    """Each operation of an actor, without its id in the path."""
    created = await backend.post("/v1/sessions", json={"actorId": actor_id})
    session = created.json()
    async with connected(server.url) as client:
        await client.call("events.subscribe", ["mail"])
        await client.call("session.restore", session["key"])
        await client.event()
        query = {"actorId": actor_id}
        listed = (await backend.get("/v1/sessions", params=query)).json()["sessions"]
        assert [each["id"] for each in listed] == [session["id"]]
        held = (await backend.get("/v1/connections", params=query)).json()["connections"]
        assert [each["sessionId"] for each in held] == [session["id"]]
        event = {"actorId": actor_id, "name": "mail", "data": 1}
        emitted = await backend.post("/v1/emit", json=event)
        assert emitted.status_code == 201
        assert await client.event() == ("mail", 1, emitted.json()["cursor"])
        reason = {**query, "reason": "banned"}
        assert (await backend.delete("/v1/sessions", params=reason)).json() == {"ended": 1}
        assert (await client.event())[1]["reason"] == "banned"


async def test_an_emit_is_idempotent(backend: httpx.AsyncClient) -> None:
    """A retry with the same key sends no second event."""
    headers = {"Idempotency-Key": "order-7"}
    event = {"actorId": 7, "name": "mail", "data": 1}
    answers = [await backend.post("/v1/emit", json=event, headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("value", ["%FF", "%C3", "", "x" * 129])
async def test_an_impossible_id_in_the_query_is_refused(
    backend: httpx.AsyncClient, value: str
) -> None:
    """What is not UTF-8, empty or too long gets 400, and is never another id."""
    for path in ("/v1/sessions?actorId=", "/v1/connections?actorId=", "/v1/feed?actor="):
        assert (await backend.get(path + value)).status_code == 400


async def test_a_backend_needs_the_scope_for_these(server: ServerProcess) -> None:
    """Without a key they are refused, as their counterparts are."""
    async with backend_of(server.control) as stranger:
        for method, path in (
            ("GET", "/v1/sessions?actorId=a"),
            ("DELETE", "/v1/sessions?actorId=a"),
            ("GET", "/v1/connections?actorId=a"),
            ("POST", "/v1/emit"),
            ("POST", "/v1/broadcast"),
        ):
            assert (await stranger.request(method, path)).status_code == 401
