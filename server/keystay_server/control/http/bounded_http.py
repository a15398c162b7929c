"""
HTTP as uvicorn speaks it, with bounds on what is not a request yet.

uvicorn takes as many header lines as anybody cares to send, for as long as it
takes them, and it serves nobody while too many are connected; whoever sends
the lines, or sends nothing, needs no API key for it.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from keystay_server.control.http.room import Room

MAX_HEAD_BYTES = 32 * 1024
HEAD_S = 10.0
GOODBYE_S = 1.0


class BoundedHttp(HttpToolsProtocol):
    """
    Closes a connection whose next head is too long, or too long on its way.

    Args:
        room: What is shared by all of them.
    """

    def __init__(self, room: Room, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._room = room
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(  # type: ignore[override]  # as it is upstream
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > self._room.most:
            self._room.make()
        self._tell_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        self._room.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_timer is not None and self._head_bytes > MAX_HEAD_BYTES:
            self.send_400_response("The head of this request is too long.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        self._head_arrived()
        super().on_headers_complete()
        # To be rid of a client that takes nothing: closing would wait for it.
        self.scope["extensions"] = {"keystay": {"abort": self.transport.abort}}

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._tell_room()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._tell_room()

    def give_way(self) -> str:
        """Close; an answer that is still on its way gets a moment."""
        # What is being closed takes no place any more.
        self.connections.discard(self)
        self._head_arrived()
        self._head_timer = self.loop.call_later(GOODBYE_S, self.transport.abort)
        self.transport.close()
        return self.client[0] if self.client else "?"

    def _tell_room(self) -> None:
        # `cycle` is the newest request; those before it are in the pipeline, or the one that
        # is being answered, and have arrived as a whole.
        last = self.cycle
        was_answered = last is not None and last.response_complete
        if last is not None and not was_answered and (self.pipeline or not last.more_body):
            self._room.leave(self)
        else:
            self._room.wait(self, was_answered=was_answered)

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_bytes = 0
            self._head_timer = self.loop.call_later(HEAD_S, self._give_up)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        self.transport.close()
