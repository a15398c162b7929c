"""
`control/auth.py`: who may use the API.
"""

import httpx
import pytest

from tests.server.control.conftest import API_KEY

pytestmark = pytest.mark.asyncio(loop_scope="session")

EVERY_PATH = [
    ("POST", "/v1/sessions"),
    ("GET", "/v1/sessions/some-id"),
    ("DELETE", "/v1/sessions/some-id"),
    ("GET", "/v1/actors/alice/sessions"),
    ("DELETE", "/v1/actors/alice/sessions"),
    ("GET", "/v1/no-such-path"),
]


@pytest.mark.parametrize(("method", "path"), EVERY_PATH)
async def test_nothing_is_told_without_the_key(
    stranger: httpx.AsyncClient, method: str, path: str
) -> None:
    """Below `/v1` a request without a key gets 401, whether the path exists or not."""
    answer = await stranger.request(method, path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="keystay"'
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"] == "send the API key as Authorization: Bearer"


@pytest.mark.parametrize(
    "header",
    [
        "Bearer wrong",
        f"Bearer {API_KEY}x",
        f"Bearer {API_KEY[:-1]}",
        "Bearer",
        "",
        API_KEY,
        f"Basic {API_KEY}",
        "Bearer K\xe4y",
    ],
)
async def test_a_wrong_key_is_refused(stranger: httpx.AsyncClient, header: str) -> None:
    """Anything but the key, as a bearer token, gets 401."""
    answer = await stranger.get(
        "/v1/actors/alice/sessions", headers={b"Authorization": header.encode("latin-1")}
    )
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="keystay", error="invalid_token"'


async def test_two_keys_are_none(stranger: httpx.AsyncClient) -> None:
    """Two Authorization headers are refused: a proxy may have looked at the other one."""
    answer = await stranger.get(
        "/v1/actors/alice/sessions",
        headers=[("Authorization", f"Bearer {API_KEY}"), ("Authorization", "Bearer x")],
    )
    assert answer.status_code == 401


async def test_the_scheme_is_known_in_any_case(stranger: httpx.AsyncClient) -> None:
    """`bearer` is as good as `Bearer` (RFC 9110, 11.1)."""
    answer = await stranger.get(
        "/v1/actors/alice/sessions", headers={"Authorization": f"bearer {API_KEY}"}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        {"key": "anything"},
        {"API_KEY": "anything"},
        {"access_token": API_KEY},
        {"reason": API_KEY},
        {"session": "alice:kst_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"},
    ],
)
@pytest.mark.parametrize("knows_key", [True, False])
async def test_a_key_in_the_url_is_refused(
    stranger: httpx.AsyncClient, query: dict[str, str], knows_key: bool
) -> None:
    """A key in the query gets 400 even beside a right one: whoever sends it must be told."""
    headers = {"Authorization": f"Bearer {API_KEY}"} if knows_key else {}
    answer = await stranger.get("/v1/actors/alice/sessions", params=query, headers=headers)
    assert answer.status_code == 400
    assert "never put a key into a URL" in answer.json()["detail"]
    assert API_KEY not in answer.text
