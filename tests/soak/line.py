"""
One WebSocket that writes down all that goes over it.
"""

import asyncio
import logging
import string
from contextlib import suppress
from typing import Any

import msgpack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.soak.record import Answered, Asked, Connection, Heard
from tests.soak.recorder import Recorder, Ticket

CONNECT_S = 20.0
REPLY_S = 60.0

logging.getLogger("websockets").setLevel(logging.CRITICAL)


class Lost(Exception):
    """The connection is gone, or going: what was asked and not answered is unknown."""


class Line:
    """
    Commands one at a time, and whatever comes in meanwhile.

    Attributes:
        cursor: The greatest cursor that was seen on it.
        ended: The sessions that it was told have ended.
        opened: The key that the last login on it was given.
        reconnect_after_s: When the node that goes away wants to be left for another.
    """

    def __init__(self, recorder: Recorder, websocket: ClientConnection, actor_id: str) -> None:
        self.connection: Connection = recorder.connect(actor_id)
        self.cursor = 0
        self.ended: set[str] = set()
        self.opened: Ticket | None = None
        self.reconnect_after_s: float | None = None
        self.is_closed = asyncio.Event()
        self._recorder = recorder
        self._websocket = websocket
        self._last_id = 0
        self._asked: tuple[Asked, asyncio.Future[Answered]] | None = None
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, recorder: Recorder, url: str, actor_id: str) -> "Line":
        """
        Connect.

        Raises:
            Lost: If nobody takes the connection.
        """
        try:
            websocket = await connect(
                url,
                subprotocols=["keystay.v1"],  # type: ignore[list-item]
                compression=None,
                ping_interval=None,
                open_timeout=CONNECT_S,
                close_timeout=CONNECT_S,
                proxy=None,
            )
        except (OSError, TimeoutError, WebSocketException):
            raise Lost from None
        return cls(recorder, websocket, actor_id)

    async def ask(self, asked: Asked, *params: Any) -> Answered:
        """
        Send a command and return its reply.

        Raises:
            Lost: If the connection broke before.
        """
        if self.is_closed.is_set() or self.reconnect_after_s is not None:
            raise Lost
        self._last_id += 1
        answer: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        # Whoever sends may learn of the end first, and never look at the answer.
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._asked = asked, answer
        self.connection.log.append(asked)
        try:
            async with asyncio.timeout(REPLY_S):
                message = msgpack.packb([0, self._last_id, asked.method, list(params)])
                await self._websocket.send(message)
                return await answer
        except WebSocketException:
            raise Lost from None
        except TimeoutError:
            self.abort()
            raise Lost from None
        finally:
            self._asked = None

    def abort(self) -> None:
        """Go without a goodbye."""
        self._websocket.transport.abort()

    async def close(self) -> None:
        """Say goodbye and go."""
        with suppress(WebSocketException, OSError):
            await self._websocket.close()
        await self._reader

    async def _read(self) -> None:
        try:
            async for message in self._websocket:
                assert isinstance(message, bytes)
                self._take(msgpack.unpackb(message))
        except (WebSocketException, OSError):
            pass
        finally:
            self.connection.closed = self._recorder.now()
            self.is_closed.set()
            if self._asked is not None and not self._asked[1].done():
                self._recorder.counts[f"{self._asked[0].method}: no answer"] += 1
                self._asked[1].set_exception(Lost())

    def _take(self, message: Any) -> None:
        match message:
            case [1, int(), error, result]:
                self._take_reply(error, result)
            case [2, str(name), [data, cursor]]:
                self._take_event(name, data, cursor)
            case _:
                raise ValueError("not a frame that a server may send")

    def _take_reply(self, error: str | None, result: Any) -> None:
        if self._asked is None:
            return  # It came too late; the connection was given up.
        asked, answer = self._asked
        outcome = "done" if error is None else error.rstrip(string.digits)
        self._recorder.counts[f"{asked.method}: {outcome}"] += 1
        session_id, cursor, is_recovered = "", None, False
        listed: tuple[str, ...] = ()
        if error is None and asked.method in ("session.restore", "session.login"):
            session_id, cursor = result["session"]["id"], result["cursor"]
            is_recovered = result["recovered"]
            self.cursor = max(self.cursor, cursor or 0)
            if asked.method == "session.login":
                self.opened = Ticket(result["session"]["key"], session_id)
                self._recorder.share(self.connection.actor_id, self.opened)
            else:
                self._recorder.counts[f"recovered {str(is_recovered).lower()}"] += 1
        elif error is None and asked.method == "session.list":
            listed = tuple(session["id"] for session in result)
        reply = Answered(
            self._recorder.now(), asked, error, session_id, cursor, is_recovered, listed
        )
        self.connection.log.append(reply)
        if not answer.done():
            answer.set_result(reply)

    def _take_event(self, name: str, data: Any, cursor: int | None) -> None:
        self.cursor = max(self.cursor, cursor or 0)
        self._recorder.counts[f"event {name}{'' if cursor else ', without a cursor'}"] += 1
        session_id, reason, number = "", "", None
        if name.startswith("session."):
            session_id, reason = data["id"], data.get("reason", "")
        elif name == "server.draining":
            self.reconnect_after_s = data["reconnectAfter"] / 1000
        else:
            number = data["number"]
        if name == "session.unset":
            self.ended.add(session_id)
            self._recorder.withdraw(self.connection.actor_id, session_id)
        self.connection.log.append(
            Heard(self._recorder.now(), name, cursor, session_id, reason, number)
        )
