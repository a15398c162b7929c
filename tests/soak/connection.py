"""
One WebSocket that records all that goes over it.
"""

import asyncio
import logging
import string
from contextlib import suppress
from typing import Any

import msgpack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.soak.nodes import Node
from tests.soak.record import Command, Connection, Event, Reply
from tests.soak.recorder import Recorder, SharedKey, state_of

CONNECT_S = 20.0
REPLY_S = 60.0

logging.getLogger("websockets").setLevel(logging.CRITICAL)


class Lost(Exception):
    """The connection is gone, or going: what was asked and not answered is unknown."""


class Client:
    """
    Commands one at a time, and whatever comes in meanwhile.

    Attributes:
        cursors: The greatest cursor that was seen on it, of each actor.
        ended: The sessions whose end it received.
        opened: The key that the last login on it was given.
        reconnect_after_s: When to connect again, if the node goes away.
    """

    def __init__(self, recorder: Recorder, websocket: ClientConnection, node: int) -> None:
        self.connection: Connection = recorder.connect(node)
        self.cursors: dict[str, int] = {}
        self.ended: set[str] = set()
        self.opened: SharedKey | None = None
        self.reconnect_after_s: float | None = None
        self.is_closed = asyncio.Event()
        self._recorder = recorder
        self._websocket = websocket
        self._last_id = 0
        self._asked: tuple[Command, asyncio.Future[Reply]] | None = None
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, recorder: Recorder, node: Node) -> "Client":
        """
        Connect.

        Raises:
            Lost: If nobody takes the connection.
        """
        try:
            websocket = await connect(
                node.url,
                subprotocols=["keystay.v1"],  # type: ignore[list-item]
                compression=None,
                ping_interval=None,
                open_timeout=CONNECT_S,
                close_timeout=CONNECT_S,
                proxy=None,
            )
        except (OSError, TimeoutError, WebSocketException):
            raise Lost from None
        return cls(recorder, websocket, node.number)

    async def ask(self, command: Command, *params: Any) -> Reply:
        """
        Send a command and return its reply.

        Raises:
            Lost: If the connection broke before.
        """
        if self.is_closed.is_set() or self.reconnect_after_s is not None:
            raise Lost
        self._last_id += 1
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        # Whoever sends may learn of the end first, and never look at the reply.
        reply.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._asked = command, reply
        self.connection.log.append(command)
        try:
            async with asyncio.timeout(REPLY_S):
                message = msgpack.packb([0, self._last_id, command.method, list(params)])
                await self._websocket.send(message)
                return await reply
        except WebSocketException:
            raise Lost from None
        except TimeoutError:
            self.abort()
            raise Lost from None
        finally:
            self._asked = None

    def abort(self) -> None:
        """Break the connection."""
        self._websocket.transport.abort()

    async def close(self) -> None:
        """Close the connection as it should be."""
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
        command, waiting = self._asked
        reply = Reply(self._recorder.now(), command, error)
        if error is None and command.method in ("session.restore", "session.login"):
            reply = self._bound(reply, result)
        elif error is None and command.method == "session.list":
            listed = tuple(session["id"] for session in result)
            reply = Reply(reply.at, command, listed=listed)
        outcome = "done" if error is None else error.rstrip(string.digits)
        self._recorder.counts[f"{command.method}: {outcome}"] += 1
        self.connection.log.append(reply)
        if not waiting.done():
            waiting.set_result(reply)

    def _bound(self, reply: Reply, result: Any) -> Reply:
        """Take the session that the connection is bound to now."""
        command, session, cursor = reply.command, result["session"], result["cursor"]
        is_recovered = result["recovered"]
        self._keep_cursor(session["actorId"], cursor)
        if command.method == "session.login":
            self.opened = SharedKey(session["key"], session["id"], session["actorId"])
            self._recorder.share(self.opened)
        else:
            self._recorder.counts[f"recovered {str(is_recovered).lower()}"] += 1
        return Reply(
            reply.at,
            command,
            session_id=session["id"],
            cursor=cursor,
            recovered=is_recovered,
            state=_state(session),
            expires_at=session["expiresAt"],
        )

    def _take_event(self, name: str, data: Any, cursor: int | None) -> None:
        self._recorder.counts[f"event {name}{'' if cursor else ', without a cursor'}"] += 1
        at = self._recorder.now()
        match name:
            case "session.set":
                actor_id = data["actorId"]
                self._recorder.note(data["id"], actor_id)
                event = Event(
                    at,
                    name,
                    cursor,
                    actor_id,
                    data["id"],
                    state=_state(data),
                    expires_at=data["expiresAt"],
                )
            case "session.unset":
                actor_id = self._recorder.actor_of(data["id"])
                event = Event(at, name, cursor, actor_id, data["id"], data["reason"])
                self.ended.add(data["id"])
                self._recorder.withdraw(data["id"])
            case "server.draining":
                actor_id, event = "", Event(at, name, cursor)
                self.reconnect_after_s = data["reconnectAfter"] / 1000
            case _:
                actor_id = data["actorId"]
                event = Event(at, name, cursor, actor_id, number=data["number"])
        self._keep_cursor(actor_id, cursor)
        self.connection.log.append(event)

    def _keep_cursor(self, actor_id: str, cursor: int | None) -> None:
        self.cursors[actor_id] = max(self.cursors.get(actor_id, 0), cursor or 0)


def _state(session: Any) -> str:
    return state_of(session["meta"].get("number"), session["language"])
