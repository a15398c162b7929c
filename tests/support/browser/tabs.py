"""
Tabs of one browser, each with a JavaScript client, and the server that their page comes from.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from playwright.async_api import BrowserContext, Page

from tests.support.browser.pages import serving_pages
from tests.support.paths import ROOT

PAGE = """
<!doctype html>
<title>A tab</title>
<script type="module">
  import { connect } from "/keystay.min.js";
  const [server, options] = JSON.parse(decodeURIComponent(location.hash.slice(1)));
  const client = connect(server, options);
  const heard = [];
  client.on("", (name, data) => heard.push([name, data]));
  Object.assign(window, { client, heard });
</script>
"""
SOON_MS = 5000
POLL_MS = 10


class Tab:
    """A page with a client, `client`, and all that it has heard, `heard`."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def run(self, script: str, argument: Any = None) -> Any:
        """Evaluate this, with the argument as `a`, and wait for it if it is a promise."""
        return await self.page.evaluate(f"(a) => {script}", argument)

    async def until(self, script: str, argument: Any = None) -> None:
        """Wait until this is true."""
        await self.page.wait_for_function(
            f"(a) => {script}", arg=argument, polling=POLL_MS, timeout=SOON_MS
        )

    async def heard(self, name: str) -> list[Any]:
        """The data of all events of this name, in order."""
        data: list[Any] = await self.run(
            "heard.filter((e) => e[0] === a).map((e) => e[1])", name
        )
        return data

    async def until_heard(self, name: str, count: int = 1) -> None:
        """Wait for that many events of this name."""
        await self.until("heard.filter((e) => e[0] === a[0]).length >= a[1]", [name, count])

    async def until_state(self, state: str) -> None:
        """Wait until the client is in this state."""
        await self.until("client.state === a", state)


class Site:
    """Where the page comes from."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.context = context
        self._origin = origin

    async def tab(self, server: str, **options: Any) -> Tab:
        """Open a tab with a client of this server."""
        page = await self.context.new_page()
        # One name for all: tabs may reach the same server through different relays.
        asked = json.dumps([server, {"storageName": "keystay"} | options])
        await page.goto(f"{self._origin}/#{quote(asked)}")
        tab = Tab(page)
        await tab.until("window.client")
        return tab


@contextmanager
def site_in(context: BrowserContext) -> Iterator[Site]:
    """Serve the page to this browser."""
    bundle = (ROOT / "client_js/dist/keystay.min.js").read_text()
    files = {"/index.html": PAGE, "/keystay.min.js": bundle, "/favicon.ico": ""}
    with serving_pages(files) as origin:
        yield Site(context, origin)
