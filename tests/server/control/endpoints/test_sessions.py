"""
`control/sessions.py`: what backends do with sessions, and what clients see of it.
"""

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.support.raw_client import connected
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="session")

ODD_ACTORS = [
    "7",
    "player:7",
    "realm/7",
    "/",
    "a//b/",
    "50%",
    "%2F",
    "a?b#c&d=e+f",
    "Zoë \N{SNOWMAN}",
    "{7}",
    "a\nb\x00c",
    "x" * 128,
]


def sessions_of(actor_id: str) -> str:
    return f"/v1/actors/{quote(actor_id, safe='')}/sessions"


async def opened(backend: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await backend.post("/v1/sessions", json=fields)
    assert answer.status_code == 201, answer.text
    session: dict[str, Any] = answer.json()
    return session


async def test_a_backend_opens_a_session(backend: httpx.AsyncClient) -> None:
    """`POST /v1/sessions` gets 201 with a session as in SPEC section 4, its key included."""
    answer = await backend.post(
        "/v1/sessions",
        json={
            "actorId": "alice",
            "meta": {"name": "Alice", "rights": ["read"], "level": 3},
            "language": "de-CH",
            "version": "1.4.2",
            "ttl": 60,
            "maxAge": 90.5,
        },
    )
    assert answer.status_code == 201
    session = answer.json()
    assert session["key"].startswith("alice:kst_")
    assert session["actorId"] == "alice"
    assert session["meta"] == {"name": "Alice", "rights": ["read"], "level": 3}
    assert (session["language"], session["version"]) == ("de-CH", "1.4.2")
    assert session["expiresAt"] - session["createdAt"] == 60_000
    assert session["endsAt"] - session["createdAt"] == 90_500
    assert answer.headers["Location"] == f"/v1/sessions/{session['id']}"


async def test_what_is_left_out_has_its_default(backend: httpx.AsyncClient) -> None:
    """Only `actorId` is required; null is as good as leaving a field out."""
    nothing = dict.fromkeys(["meta", "language", "version", "ttl", "maxAge"])
    for fields in ({}, nothing):
        session = await opened(backend, actorId="alice", **fields)
        assert session["meta"] == {}
        assert (session["language"], session["version"], session["endsAt"]) == (
            "en",
            None,
            None,
        )
        assert session["expiresAt"] - session["createdAt"] == 1_800_000


@pytest.mark.parametrize(("number", "actor_id"), [(7, "7"), (-1, "-1"), (2**64, f"{2**64}")])
async def test_a_number_is_its_decimal_string(
    backend: httpx.AsyncClient, number: int, actor_id: str
) -> None:
    """An actor id that is a number stands for its decimal string."""
    assert (await opened(backend, actorId=number))["actorId"] == actor_id


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "actorId"),
        ({"actorId": ""}, "actorId"),
        ({"actorId": "x" * 129}, "actorId"),
        ({"actorId": True}, "actorId"),
        ({"actorId": 7.0}, "actorId"),
        ({"actorId": ["alice"]}, "actorId"),
        ({"actorId": "\ud800"}, "actorId"),
        ({"actorId": "a", "meta": []}, "meta"),
        ({"actorId": "a", "meta": {"x": "y" * 4096}}, "meta"),
        ({"actorId": "a", "meta": {"x": "\ud800"}}, "meta"),
        ({"actorId": "a", "meta": {"x": 2**64}}, "meta"),
        ({"actorId": "a", "language": 7}, "language"),
        ({"actorId": "a", "language": "not a tag"}, "language"),
        ({"actorId": "a", "language": "en" + "-a" * 32}, "language"),
        ({"actorId": "a", "version": 1.4}, "version"),
        ({"actorId": "a", "version": "1" * 65}, "version"),
        ({"actorId": "a", "version": "\ud800"}, "version"),
        ({"actorId": "a", "ttl": "60"}, "ttl"),
        ({"actorId": "a", "ttl": True}, "ttl"),
        ({"actorId": "a", "ttl": 0}, "ttl"),
        ({"actorId": "a", "maxAge": -1}, "maxAge"),
        ({"actorId": "a", "maxAge": 10**400}, "maxAge"),
        ({"actorId": "a", "maxage": 60}, "maxage"),
        ({"actorId": "a", "key": "a:kst_mine"}, "key"),
    ],
)
async def test_a_wrong_field_is_named(
    backend: httpx.AsyncClient, fields: dict[str, Any], named: str
) -> None:
    """A field that is unknown, missing or unacceptable gets 400, and the problem names it."""
    answer = await backend.post("/v1/sessions", content=json.dumps(fields))
    assert answer.status_code == 400
    problem = answer.json()
    assert problem["code"] == "invalidParams"
    assert named in problem["detail"]


async def test_a_session_is_shown_without_its_key(backend: httpx.AsyncClient) -> None:
    """`GET /v1/sessions/{id}` returns all of a session but its key."""
    session = await opened(backend, actorId="alice", meta={"name": "Alice"})
    answer = await backend.get(f"/v1/sessions/{session['id']}")
    assert answer.status_code == 200
    assert answer.json() == {name: value for name, value in session.items() if name != "key"}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    "id_", ["YQ.0000000000000000", "nonsense", "a.b.c", "%00", "\N{SNOWMAN}"]
)
async def test_an_id_that_names_nothing_is_not_found(
    backend: httpx.AsyncClient, method: str, id_: str
) -> None:
    """An id of no live session gets 404 `noSession`, whatever it looks like."""
    answer = await backend.request(method, f"/v1/sessions/{id_}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "noSession"


async def test_an_ended_session_is_not_found(backend: httpx.AsyncClient) -> None:
    """A session can be ended once: after the 204 its id names nothing any more."""
    path = f"/v1/sessions/{(await opened(backend, actorId='alice'))['id']}"
    answer = await backend.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await backend.get(path)).status_code == 404
    assert (await backend.delete(path)).status_code == 404


@pytest.mark.parametrize("actor_id", ODD_ACTORS)
async def test_any_actor_can_be_named_in_a_path(
    backend: httpx.AsyncClient, actor_id: str
) -> None:
    """Percent-encoded, every actor id fits between two slashes, slashes and all."""
    path = sessions_of(actor_id)
    first = await opened(backend, actorId=actor_id)
    second = await opened(backend, actorId=actor_id)
    answer = await backend.get(path)
    assert answer.status_code == 200
    listed = answer.json()["sessions"]
    assert [session["id"] for session in listed][-2:] == [first["id"], second["id"]]
    assert {session["actorId"] for session in listed} == {actor_id}
    assert not any("key" in session for session in listed)
    answer = await backend.delete(path)
    assert answer.json() == {"ended": len(listed)}
    assert (await backend.get(path)).json()["sessions"] == []


@pytest.mark.parametrize("part", ["%FF", "%C3", "x" * 129])
async def test_a_path_that_names_no_possible_actor_is_refused(
    backend: httpx.AsyncClient, part: str
) -> None:
    """What is not UTF-8, or longer than an actor id may be, gets 400."""
    answer = await backend.get(f"/v1/actors/{part}/sessions")
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("actorId must be")


async def test_an_actor_without_sessions_is_no_error(backend: httpx.AsyncClient) -> None:
    """An unknown actor has no sessions, and none to end."""
    assert (await backend.get("/v1/actors/nobody/sessions")).json()["sessions"] == []
    assert (await backend.delete("/v1/actors/nobody/sessions")).json() == {"ended": 0}


async def test_a_minted_session_opens_over_websocket(
    server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """The key that a backend got is what its client restores the session with."""
    minted = await opened(backend, actorId="alice", meta={"level": 3}, version="1.4.2")
    async with connected(server.url) as client:
        error, result = await client.call("session.restore", minted["key"])
    assert error is None
    told = {**result["session"], "expiresAt": minted["expiresAt"], "revision": 1}
    assert told == minted


@pytest.mark.parametrize(
    ("query", "reason"),
    [({}, "revoked"), ({"reason": "banned.for-cheating"}, "banned.for-cheating")],
)
async def test_an_ended_session_reaches_its_client(
    server: ServerProcess, backend: httpx.AsyncClient, query: dict[str, str], reason: str
) -> None:
    """What a backend ends is unset on its connection; the key answers the same word."""
    minted = await opened(backend, actorId="alice")
    async with connected(server.url) as client:
        await client.call("session.restore", minted["key"])
        answer = await backend.delete(f"/v1/sessions/{minted['id']}", params=query)
        assert answer.status_code == 204
        assert (await client.event())[0] == "session.set"
        name, data, cursor = await client.event()
        assert (name, data) == ("session.unset", {"reason": reason, "id": minted["id"]})
        assert isinstance(cursor, int)
        assert await client.call("session.isValid", minted["key"]) == (reason, None)


async def test_all_sessions_of_an_actor_end_at_once(
    server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """`DELETE /v1/actors/{actorId}/sessions` unsets each of the actor's, and nobody else's."""
    alices = [await opened(backend, actorId="alice/2") for _ in range(2)]
    bobs = await opened(backend, actorId="bob")
    async with connected(server.url) as one, connected(server.url) as other:
        await one.call("session.restore", alices[0]["key"])
        await other.call("session.restore", alices[1]["key"])
        answer = await backend.delete(sessions_of("alice/2"), params={"reason": "banned"})
        assert answer.json() == {"ended": 2}
        for client, session in ((one, alices[0]), (other, alices[1])):
            assert (await client.event())[0] == "session.set"
            unset = await client.event()
            assert unset[:2] == ("session.unset", {"reason": "banned", "id": session["id"]})
        assert await one.call("session.isValid", bobs["key"]) == (None, None)


@pytest.mark.parametrize(
    "reason", ["", "two words", "9lives", "x" * 65, "noSession", "internal"]
)
@pytest.mark.parametrize("path", ["/v1/sessions/{id}", "/v1/actors/alice/sessions"])
async def test_a_reason_is_a_word_of_its_own(
    backend: httpx.AsyncClient, path: str, reason: str
) -> None:
    """A reason that is no word, or is another error code, gets 400 and ends nothing."""
    session = await opened(backend, actorId="alice")
    path = path.replace("{id}", session["id"])
    answer = await backend.delete(path, params={"reason": reason})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("reason must be a word")
    assert (await backend.get(f"/v1/sessions/{session['id']}")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/sessions?actorId=alice"),
        ("DELETE", "/v1/sessions/some-id?reson=banned"),
        ("GET", "/v1/actors/alice/sessions?from=1"),
        ("DELETE", "/v1/actors/alice/sessions?reason=a&reason=b"),
    ],
)
async def test_a_query_is_read_strictly(
    backend: httpx.AsyncClient, method: str, path: str
) -> None:
    """A query parameter that is unknown, or there twice, gets 400: it was meant to matter."""
    answer = await backend.request(method, path, json={"actorId": "alice"})
    assert answer.status_code == 400
    assert "query parameter" in answer.json()["detail"]


async def test_a_changed_session_reaches_its_client(
    server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """`PATCH` sets meta and language as a whole; holders get `session.set` with their key."""
    minted = await opened(backend, actorId="alice", meta={"level": 3, "name": "A"})
    path = f"/v1/sessions/{minted['id']}"
    async with connected(server.url) as client:
        await client.call("session.restore", minted["key"])
        await client.event()
        answer = await backend.patch(path, json={"meta": {"level": 4}, "language": "de"})
        name, session, _ = await client.event()
    assert answer.status_code == 200
    assert (name, session["key"]) == ("session.set", minted["key"])
    assert (session["meta"], session["language"]) == ({"level": 4}, "de")
    del session["key"]
    assert answer.json() == {**session, "revision": 2}
    assert (await backend.get(path)).json() == answer.json()


async def test_a_change_can_depend_on_the_revision(backend: httpx.AsyncClient) -> None:
    """Of two backends that read the same session and change it, the second gets 409."""
    minted = await opened(backend, actorId="alice")
    path = f"/v1/sessions/{minted['id']}"
    change = {"meta": {"seen": True}, "revision": minted["revision"]}
    assert (await backend.patch(path, json=change)).json()["revision"] == 2
    answer = await backend.patch(path, json=change)
    assert answer.status_code == 409
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "revisionConflict"
    assert (await backend.get(path)).json()["revision"] == 2


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"meta": []},
        {"meta": {"a": "x" * 5000}},
        {"language": "not a tag"},
        {"revision": "1", "meta": {}},
        {"revision": True, "meta": {}},
        {"actorId": "bob"},
        {"expiresAt": 1},
    ],
    ids=repr,
)
async def test_a_change_that_makes_no_sense_is_refused(
    backend: httpx.AsyncClient, change: dict[str, Any]
) -> None:
    """400 with what is wrong; nothing is changed."""
    minted = await opened(backend, actorId="alice")
    answer = await backend.patch(f"/v1/sessions/{minted['id']}", json=change)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalidParams")
    assert (await backend.get(f"/v1/sessions/{minted['id']}")).json()["revision"] == 1


async def test_a_session_is_given_to_another_actor(
    server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """`reassign`: `reassigned` for the holders of the old, and a session for the new actor."""
    guest = await opened(
        backend, actorId="guest-1", meta={"cart": [1]}, language="de", version="1.2", ttl=60
    )
    async with connected(server.url) as client:
        await client.call("session.restore", guest["key"])
        await client.event()
        answer = await backend.post(
            f"/v1/sessions/{guest['id']}/reassign", json={"actorId": "alice"}
        )
        assert answer.status_code == 201
        session = answer.json()
        assert answer.headers["Location"] == f"/v1/sessions/{session['id']}"
        name, data, _ = await client.event()
        assert (name, data) == ("session.unset", {"reason": "reassigned", "id": guest["id"]})
        assert (await client.call("session.isValid", guest["key"]))[0] == "reassigned"
        # The backend hands the new key to its client, who goes on as the new actor.
        error, result = await client.call("session.restore", session["key"])
    assert error is None
    assert result["session"]["actorId"] == "alice"
    kept = ("meta", "language", "version")
    assert {name: session[name] for name in kept} == {name: guest[name] for name in kept}
    assert session["expiresAt"] - session["createdAt"] == 60_000


async def test_what_cannot_be_given_stays_where_it_is(backend: httpx.AsyncClient) -> None:
    """No such session is 404; the same actor, or none, is 400 and changes nothing."""
    minted = await opened(backend, actorId="alice")
    path = f"/v1/sessions/{minted['id']}"
    for body in ({"actorId": "alice"}, {"actorId": ""}, {}):
        answer = await backend.post(f"{path}/reassign", json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalidParams")
    assert (await backend.get(path)).status_code == 200
    await backend.delete(path)
    answer = await backend.post(f"{path}/reassign", json={"actorId": "nobody"})
    assert answer.status_code == 404
    assert (await backend.get(sessions_of("nobody"))).json()["sessions"] == []
