"""
A listener to server-sent events, made from the standard (WHATWG HTML, section 9.2).
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.backend import backend_of

EVENT_S = 20.0


@dataclass(frozen=True, slots=True)
class Heard:
    """An event."""

    id: str
    name: str
    data: Any


class EventSource:
    """One connection; `last_id` is what it would come back with."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()
        self.response = response
        self.last_id = ""
        self.comments = 0
        self.is_complete = False
        """Whether it ended as it should, and did not break off."""

    async def begun(self) -> None:
        """Wait for the position that a stream begins with."""
        async with asyncio.timeout(EVENT_S):
            while not self.last_id:
                assert await self._block() is None

    async def event(self) -> Heard:
        """
        The next event.

        Raises:
            EOFError: If the stream has ended, or broke off.
        """
        async with asyncio.timeout(EVENT_S):
            while (heard := await self._block()) is None:
                pass
            return heard

    async def events(self, number: int) -> list[Heard]:
        """The next so many."""
        return [await self.event() for _ in range(number)]

    async def _block(self) -> Heard | None:
        fields: dict[str, str] = {}
        try:
            while line := await anext(self._lines):
                name, _, value = line.partition(":")
                self.comments += not name
                fields[name] = value.removeprefix(" ")
        except StopAsyncIteration:
            self.is_complete = True
            raise EOFError from None
        except httpx.HTTPError:
            raise EOFError from None
        self.last_id = fields.get("id", self.last_id)
        if "data" not in fields:
            return None
        return Heard(self.last_id, fields.get("event", "message"), json.loads(fields["data"]))


@asynccontextmanager
async def listening(
    control: str, api_key: str = "test-api-key", last_id: str = "", **params: Any
) -> AsyncIterator[EventSource]:
    """Listen to the feed of the server with this control port."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    async with (
        backend_of(control, api_key, timeout=None) as client,
        client.stream("GET", "/v1/feed", headers=headers, params=params) as response,
    ):
        yield EventSource(response)
