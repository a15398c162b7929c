"""
One WebSocket, from its handshake to its close. The only module that imports websockets.
"""

import asyncio
import logging
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
    NegotiationError,
    ProxyError,
)
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from keystay._backoff import may_return
from keystay.errors import ClosedByServer, ConnectFailed, ConnectionLost
from keystay.options import Options
from keystay_protocol import SUBPROTOCOL
from keystay_protocol.errors import CloseCode, KeystayError, MalformedFrame

# websockets logs whole frames at DEBUG, and keys are in them: never let it.
_websocket_log = logging.getLogger("keystay.client.websocket")
_websocket_log.setLevel(logging.INFO)

# SPEC section 1.1 names 429; the others come from proxies.
_PASSING_HTTP_STATUSES = frozenset({408, 425, 429})


class Hangup(Exception):
    """
    A line ended, or could not be opened.

    Args:
        error: What it means to a program that hears of it.
        is_final: Whether another attempt is pointless.
        retry_after_s: What the server asked to wait.
        code: What to tell the server, where it has not hung up itself.
    """

    def __init__(
        self,
        error: KeystayError,
        *,
        is_final: bool = False,
        retry_after_s: float = 0.0,
        code: CloseCode = CloseCode.NORMAL,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.is_final = is_final
        self.retry_after_s = retry_after_s
        self.code = code


class Line:
    """An open WebSocket."""

    def __init__(self, websocket: ClientConnection, options: Options) -> None:
        self._websocket = websocket
        self._options = options

    @classmethod
    async def open(cls, url: str, options: Options) -> "Line":
        """
        Connect; the caller sets the deadline.

        Raises:
            Hangup: If there is no server, or none that speaks this protocol.
        """
        tls: dict[str, Any] = {} if options.ssl is None else {"ssl": options.ssl}
        try:
            websocket = await websocket_connect(
                url,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                compression=None,
                open_timeout=None,
                ping_interval=options.ping_interval_s,
                ping_timeout=options.ping_timeout_s,
                close_timeout=options.close_timeout_s,
                max_size=options.max_message_bytes,
                logger=_websocket_log,
                **tls,
            )
        except (OSError, EOFError, InvalidHandshake, ProxyError) as error:
            raise _refused(error) from None
        line = cls(websocket, options)
        if websocket.subprotocol != SUBPROTOCOL:
            await line.close(CloseCode.PROTOCOL_ERROR)
            raise Hangup(
                ConnectFailed(f"the server does not speak {SUBPROTOCOL}"), is_final=True
            )
        return line

    async def receive(self) -> bytes:
        """
        Wait for the next message.

        Raises:
            Hangup: If the line ended.
            MalformedFrame: If the message was text.
        """
        try:
            message = await self._websocket.recv()
        except ConnectionClosed as closed:
            raise _hangup(closed) from None
        if isinstance(message, str):
            raise MalformedFrame("a text message")
        return message

    async def send(self, message: bytes) -> None:
        """
        Send a message. A server that does not read it in time is cut off.

        Raises:
            Hangup: If the line ended.
        """
        try:
            async with asyncio.timeout(self._options.write_timeout_s):
                await self._websocket.send(message)
        except TimeoutError:
            self._websocket.transport.abort()
            raise Hangup(ConnectionLost("the server does not read")) from None
        except ConnectionClosed as closed:
            raise _hangup(closed) from None

    async def close(self, code: int = CloseCode.NORMAL) -> None:
        """Say goodbye; a server that does not answer in time is cut off."""
        try:
            # websockets has this deadline too, but it begins after the buffer is empty.
            async with asyncio.timeout(self._options.close_timeout_s):
                await self._websocket.close(code)
        except TimeoutError:
            self._websocket.transport.abort()
        await self._websocket.wait_closed()


def check_url(url: str) -> str:
    """
    Return the URL as it may be shown: without user, query and fragment.

    Raises:
        ValueError: If it is not a WebSocket URL. It is not quoted: it may hold a password.
    """
    try:
        uri = parse_uri(url)
    except InvalidURI:
        raise ValueError("the URL must look like ws://host:port or wss://host") from None
    host = f"[{uri.host}]" if ":" in uri.host else uri.host
    return f"{'wss' if uri.secure else 'ws'}://{host}:{uri.port}{uri.path}"


def _refused(error: Exception) -> Hangup:
    failed = ConnectFailed(str(error))
    failed.__cause__ = error
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        is_final = status < 500 and status not in _PASSING_HTTP_STATUSES
        wait = error.response.headers.get("Retry-After", "")
        # The other form, a date, is for clocks that agree.
        retry_after_s = float(wait) if wait.isascii() and wait.isdecimal() else 0.0
        return Hangup(failed, is_final=is_final, retry_after_s=retry_after_s)
    return Hangup(failed, is_final=isinstance(error, NegotiationError))


def _hangup(closed: ConnectionClosed) -> Hangup:
    # A close that this side began, for a silent or broken server, is echoed: not its word.
    if closed.rcvd is None or closed.rcvd_then_sent is False:
        return Hangup(ConnectionLost("the line broke"))
    code, reason = closed.rcvd.code, closed.rcvd.reason
    return Hangup(ClosedByServer(code, reason), is_final=not may_return(code))
