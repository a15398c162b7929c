"""
`control/auth.py`: who may use the API.
"""

import asyncio
import hashlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from keystay_server.control.auth.rights import Right
from keystay_server.control.auth.wrong_keys import ADDRESS_BURST
from tests.server.control.conftest import API_KEY
from tests.support.asking import until
from tests.support.backend import backend_of
from tests.support.server.flood import bystander
from tests.support.server_process import ServerProcess, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEYS = {right: f"a-key-for-{right}-alone" for right in Right}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def many_keys(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    """A server with a key for each scope, beside the default one."""
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    tables = (
        f'[{right}]\nkey = "{key}"\nscopes = ["{right}"]\n' for right, key in KEYS.items()
    )
    file.write_text("".join(tables))
    async with serving(
        "--api-keys-file", str(file), env={"KEYSTAY_API_KEY": API_KEY}
    ) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def table(stranger: httpx.AsyncClient) -> list[tuple[str, str, str]]:
    """Method, path and scope of every operation that takes a scope."""
    document = (await stranger.get("/v1/openapi.json")).json()
    return [
        (method.upper(), path.format(id="YQ.0000000000000000", actorId="alice"), scope)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        for security in operation["security"]
        for scope in security["apiKey"]
    ]


async def test_what_each_scope_is_for(table: list[tuple[str, str, str]]) -> None:
    """Looking takes `read`, what concerns sessions `sessions`, and speaking `events`."""
    assert len(table) >= 10
    for method, path, scope in table:
        if method == "GET":
            assert scope == "read", path
        elif path.endswith(("/events", "/emit", "/broadcast")):
            assert scope == "events", path
        else:
            assert scope == "sessions", path


async def test_nothing_is_answered_without_a_key(
    stranger: httpx.AsyncClient, table: list[tuple[str, str, str]]
) -> None:
    """Below `/v1` a request without a key gets 401, whether the path exists or not."""
    for method, path, _ in [*table, ("GET", "/v1/no-such-path", "")]:
        answer = await stranger.request(method, path)
        assert answer.status_code == 401, path
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="keystay"'
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["detail"] == "send the API key as Authorization: Bearer"


@pytest.mark.parametrize("right", Right)
async def test_a_key_can_do_what_its_scopes_say(
    many_keys: ServerProcess, table: list[tuple[str, str, str]], right: Right
) -> None:
    """An operation of another scope gets 403, which names the scope; `admin` has them all."""
    async with backend_of(many_keys.control, KEYS[right]) as client:
        for method, path, scope in table:
            async with client.stream(method, path) as answer:
                if right in (scope, Right.ADMIN):
                    # Its status is enough: a feed never ends.
                    assert answer.status_code in (200, 204, 400, 404), path
                    continue
                await answer.aread()
            assert answer.status_code == 403, path
            assert answer.json()["code"] == "insufficientScope"
            assert (
                answer.json()["detail"]
                == f"this needs the scope {scope}, which the key does not have"
            )
            assert f'scope="{scope}"' in answer.headers["WWW-Authenticate"]


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
        {"apikey": "anything"},
        {"token": "anything"},
        {"access_token": API_KEY},
        {"reason": "ksa_that-nobody-knows"},
        {"session": "alice:kst_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"},
    ],
)
@pytest.mark.parametrize("knows_key", [True, False])
async def test_what_looks_like_a_key_in_the_url_is_refused(
    stranger: httpx.AsyncClient, query: dict[str, str], knows_key: bool
) -> None:
    """It gets 400 by its name or its shape, good or not, even beside a right key."""
    headers = {"Authorization": f"Bearer {API_KEY}"} if knows_key else {}
    answer = await stranger.get("/v1/actors/alice/sessions", params=query, headers=headers)
    assert answer.status_code == 400
    assert "never put a key into a URL" in answer.json()["detail"]
    assert API_KEY not in answer.text


async def test_a_key_of_any_shape_in_the_url_is_refused_beside_itself(
    backend: httpx.AsyncClient,
) -> None:
    """A key that is also sent in the URL is refused, under any name."""
    answer = await backend.get(f"/v1/actors/alice/sessions?reason={API_KEY}&reason=")
    assert answer.status_code == 400
    assert "never put a key into a URL" in answer.json()["detail"]
    assert API_KEY not in answer.text


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}])
async def test_the_url_does_not_reveal_whether_a_key_is_valid(
    stranger: httpx.AsyncClient, header: dict[str, str]
) -> None:
    """Who has no key gets 401, whether there is a good one in the query or not."""
    for guess in (API_KEY, "guess"):
        answer = await stranger.get("/v1/stats", params={"q0": guess}, headers=header)
        assert answer.status_code == 401


async def test_many_query_parameters_are_refused(stranger: httpx.AsyncClient) -> None:
    """They are parsed before authentication: at most 128."""
    answer = await stranger.get(f"/v1/actors/alice/sessions?{'&'.join(['a=1'] * 129)}")
    assert answer.status_code == 400


async def requests(server: ServerProcess, key: str, number: int) -> list[int]:
    """Send so many requests at once over one connection; their statuses, in order."""
    parts = urlsplit(server.control)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    statuses = []
    try:
        for _ in range(number):
            writer.write(
                b"GET /v1/actors/alice/sessions HTTP/1.1\r\nHost: x\r\n"
                b"Authorization: Bearer " + key.encode() + b"\r\n\r\n"
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            await reader.readexactly(length)
            statuses.append(int(head[9:12]))
    finally:
        writer.close()
    return statuses


@pytest.mark.long
async def test_10_000_wrong_keys() -> None:
    """
    The first few are told so, and the rest to slow down; a right key is served all along.

    Neither memory nor the latency of others grows.
    """
    async with serving() as server, bystander(server), asyncio.timeout(60):
        floods = [asyncio.create_task(requests(server, f"wrong-{n}", 2500)) for n in range(4)]
        right = await requests(server, "test-api-key", 200)
        wrong = [status for statuses in await asyncio.gather(*floods) for status in statuses]
    assert right == [200] * 200
    assert len(wrong) == 10_000
    assert ADDRESS_BURST <= wrong.count(401) < 1000
    assert wrong.count(401) + wrong.count(429) == 10_000


async def test_wrong_keys_are_answered_with_a_delay() -> None:
    """429 has it in the header and in the problem."""
    async with serving() as server:
        await requests(server, "wrong", ADDRESS_BURST)
        async with backend_of(server.control) as client:
            for _ in range(ADDRESS_BURST):
                answer = await client.get("/v1/x", headers={"Authorization": "Bearer wrong"})
                if answer.status_code == 429:
                    break
    assert answer.headers["Retry-After"] == "1"
    assert answer.json() == {
        "title": "Too Many Requests",
        "status": 429,
        "code": "rateLimited",
        "retryAfter": 1,
        "detail": "too many requests with a wrong API key",
    }


async def test_wrong_keys_count_together_wherever_they_are_sent() -> None:
    """Who has used up their guesses with the API has none left at the dashboard's log-in."""
    async with serving() as server:
        await requests(server, "wrong", 2 * ADDRESS_BURST)
        headers = {"Origin": server.control}
        async with backend_of(server.control, headers=headers) as client:
            answers = [
                await client.post("/login", data={"key": "wrong"}) for _ in range(ADDRESS_BURST)
            ]
    assert 429 in [answer.status_code for answer in answers]


async def served(server: ServerProcess, key: str) -> bool:
    """Tell whether this key is valid now."""
    async with backend_of(server.control) as client:
        answer = await client.get(
            "/v1/actors/alice/sessions", headers={"Authorization": f"Bearer {key}"}
        )
    assert answer.status_code in (200, 401, 429)
    return answer.status_code == 200


async def until_served(server: ServerProcess, key: str) -> None:
    """Wait until this key is good."""
    await until(lambda: served(server, key))


async def test_keys_are_exchanged_while_the_server_runs(tmp_path: Path) -> None:
    """SIGHUP reads the file and `keystay.key` anew: new keys are good, and old ones are not."""
    store, file = f"sqlite:///{tmp_path}/keystay.db", tmp_path / "keys.toml"
    shop = '[shop]\nsha256 = "{}"\nscopes = ["read"]\n'
    file.write_text(shop.format(hashlib.sha256(b"old").hexdigest()))
    environment = {"KEYSTAY_API_KEY": "", "KEYSTAY_API_KEYS_FILE": str(file)}
    async with serving("--store", store, env=environment) as server:
        assert await served(server, "old")
        file.write_text(shop.format(hashlib.sha256(b"new").hexdigest()))
        (tmp_path / "keystay.key").write_text("another-default\n")
        server.process.send_signal(signal.SIGHUP)
        await until_served(server, "new")
        assert await served(server, "another-default")
        assert not await served(server, "old")
        assert await server.terminate() == 0


async def test_keys_that_cannot_be_read_change_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """After a SIGHUP with a broken file the old keys are good, and the log says why."""
    file = tmp_path / "keys.toml"
    file.write_text('[shop]\nkey = "shop-key"\nscopes = ["read"]\n')
    async with serving("--api-keys-file", str(file)) as server:
        file.write_text('[shop]\nkey = "secret-of-the-shop\nscopes = ["read"]\n')
        server.process.send_signal(signal.SIGHUP)
        log = ""
        async with asyncio.timeout(10):
            while "what was read before stays in use" not in log:
                assert await served(server, "shop-key")
                log += capfd.readouterr().err
        assert await served(server, "shop-key")
        assert await server.terminate() == 0
    assert "the API key shop may be guessed" in log  # Since its start.
    assert "secret-of-the-shop" not in log
    assert "api_keys_file" in log
