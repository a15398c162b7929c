"""
uvicorn's HTTP protocol, with bounds on incomplete requests.

uvicorn accepts any number of header lines, without a deadline, and answers 503 while too many
are connected. None of it needs an API key.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from keystay_server.control.http.idle_connections import IdleConnections

MAX_HEAD_BYTES = 32 * 1024
HEAD_S = 10.0
CLOSE_S = 1.0


class BoundedHttp(HttpToolsProtocol):
    """
    Closes a connection whose next request head is too long or too late.

    Args:
        idle: Shared by all connections of the port.
    """

    def __init__(self, idle: IdleConnections, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._idle = idle
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(  # type: ignore[override]  # as it is upstream
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > self._idle.max_connections:
            self._idle.evict_idle()
        self._update_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        self._idle.discard(self)
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
        # For a client that reads nothing: `close` would wait for it.
        self.scope["extensions"] = {"keystay": {"abort": self.transport.abort}}

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._update_idle()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._update_idle()

    def evict(self) -> str:
        """Close; a response in the send buffer gets a second."""
        # uvicorn counts this set.
        self.connections.discard(self)
        self._head_arrived()
        self._head_timer = self.loop.call_later(CLOSE_S, self.transport.abort)
        self.transport.close()
        return self.client[0] if self.client else "?"

    def _update_idle(self) -> None:
        # `cycle` is the newest request; earlier ones are complete: they are in the pipeline, or
        # being answered.
        last = self.cycle
        was_answered = last is not None and last.response_complete
        if last is not None and not was_answered and (self.pipeline or not last.more_body):
            self._idle.discard(self)
        else:
            self._idle.add(self, was_used=was_answered)

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
