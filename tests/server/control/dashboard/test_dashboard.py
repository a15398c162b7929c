"""
`control/dashboard/`: logging in, the cookie, requests from elsewhere, headers.
"""

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

import keystay_server.control.dashboard as package
from keystay_server.control.dashboard.cookie import COOKIE
from tests.server.control.conftest import API_KEY
from tests.support.asking import logged
from tests.support.backend import backend_of
from tests.support.raw_client import connected
from tests.support.server.strict import FROM_ELSEWHERE, assert_is_strict
from tests.support.server_process import ServerProcess, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

SESSIONS = "/v1/actors/alice/sessions"
TOKEN = "X-Keystay-Csrf"
ASSETS = sorted(file.name for file in Path(package.__path__[0], "assets").iterdir())


def origin(client: httpx.AsyncClient) -> str:
    """The headers of a browser, from a page of this server."""
    return str(client.base_url).rstrip("/")


async def log_in(
    client: httpx.AsyncClient, key: str = API_KEY, **headers: str
) -> httpx.Response:
    """Send the form."""
    return await client.post(
        "/login", data={"key": key}, headers={"Origin": origin(client), **headers}
    )


async def token_in_page(client: httpx.AsyncClient) -> str:
    """What the dashboard's page gives its scripts to send along."""
    page = (await client.get("/")).text
    found = re.search(r'<meta name="keystay-csrf" content="([^"]+)">', page)
    assert found
    return unescape(found[1])


@pytest_asyncio.fixture(loop_scope="session")
async def browser(server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    """A client with cookies of its own, and without the API key."""
    async with backend_of(server.control) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(browser: httpx.AsyncClient) -> httpx.AsyncClient:
    """The same, logged in."""
    assert (await log_in(browser)).status_code == 303
    return browser


async def test_without_a_cookie_there_is_the_login_page(browser: httpx.AsyncClient) -> None:
    """`GET /` asks for the API key, in a field that does not show it."""
    answer = await browser.get("/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert '<form method="post" action="login"' in answer.text
    assert re.search(r'<input[^>]+name="key" type="password"', answer.text)
    assert "keystay-csrf" not in answer.text


async def test_the_key_opens_the_dashboard(browser: httpx.AsyncClient) -> None:
    """The log-in leads to the dashboard; the key is neither in the cookie nor in the page."""
    answer = await log_in(browser)
    assert answer.status_code == 303
    assert answer.headers["Location"] == "./"
    page = await browser.get("/")
    assert 'id="find-actor"' in page.text
    assert await token_in_page(browser)
    assert API_KEY not in page.text + str(answer.headers)


async def test_the_cookie_is_the_browsers_alone(browser: httpx.AsyncClient) -> None:
    """No script reads it, no other site's page sends it, and it ends after 12 hours."""
    cookie = (await log_in(browser)).headers["Set-Cookie"]
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert attributes == {"httponly", "samesite=strict", "max-age=43200"}


async def test_behind_tls_the_cookie_is_for_tls(browser: httpx.AsyncClient) -> None:
    """Where the browser says that it is at an https page, the cookie is `Secure`."""
    answer = await log_in(browser, Origin=origin(browser).replace("http:", "https:"))
    assert "; secure" in answer.headers["Set-Cookie"].lower()


@pytest.mark.parametrize("key", ["wrong", "", API_KEY + "x", "k\xe9y"])
async def test_a_wrong_key_is_an_error_on_the_page(
    browser: httpx.AsyncClient, key: str
) -> None:
    """The same page again, with an error and without a cookie, and not with the key."""
    answer = await log_in(browser, key)
    assert answer.status_code == 403
    assert "That is not an API key of this server." in answer.text
    assert "Set-Cookie" not in answer.headers
    assert not key or key not in answer.text


async def test_the_address_of_the_form_leads_home(browser: httpx.AsyncClient) -> None:
    """The address after a wrong key leads to the login page."""
    answer = await browser.get("/login")
    assert (answer.status_code, answer.headers["Location"]) == (303, "./")


@pytest.mark.parametrize(
    ("scheme", "host", "status"),
    [
        ("http", "keystay.example", 303),
        ("http", "keystay.example:8331", 303),
        ("https", "keystay.example", 303),
        ("http", "KEYSTAY.example", 303),
        ("ftp", "keystay.example", 403),
    ],
)
async def test_a_login_works_under_any_name(
    browser: httpx.AsyncClient, scheme: str, host: str, status: int
) -> None:
    """Browsers send `Origin` alone over plain HTTP; a proxy passes the name on."""
    for port in ("", ":443" if scheme == "https" else ":80"):
        default = "" if ":" in host else port
        answer = await log_in(browser, Origin=f"{scheme}://{host.lower()}", Host=host + default)
        assert answer.status_code == status


@pytest.mark.parametrize(
    "foreign", ["null", "http://evil.example", "http://[", "keystay.example", "http://"]
)
async def test_a_form_from_elsewhere_is_explained(
    browser: httpx.AsyncClient, foreign: str
) -> None:
    """The page says what came, for people who set up a proxy: 403, and no cookie."""
    answer = await log_in(browser, Origin=foreign, Host="keystay.example")
    assert answer.status_code == 403
    assert answer.headers["Content-Type"].startswith("text/html")
    assert (
        f"The form comes from {foreign}, and the request is for keystay.example" in answer.text
    )
    assert "Set-Cookie" not in answer.headers


async def test_a_proxy_may_say_that_it_is_tls(browser: httpx.AsyncClient) -> None:
    """`X-Forwarded-Proto: https` makes the cookie `Secure`, where a browser has no Origin."""
    headers = {"Sec-Fetch-Site": "same-origin", "X-Forwarded-Proto": "https"}
    answer = await browser.post("/login", data={"key": API_KEY}, headers=headers)
    assert "; secure" in answer.headers["Set-Cookie"].lower()


async def test_what_is_no_form_is_no_key(browser: httpx.AsyncClient) -> None:
    """A body that is something else is answered like a wrong key; one too long is not read."""
    headers = {"Origin": origin(browser)}
    answer = await browser.post("/login", content=b"\xff\x00", headers=headers)
    assert answer.status_code == 403
    answer = await browser.post("/login", content=b"key=" + b"x" * 66_000, headers=headers)
    assert answer.status_code == 413


async def test_the_cookie_counts_with_the_token_only(visitor: httpx.AsyncClient) -> None:
    """A request that a page of another site has the browser send lacks it, and gets 403."""
    assert (await visitor.get(SESSIONS)).status_code == 403
    assert (await visitor.get(SESSIONS, headers={TOKEN: "guess"})).status_code == 403
    token = await token_in_page(visitor)
    assert (await visitor.get(SESSIONS, headers={TOKEN: token})).status_code == 200


async def test_the_token_is_nothing_without_the_cookie(
    visitor: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    """Alone it opens nothing."""
    token = await token_in_page(visitor)
    assert (await stranger.get(SESSIONS, headers={TOKEN: token})).status_code == 401


@pytest.mark.parametrize("said", FROM_ELSEWHERE, ids=repr)
async def test_a_change_from_elsewhere_is_refused(
    visitor: httpx.AsyncClient, said: dict[str, str]
) -> None:
    """Even with cookie and token, a change must come from our page, by the browser's word."""
    headers = {TOKEN: await token_in_page(visitor), **said}
    assert (await visitor.delete(SESSIONS, headers=headers)).status_code == 403
    assert (await visitor.post("/logout", headers=headers)).status_code == 403
    assert (
        await visitor.post("/login", data={"key": API_KEY}, headers=said)
    ).status_code == 403


async def test_a_change_from_our_page_is_made(
    visitor: httpx.AsyncClient, backend: httpx.AsyncClient
) -> None:
    """With cookie, token, and a word of the browser about where it is from."""
    for said in ({"Origin": origin(visitor)}, {"Sec-Fetch-Site": "same-origin"}):
        await backend.post("/v1/sessions", json={"actorId": "walter"})
        headers = {TOKEN: await token_in_page(visitor), **said}
        answer = await visitor.delete("/v1/actors/walter/sessions", headers=headers)
        assert answer.json() == {"ended": 1}


async def test_a_bearer_key_counts_before_the_cookie(visitor: httpx.AsyncClient) -> None:
    """A backend that sends a wrong key is not let in by a cookie that it happens to have."""
    headers = {"Authorization": "Bearer wrong", TOKEN: await token_in_page(visitor)}
    assert (await visitor.get(SESSIONS, headers=headers)).status_code == 401


async def test_logging_out_forgets_the_cookie(visitor: httpx.AsyncClient) -> None:
    """The login page is there again. A second logout succeeds too."""
    headers = {TOKEN: await token_in_page(visitor), "Origin": origin(visitor)}
    for _ in range(2):
        assert (await visitor.post("/logout", headers=headers)).status_code == 204
        assert not visitor.cookies
    assert 'action="login"' in (await visitor.get("/")).text


async def test_a_cookie_outlives_a_restart() -> None:
    """A server that comes back with the same API key knows who is logged in."""
    async with backend_of() as client:
        async with serving() as server:
            headers = {"Origin": server.control}
            await client.post(
                f"{server.control}/login", data={"key": "test-api-key"}, headers=headers
            )
        async with serving() as server:
            assert "keystay-csrf" in (await client.get(f"{server.control}/")).text
        async with serving(env={"KEYSTAY_API_KEY": "another"}) as server:
            assert "keystay-csrf" not in (await client.get(f"{server.control}/")).text


async def test_wrong_keys_are_throttled() -> None:
    """Of many in a row most get 429; a right key is let in all the same."""
    async with serving() as server, backend_of() as client:
        headers = {"Origin": server.control}

        async def answer(key: str) -> httpx.Response:
            return await client.post(
                f"{server.control}/login", data={"key": key}, headers=headers
            )

        answers = [await answer("wrong") for _ in range(60)]
        assert answers[0].status_code == 403
        assert answers[-1].status_code == 429
        assert answers[-1].headers["Retry-After"] == "1"
        assert "Too many wrong keys" in answers[-1].text
        assert (await answer("test-api-key")).status_code == 303


@pytest.mark.parametrize("path", ["/", *(f"/assets/{name}" for name in ASSETS)])
async def test_nothing_comes_from_elsewhere(browser: httpx.AsyncClient, path: str) -> None:
    """A strict policy on everything; no page or asset has a script or style in it."""
    assert_is_strict(await browser.get(path))


async def test_pages_are_not_kept_and_assets_are_asked_about(
    browser: httpx.AsyncClient,
) -> None:
    """A page is stored nowhere. An asset is, and 304 says that it is still the same."""
    assert (await browser.get("/")).headers.get_list("Cache-Control") == ["no-store"]
    answer = await browser.get("/assets/app.js")
    assert answer.headers.get_list("Cache-Control") == ["no-cache"]
    again = await browser.get(
        "/assets/app.js", headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


async def test_every_path_of_the_pages_is_relative(visitor: httpx.AsyncClient) -> None:
    """They work below any path of a proxy, and nothing is sent to another application."""
    pages = [await visitor.get(path) for path in ("/", "/demo")]
    visitor.cookies.clear()
    for page in [*pages, await visitor.get("/")]:
        assert re.findall(r'(?:href|src|action)="(/[^"]*)"', page.text) == []
    scripts = ["/assets/" + name for name in ASSETS if name.endswith(".js")]
    for path in scripts:
        text = (await visitor.get(path)).text
        assert re.findall(r"""["'`]/(?:v1|assets|login|logout|demo)""", text) == [], path


async def test_all_modules_are_loaded_at_once(visitor: httpx.AsyncClient) -> None:
    """The page names every module: none waits for another one that imports it."""
    page = (await visitor.get("/")).text
    modules = {name for name in ASSETS if name.endswith(".js")} - {"login.js"}
    assert set(re.findall(r'(?:href|src)="assets/(\w+\.js)"', page)) == modules


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fticket.py", "%2e%2e/ticket.py", ""])
async def test_only_assets_are_assets(browser: httpx.AsyncClient, name: str) -> None:
    """No other file is served, whatever the path says."""
    assert (await browser.get(f"/assets/{name}")).status_code == 404


async def test_a_link_on_another_site_is_followed_at_the_second_try(
    browser: httpx.AsyncClient,
) -> None:
    """A strict cookie is not sent then: the page reloads itself once."""
    for site, crossing in (("cross-site", "yes"), ("same-origin", "no"), ("none", "no")):
        page = (await browser.get("/", headers={"Sec-Fetch-Site": site})).text
        assert f'data-crossing="{crossing}"' in page


async def test_connections_are_listed(
    server: ServerProcess, backend: httpx.AsyncClient
) -> None:
    """`GET /v1/actors/{actorId}/connections`: node, session, address and since when."""
    async with connected(server.url) as client:
        key = await client.login("a/b ü")
        session = (await backend.get("/v1/actors/a%2Fb%20%C3%BC/sessions")).json()["sessions"][
            0
        ]
        answer = await backend.get("/v1/actors/a%2Fb%20%C3%BC/connections")
        [connection] = answer.json()["connections"]
        assert connection.keys() == {"node", "sessionId", "address", "since"}
        assert connection["sessionId"] == session["id"]
        assert connection["address"] == "127.0.0.1"
        assert abs(connection["since"] - session["createdAt"]) < 1000
        assert key not in answer.text
    assert (await backend.get("/v1/actors/nobody/connections")).json() == {"connections": []}
    assert (await backend.get(f"/v1/actors/{'x' * 129}/connections")).status_code == 400


async def test_forged_cookies_are_limited_and_logged_as_wrong_keys_are(
    tmp_path: Path,
) -> None:
    """A signature can be guessed no faster than a key; whoever is logged in is served."""
    log = tmp_path / "log"
    async with (
        serving(log=log, env={"KEYSTAY_API_KEY": API_KEY}) as server,
        backend_of(server.control) as forger,
        backend_of(server.control) as browser,
    ):
        assert (await log_in(browser)).status_code == 303
        forged = {"Cookie": f"{COOKIE}=v1.9999999999.ZGVmYXVsdA==.AAAA"}
        codes = {(await forger.get("/v1/stats", headers=forged)).status_code for _ in range(60)}
        assert codes == {401, 429}
        assert await token_in_page(browser)
        await logged(log, "wrong API key from 127.0.0.1")
