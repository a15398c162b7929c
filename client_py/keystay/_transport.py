"""
One WebSocket, from handshake to close. The only module that imports websockets.
"""

import asyncio
import contextlib
import logging
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
)
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from keystay._backoff import may_reconnect
from keystay._deadline import after, is_done
from keystay._proxy import displayed, proxy_for
from keystay.errors import ClosedByServer, ConnectFailed, ConnectionLost
from keystay.options import Options
from keystay_protocol import SUBPROTOCOL
from keystay_protocol.errors import CloseCode, KeystayError, MalformedFrame

# At DEBUG websockets logs whole frames, which contain keys.
_websocket_log = logging.getLogger("keystay.client.websocket")
_websocket_log.setLevel(logging.INFO)


class Disconnected(Exception):
    """
    A transport ended, or could not be opened.

    Args:
        error: The error for the program.
        is_final: Whether the server sent a close code that forbids to reconnect.
        retry_after_s: The delay that the server asked for.
        code: The close code to send, if the server did not close the connection.
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


class Transport:
    """An open WebSocket."""

    def __init__(self, websocket: ClientConnection, options: Options) -> None:
        self._websocket = websocket
        self._options = options

    @classmethod
    async def open(cls, url: str, options: Options, within_s: float) -> "Transport":
        """
        Connect, through a proxy if the environment has one for this server.

        Raises:
            Disconnected: If there is no server, or it does not support this protocol.
        """
        uri = parse_uri(url)
        proxy = proxy_for(uri.host, uri.port, is_secure=uri.secure)
        try:
            async with after(within_s):
                websocket = await _connect(url, proxy, options)
        except _FAILURES as error:
            raise _refused(error, proxy) from None
        transport = cls(websocket, options)
        if websocket.subprotocol != SUBPROTOCOL:
            await transport.close(CloseCode.PROTOCOL_ERROR)
            raise Disconnected(ConnectFailed(f"the server does not support {SUBPROTOCOL}"))
        return transport

    async def receive(self) -> bytes:
        """
        Wait for the next message.

        Raises:
            Disconnected: If the transport ended.
            MalformedFrame: If the message was text.
        """
        try:
            message = await self._websocket.recv()
        except ConnectionClosed as closed:
            raise _disconnected(closed) from None
        if isinstance(message, str):
            raise MalformedFrame("a text message")
        return message

    async def send(self, message: bytes) -> None:
        """
        Send a message. If the server does not read it in time, the transport is aborted.

        Raises:
            Disconnected: If the transport ended.
        """
        try:
            async with after(self._options.write_timeout_s):
                await self._websocket.send(message)
        except TimeoutError:
            self._websocket.transport.abort()
            raise Disconnected(ConnectionLost("the server does not read")) from None
        except ConnectionClosed as closed:
            raise _disconnected(closed) from None

    async def keep_alive(self) -> None:
        """Ping the server until the transport ends; abort if a pong does not come in time."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(self._options.ping_interval_s)
                pong = asyncio.ensure_future(await self._websocket.ping())
                if not await is_done(pong, self._options.ping_timeout_s):
                    self._websocket.transport.abort()

    async def close(self, code: int = CloseCode.NORMAL) -> None:
        """Close with this code; abort if the server does not answer in time."""
        try:
            # The deadline of websockets begins only when its write buffer is empty.
            async with asyncio.timeout(self._options.close_timeout_s):
                await self._websocket.close(code)
        except TimeoutError:
            self._websocket.transport.abort()
        await self._websocket.wait_closed()


def check_url(url: str) -> str:
    """
    Return the URL without user, query and fragment, for logs.

    Raises:
        ValueError: If it is not a WebSocket URL. The text omits it: it may contain a password.
    """
    try:
        uri = parse_uri(url)
    except (InvalidURI, ValueError):
        raise ValueError("the URL must look like ws://host:port or wss://host") from None
    host = f"[{uri.host}]" if ":" in uri.host else uri.host
    return f"{'wss' if uri.secure else 'ws'}://{host}:{uri.port}{uri.path}"


class _WithoutRedirects(websocket_connect):
    """Another host would get the key."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def _connect(url: str, proxy: str | None, options: Options) -> ClientConnection:
    tls: dict[str, Any] = {} if options.ssl is None else {"ssl": options.ssl}
    return await _WithoutRedirects(
        url,
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        compression=None,
        proxy=proxy,
        open_timeout=None,
        ping_interval=None,
        close_timeout=options.close_timeout_s,
        max_size=options.max_message_bytes,
        logger=_websocket_log,
        **tls,
    )


# ValueError: a host name that cannot be encoded. ImportError: SOCKS needs another package.
_FAILURES = (OSError, EOFError, InvalidHandshake, InvalidProxy, ValueError, ImportError)


def _refused(error: Exception, proxy: str | None) -> Disconnected:
    text = _reason(error)
    if proxy is not None:
        text = f"through the proxy {displayed(proxy)}: {text}"
    failed = ConnectFailed(text)
    if not isinstance(error, InvalidProxy):  # Its text has the password of the proxy.
        failed.__cause__ = error
    if isinstance(error, InvalidStatus):
        wait = error.response.headers.get("Retry-After", "")
        # The other form, a date, needs synchronised clocks.
        retry_after_s = float(wait) if wait.isascii() and wait.isdecimal() else 0.0
        return Disconnected(failed, retry_after_s=retry_after_s)
    return Disconnected(failed)


def _reason(error: Exception) -> str:
    match error:
        case TimeoutError():
            return str(error) or "no response to the handshake in time"
        case InvalidProxy():
            return error.msg
        case InvalidStatus() if 300 <= error.response.status_code < 400:
            target = displayed(error.response.headers.get("Location", ""))
            return f"the server redirects to {target}, which is not followed ({error})"
        case UnicodeError():
            return "the host name is not valid"
    return str(error)


def _disconnected(closed: ConnectionClosed) -> Disconnected:
    # If this side closed, `rcvd` is only the echo of its own code.
    if closed.rcvd is None or closed.rcvd_then_sent is False:
        return Disconnected(ConnectionLost("the connection broke"))
    code, reason = closed.rcvd.code, closed.rcvd.reason
    return Disconnected(ClosedByServer(code, reason), is_final=not may_reconnect(code))
