"""
uvicorn's HTTP protocol, with bounds on everything that a peer sends or does not read.

uvicorn accepts any number of header lines, trailers and pipelined requests, without a deadline,
and trailers become headers. None of it needs an API key. Here:

- Bytes are parsed in small slices, and not while a request waits for the response before it.
  At most the requests of one slice are queued; the rest stays in the socket.
- A head has at most 32 KiB and 10 s. Trailers are dropped. Chunk sizes, extensions and trailers
  have at most 16 KiB and 8 bytes for each byte of the body.
- A body that is sent after the response has 10 s and 256 KiB.
- A response that nobody reads for 15 s ends the connection.
"""

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from keystay_server.control.http.idle_connections import IdleConnections

MAX_HEAD_BYTES = 32 * 1024
HEAD_S = 10.0
MAX_BODY_BYTES = 256 * 1024
"""What handlers read is less. This is for bodies that none of them reads."""
FRAMING_BYTES, FRAMING_PER_BYTE = 16 * 1024, 8
LATE_BODY_S = 10.0
UNREAD_S = 15.0
"""More than the feed allows: it has a deadline of its own, and counts slow subscribers."""
CLOSE_S = 1.0
SLICE_BYTES = 512
MAX_HELD_BYTES = 1024 * 1024
_HOP_BY_HOP = (b"connection", b"upgrade")


class HeldFlow(FlowControl):
    """Keeps reading paused while it is held: uvicorn resumes it for each request."""

    is_held = False

    def resume_reading(self) -> None:
        if not self.is_held:
            super().resume_reading()


class BoundedHttp(HttpToolsProtocol):
    """
    One connection of the control port.

    Args:
        idle: Shared by all connections of the port.
    """

    flow: HeldFlow

    def __init__(self, idle: IdleConnections, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._idle = idle
        self._held = b""
        self._refusal = ""
        self._unanswered = 0
        self._is_in_body = False
        self._has_head_begun = False
        self._head_bytes = 0
        """Since the end of the request before."""
        self._body_bytes = 0
        self._framing_bytes = 0
        self._input_timer: asyncio.TimerHandle | None = None
        self._output_timer: asyncio.TimerHandle | None = None

    def connection_made(  # type: ignore[override]  # as it is upstream
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        self.flow = HeldFlow(transport)
        self._set_input_timer(HEAD_S)
        if len(self.connections) > self._idle.max_connections:
            self._idle.evict_idle()
        self._update_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        self._set_input_timer(None)
        self.resume_writing()
        self._held = b""
        self._idle.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._held += data
        if len(self._held) > MAX_HELD_BYTES:
            self.transport.abort()
        elif not self.flow.is_held:
            self._parse()

    def _parse(self) -> None:
        """Parse until a request has to wait for the response to another one."""
        data, self._held = self._held, b""
        at = 0
        while at < len(data) and not (self.pipeline or self._refusal):
            if self.transport.is_closing():
                return
            at += self._parse_slice(data[at : at + SLICE_BYTES])
        self._held = data[at:]
        self._hold(is_held=bool(self.pipeline or self._refusal))

    def _parse_slice(self, data: bytes) -> int:
        """Parse; return the number of bytes that were parsed."""
        parsed = len(data)
        self._head_bytes += parsed
        self._framing_bytes += parsed
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            parsed = int(upgrade.args[0])
            self._parse_without_upgrade()
        except httptools.HttpParserError:
            self._refuse("Invalid HTTP request received.")
            return parsed
        if self._is_in_body and self._is_body_too_long():
            self._refuse("The body of this request is too long.")
        elif not self._is_in_body and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse("The head of this request is too long.")
        return parsed

    def _parse_without_upgrade(self) -> None:
        """Parse the head again: the parser ends behind it, and what follows may be a body."""
        method = self.parser.get_method()
        self.parser = httptools.HttpRequestParser(self)
        if method == b"CONNECT":
            self._refuse("There is no tunnel here.")
            return
        lines = [b"%b %b HTTP/1.1" % (method, self.url)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] not in _HOP_BY_HOP]
        self.parser.feed_data(b"\r\n".join(lines) + b"\r\n\r\n")

    def _is_body_too_long(self) -> bool:
        framing = FRAMING_BYTES + FRAMING_PER_BYTE * self._body_bytes
        return self._body_bytes > MAX_BODY_BYTES or self._framing_bytes > framing

    def _refuse(self, reason: str) -> None:
        """Answer 400 and close, after the responses to earlier requests."""
        if self._is_in_body and self.pipeline:
            self.pipeline.popleft()  # The newest one: its body is invalid.
            self._unanswered -= 1
        elif self._is_in_body and (self._unanswered == 0 or self.cycle.response_started):
            self.transport.close()
            return
        elif self._is_in_body or self._unanswered == 0:
            self.send_400_response(reason)
            return
        self._refusal = reason

    def _hold(self, *, is_held: bool) -> None:
        """Stop or resume to read."""
        if is_held == self.flow.is_held:
            return
        self.flow.is_held = is_held
        if is_held:
            self.flow.pause_reading()
            self._set_input_timer(None)
        else:
            self.flow.resume_reading()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._has_head_begun = True
        if self._unanswered == 0:
            self._set_input_timer(HEAD_S)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_in_body:  # Else it is a trailer.
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # The head is parsed again.
        super().on_headers_complete()  # It raises if the target of the request is invalid.
        self._set_input_timer(None)
        self._is_in_body, self._has_head_begun = True, False
        self._body_bytes = self._framing_bytes = 0
        self._unanswered += 1
        # For a client that reads nothing: `close` would wait for it.
        self.scope["extensions"] = {"keystay": {"abort": self.transport.abort}}

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._framing_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._is_in_body = False
        self._head_bytes = 0
        self._set_input_timer(None)
        super().on_message_complete()
        if not self.parser.should_keep_alive():
            # A trailer may say so too. What follows is not parsed.
            self.cycle.keep_alive = False
            if self.cycle.response_complete:
                self.transport.close()
        self._update_idle()

    def on_response_complete(self) -> None:
        self._unanswered -= 1
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self._unanswered == 0 and self._refusal:
            self.send_400_response(self._refusal)
            return
        if not self.pipeline:
            self._parse()
        if self._unanswered == 0:
            if self._is_in_body:
                self._set_input_timer(LATE_BODY_S)
            elif self._has_head_begun:
                self._set_input_timer(HEAD_S)
        self._update_idle()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._output_timer is None:
            self._output_timer = self.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._output_timer is not None:
            self._output_timer.cancel()
            self._output_timer = None

    def evict(self) -> str:
        """Close; a response in the send buffer gets a second."""
        # uvicorn counts this set.
        self.connections.discard(self)
        self._set_input_timer(None)
        self._input_timer = self.loop.call_later(CLOSE_S, self.transport.abort)
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

    def _set_input_timer(self, after_s: float | None) -> None:
        if self._input_timer is not None:
            self._input_timer.cancel()
            self._input_timer = None
        if after_s is not None:
            self._input_timer = self.loop.call_later(after_s, self._give_up)

    def _give_up(self) -> None:
        self._input_timer = None
        self.transport.close()
