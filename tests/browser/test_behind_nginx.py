"""
The dashboard behind nginx: below a path, over plain HTTP and over TLS, under any name.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, expect

import keystay
from tests.browser.conftest import API_KEY, SOON_MS
from tests.support.certificate import make_certificate
from tests.support.chromium import browsing
from tests.support.deploy.front import running_nginx
from tests.support.server_process import ServerProcess, serving
from tests.support.valkey import free_port

pytestmark = pytest.mark.long

NAME = "keystay.example"
ODD = "a/../b"

_CONF = """
server {{
    listen 127.0.0.1:{http};
    listen 127.0.0.1:{https} ssl;
    ssl_certificate {directory}/certificate.pem;
    ssl_certificate_key {directory}/key.pem;
    location /ks/ {{
        # The slash at the end cuts off /ks, decodes the path and removes its dot segments.
        proxy_pass http://{control}/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
    }}
    location / {{ return 418; }}
}}
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A server, and nginx in front of its control port."""

    server: ServerProcess
    http: str
    https: str


@asynccontextmanager
async def site(directory: Path) -> AsyncIterator[Site]:
    """Run both."""
    make_certificate(directory)
    http, https = free_port(), free_port()
    async with serving(env={"KEYSTAY_API_KEY": API_KEY}) as server:
        control = urlsplit(server.control).netloc
        conf = _CONF.format(http=http, https=https, control=control, directory=directory)
        async with running_nginx(conf, directory):
            yield Site(server, f"http://{NAME}:{http}/ks/", f"https://{NAME}:{https}/ks/")


@asynccontextmanager
async def page_of() -> AsyncIterator[Page]:
    """A page in a browser that finds nginx under the name."""
    async with browsing(f"--host-resolver-rules=MAP {NAME} 127.0.0.1") as browser:
        context = await browser.new_context(ignore_https_errors=True)
        context.set_default_timeout(SOON_MS)
        yield await context.new_page()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_dashboard_works_below_a_path(tmp_path: Path, scheme: str) -> None:
    """Log in, see an actor with an odd id, end its session, log out: all of it below /ks/."""
    async with site(tmp_path) as here, page_of() as page:
        elsewhere: list[str] = []
        page.on("request", lambda request: elsewhere.append(urlsplit(request.url).path))
        url = here.https if scheme == "https" else here.http
        async with keystay.Control(here.server.control, API_KEY) as control:
            await control.create_session(ODD, meta={"name": "Ada"})
            await control.create_session("b", meta={"name": "Bob"})
        await page.goto(url)
        await page.get_by_label("API key").fill("wrong")
        await page.get_by_role("button", name="Log in").click()
        await expect(page.get_by_text("not an API key")).to_be_visible()
        await page.get_by_label("API key").fill(API_KEY)
        await page.get_by_role("button", name="Log in").click()
        await page.get_by_role("button", name="Log out").wait_for()
        assert page.url.startswith(url)
        [cookie] = await page.context.cookies(url)
        assert (cookie["path"], cookie["secure"]) == ("/ks", scheme == "https")
        await page.get_by_label("Actor or session id").fill(ODD)
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Ada")).to_be_visible()
        await expect(page.get_by_text("Bob")).to_have_count(0)
        await page.get_by_role("button", name="End session").first.click()
        await page.get_by_role("button", name="End session", exact=True).last.click()
        await expect(page.get_by_text("No live sessions")).to_be_visible()
        await page.get_by_role("button", name="Log out").click()
        await page.get_by_label("API key").wait_for()
        assert [path for path in elsewhere if not path.startswith("/ks/")] == []


async def test_a_backend_reaches_every_actor_below_a_path(tmp_path: Path) -> None:
    """nginx decodes and normalizes paths here; ids are not in them."""
    async with site(tmp_path) as here:
        url = here.http.replace(NAME, "127.0.0.1")
        async with keystay.Control(url, API_KEY) as control:
            for actor in (ODD, "b", "a//b", "%2e%2e", "Zoë", "a?b#c"):
                opened = await control.create_session(actor)
                listed = [session.id async for session in control.list_sessions(actor)]
                assert listed == [opened.id]
                assert await control.emit_to_actor(actor, "mail") > 0
                assert await control.connections(actor) == []
            for actor in (ODD, "a//b", "%2e%2e"):
                assert await control.revoke_sessions(actor) == 1
            assert len([session async for session in control.list_sessions("b")]) == 1
