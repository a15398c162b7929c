"""
`control/problems.py`: errors as RFC 9457 has them.
"""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keystay_protocol.errors import BY_CODE, CommandError, Unavailable, session_ended
from keystay_server.control.http.problems import HANDLERS, status_of


async def problem_of(error: Exception) -> httpx.Response:
    """What a backend is answered when this is raised while it is served."""

    async def fail(_: Request) -> Response:
        raise error

    app = Starlette(routes=[Route("/", fail)], exception_handlers=HANDLERS)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get("/")


async def test_a_failure_tells_nothing() -> None:
    """An unexpected error gets 500 `internal`; its text stays in the log."""
    answer = await problem_of(RuntimeError("with a secret in it"))
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "title": "Internal Server Error",
        "status": 500,
        "code": "internal",
    }


async def test_a_store_out_of_reach_has_a_retry_after() -> None:
    """`unavailable` gets 503 and the wait, which `Retry-After` has in whole seconds."""
    answer = await problem_of(Unavailable("the store does not answer", retry_after_s=0.5))
    assert answer.headers["Retry-After"] == "1"
    assert answer.json() == {
        "title": "Service Unavailable",
        "status": 503,
        "code": "unavailable",
        "detail": "the store does not answer",
        "retryAfter": 0.5,
    }


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("invalidParams", 400),
        ("noSession", 404),
        ("sessionLimit", 409),
        ("expired", 410),
        ("loggedOut", 410),
        ("rateLimited", 429),
        ("internal", 500),
        ("unavailable", 503),
        ("timeout", 504),
    ],
)
async def test_a_refusal_keeps_its_code(code: str, status: int) -> None:
    """A code of the wire is the same word here, with a status for those who know only HTTP."""
    answer = await problem_of(BY_CODE[code]())
    assert answer.status_code == answer.json()["status"] == status
    assert answer.json()["code"] == code


@pytest.mark.parametrize(
    "error", [*(cls() for cls in BY_CODE.values()), session_ended("banned")]
)
def test_every_refusal_is_an_error(error: CommandError) -> None:
    """Whatever is refused, its status is one of failure."""
    assert 400 <= status_of(error) < 600
