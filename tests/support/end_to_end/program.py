"""
A program with one client, whatever language it is written in, as a scenario sees it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from tests.support.client_py.peer import WAIT_S

FAST = {"backoffBaseMs": 10, "backoffCapMs": 20}
"""Reconnects within a few hundredths of a second."""

Tell = Callable[[dict[str, Any]], None]
"""Takes what a program says by itself: `{"heard": [name, data]}`, `{"state": state}`."""


class Refused(Exception):
    """What was asked failed, with this code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Driver(Protocol):
    """
    Runs a program with one client, and again; what its session storage holds stays.

    What can be asked:

    - `connect` url, options (those of the JavaScript client): a client, once it is open
    - `call` method, args, options: the result of a command
    - `callBack` method, args: what the callback of the command was given
    - `look`: `{state, error, recovered, key, session}`
    """

    async def start(self) -> None:
        """Start the program."""

    async def ask(self, what: str, **request: Any) -> Any:
        """
        Ask the running program for something; sessions come without their keys.

        Raises:
            Refused: If it failed.
        """

    async def stop(self) -> None:
        """End the program as its user would, if it runs."""

    async def close(self) -> None:
        """End it for good."""


class Program:
    """What a scenario does with a program, and what was heard since it was started."""

    def __init__(self, make_driver: Callable[[Tell], Driver]) -> None:
        self.heard: list[tuple[str, Any]] = []
        """Name and data of each event, in order; keys left out."""
        self._states: list[str] = []
        self._news = asyncio.Event()
        self._driver = make_driver(self._tell)
        self._connect: Callable[[], Awaitable[Any]]

    async def start(self, url: str, **options: Any) -> None:
        """
        Start it, and connect.

        Args:
            options: Those of the JavaScript client, as far as the Python SDK has them.
        """
        await self._driver.start()
        self._connect = lambda: self._driver.ask("connect", url=url, options=FAST | options)
        await self._connect()

    async def stop(self) -> None:
        """End the program as its user would."""
        await self._driver.stop()

    async def close(self) -> None:
        """End it for good."""
        await self._driver.close()

    async def start_again(self) -> None:
        """Start it as it was started before."""
        self.heard.clear()
        self._states.clear()
        await self._driver.start()
        await self._connect()

    async def call(self, method: str, *args: Any, **options: Any) -> Any:
        """
        Give a command.

        Raises:
            Refused: If it fails, for whatever reason.
        """
        return await self._driver.ask("call", method=method, args=args, options=options)

    def give(self, method: str, *args: Any, **options: Any) -> asyncio.Task[Any]:
        """Give a command, and go on."""
        return asyncio.ensure_future(self.call(method, *args, **options))

    async def call_back(self, method: str, *args: Any) -> str | None:
        """Give a command with a callback; return what that was given."""
        code: str | None = await self._driver.ask("callBack", method=method, args=args)
        return code

    async def look(self) -> dict[str, Any]:
        """How things stand: `{state, error, recovered, key, session}`."""
        seen: dict[str, Any] = await self._driver.ask("look")
        return seen

    def told(self, name: str) -> list[Any]:
        """The data of each event of this name."""
        return [data for heard, data in self.heard if heard == name]

    @property
    def names(self) -> list[str]:
        """The name of each event."""
        return [name for name, _ in self.heard]

    async def until(self, name: str, count: int = 1) -> Any:
        """Wait until so many events of this name were heard; return the data of the last."""
        await self._until(lambda: len(self.told(name)) >= count)
        return self.told(name)[count - 1]

    async def enters(self, state: str) -> None:
        """Wait until the client has been in this state since the program was started."""
        await self._until(lambda: state in self._states)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(2 * WAIT_S):
            while not is_so():
                self._news.clear()
                await self._news.wait()

    def _tell(self, said: dict[str, Any]) -> None:
        if "heard" in said:
            name, data = said["heard"]
            self.heard.append((name, data))
        else:
            self._states.append(said["state"])
        self._news.set()


async def code_of(asked: Awaitable[Any]) -> str | None:
    """The code that something failed with, None if it did not."""
    try:
        await asked
    except Refused as refused:
        return refused.code
    return None
