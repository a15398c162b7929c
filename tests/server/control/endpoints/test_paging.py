"""
`GET /v1/actors/{actorId}/sessions`, page by page.
"""

import httpx
import pytest

from tests.server.control.endpoints.test_sessions import opened, sessions_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def pages(backend: httpx.AsyncClient, path: str, limit: int) -> list[list[str]]:
    """The ids on each page."""
    found, query = [], {"limit": str(limit)}
    while True:
        answer = (await backend.get(path, params=query)).json()
        found.append([session["id"] for session in answer["sessions"]])
        if answer["next"] is None:
            return found
        query["after"] = answer["next"]


async def test_many_sessions_come_by_pages(backend: httpx.AsyncClient) -> None:
    """Each session is on one page, the oldest first; `next` is null on the last one."""
    ids = [(await opened(backend, actorId="crowd"))["id"] for _ in range(7)]
    path = sessions_of("crowd")
    assert await pages(backend, path, 3) == [ids[:3], ids[3:6], ids[6:]]
    assert await pages(backend, path, 7) == [ids]
    assert (await backend.get(path)).json()["next"] is None
    await backend.delete(path)


async def test_a_page_has_100_sessions_unless_asked(backend: httpx.AsyncClient) -> None:
    """And 200 at most."""
    for _ in range(101):
        await opened(backend, actorId="mob")
    path = sessions_of("mob")
    answer = (await backend.get(path)).json()
    assert len(answer["sessions"]) == 100
    assert answer["next"] == answer["sessions"][-1]["id"]
    assert len((await backend.get(path, params={"limit": "200"})).json()["sessions"]) == 101
    await backend.delete(path)


@pytest.mark.parametrize("limit", ["0", "201", "-1", "1.5", "ten", "", "9" * 5000])
async def test_a_limit_is_a_number_within_bounds(
    backend: httpx.AsyncClient, limit: str
) -> None:
    """Anything else is 400."""
    answer = await backend.get(sessions_of("alice"), params={"limit": limit})
    assert answer.status_code == 400
    assert answer.json()["detail"] == "limit must be a whole number from 1 to 200"


async def test_a_page_after_a_session_that_ended_is_not_found(
    backend: httpx.AsyncClient,
) -> None:
    """Where it went on is not known any more: 404, and the backend begins again."""
    ids = [(await opened(backend, actorId="leaver"))["id"] for _ in range(2)]
    await backend.delete(f"/v1/sessions/{ids[0]}")
    answer = await backend.get(sessions_of("leaver"), params={"after": ids[0]})
    assert (answer.status_code, answer.json()["code"]) == (404, "noSession")
