"""
`control/api.py`: which paths there are, and what holds for all of them.
"""

import httpx
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/livez/",
        "/v1",
        "/v1/",
        "/v1/sessions/",
        "/v1/sessions/a/b",
        "/v1/actors/alice",
        "/v1/actors//sessions",
        "/v1/actors/a/b/sessions",
        "/v1%2Fsessions",
        "/openapi.json",
    ],
)
async def test_a_path_is_exact(backend: httpx.AsyncClient, path: str) -> None:
    """What is no path of the API gets 404 as a problem, and no redirect to a nearby one."""
    answer = await backend.get(path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json() == {"title": "Not Found", "status": 404}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/sessions", {"GET", "HEAD", "POST", "DELETE"}),
        ("GET", "/v1/broadcast", {"POST"}),
        ("PUT", "/v1/sessions/some-id", {"GET", "HEAD", "PATCH", "DELETE"}),
        ("OPTIONS", "/v1/actors/alice/sessions", {"GET", "HEAD", "DELETE"}),
        ("GET", "/v1/sessions/some-id/events", {"POST"}),
        ("GET", "/v1/sessions/some-id/reassign", {"POST"}),
        ("POST", "/livez", {"GET", "HEAD"}),
        ("PATCH", "/readyz", {"GET", "HEAD"}),
    ],
)
async def test_a_wrong_method_gets_the_allowed_ones(
    backend: httpx.AsyncClient, method: str, path: str, allowed: set[str]
) -> None:
    """A method that a path does not have gets 405, with all that it has in `Allow`."""
    answer = await backend.request(method, path)
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == allowed
    assert answer.json() == {"title": "Method Not Allowed", "status": 405}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("GET", "/v1/actors/alice/sessions"),
        ("GET", "/v1/sessions/some-id"),
        ("GET", "/nothing"),
        ("PUT", "/v1/sessions"),
    ],
)
async def test_nothing_is_cached(backend: httpx.AsyncClient, method: str, path: str) -> None:
    """No answer may be stored on its way, be it a session or an error."""
    answer = await backend.request(method, path)
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Server" not in answer.headers


async def test_head_is_get_without_a_body(backend: httpx.AsyncClient) -> None:
    """HEAD gets what GET gets, but for the body."""
    got = await backend.get("/v1/actors/nobody/sessions")
    asked = await backend.head("/v1/actors/nobody/sessions")
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["Content-Length"] == got.headers["Content-Length"]


async def test_a_websocket_does_not_open_here(backend: httpx.AsyncClient) -> None:
    """The control plane speaks HTTP only: an offer to upgrade is passed over."""
    answer = await backend.get(
        "/livez", headers={"Connection": "Upgrade", "Upgrade": "websocket"}
    )
    assert answer.status_code == 200
