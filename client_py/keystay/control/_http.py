"""
HTTP/1.1 to one server, over asyncio and h11. The only module that imports h11.

Connections are kept open between requests. No proxy is used, no `.netrc` read and no redirect
followed: the API key is for the server alone.
"""

import asyncio
import os
import re
import socket
from collections import deque
from collections.abc import Mapping
from ssl import SSLCertVerificationError, SSLContext, SSLError, create_default_context
from typing import Protocol
from urllib.parse import urlsplit

import h11

from keystay._deadline import after
from keystay.errors import ConnectFailed, ConnectionLost, UnexpectedAnswer

MAX_IDLE_CONNECTIONS = 20
IDLE_S = 5.0
"""An idle connection is not used after this: proxies drop some silently."""
READ_BYTES = 64 * 1024

# OpenSSL's X509_V_ERR_...: signed by itself, or by an authority that is unknown here.
_UNKNOWN_AUTHORITY = frozenset({18, 19, 20, 21})


class HttpClient:
    """
    Sends requests to one server.

    Args:
        url: `http://` or `https://`, perhaps with a path that is put before each target.
        headers: Sent with each request.
        context: For `https://`; None trusts the authorities of the system.
        max_connections: Further requests wait for one of them.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        context: SSLContext | None,
        *,
        connect_timeout_s: float,
        max_connections: int,
    ) -> None:
        parts = urlsplit(url)
        self._url = url
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._path = parts.path.rstrip("/")
        self._headers = [("Host", parts.netloc), *headers.items()]
        self._context = None if parts.scheme == "http" else context or create_default_context()
        self._connect_timeout_s = connect_timeout_s
        self._slots = asyncio.Semaphore(max_connections)
        self._idle: deque[_Connection] = deque(maxlen=MAX_IDLE_CONNECTIONS)
        self._open: set[_Connection] = set()

    async def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> "HttpResponse":
        """
        Send a request; return the response, whose body is still to be read.

        Raises:
            ConnectFailed: If there is no connection; nothing was sent.
            ConnectionLost: If the connection broke; the request may have been carried out.
            UnexpectedAnswer: If the response is not HTTP.
        """
        await self._slots.acquire()
        connection: _Connection | None = None
        try:
            connection = self._idle_connection() or await self._connect()
            self._open.add(connection)
            length = [("Content-Length", str(len(body)))] if body is not None else []
            request = h11.Request(
                method=method,
                target=self._path + target,
                headers=[*self._headers, *headers.items(), *length],
            )
            head = await connection.exchange(request, body or b"")
        except BaseException:
            self._release(connection, is_reusable=False)
            raise
        return HttpResponse(head, connection, self._release)

    def close(self) -> None:
        """Close every connection."""
        for connection in (*self._open, *self._idle):
            connection.abort()
        self._idle.clear()

    def _idle_connection(self) -> "_Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable():
                return connection
            connection.abort()
        return None

    async def _connect(self) -> "_Connection":
        try:
            async with after(self._connect_timeout_s):
                # No happy_eyeballs_delay: uvloop, which uvicorn uses, does not know it.
                reader, writer = await asyncio.open_connection(
                    self._host, self._port, ssl=self._context
                )
        except TimeoutError:
            raise ConnectFailed(f"{self._url} cannot be reached: no answer in time") from None
        except OSError as error:
            raise ConnectFailed(f"{self._url} cannot be reached: {_reason(error)}") from error
        return _Connection(self._url, reader, writer)

    def _release(self, connection: "_Connection | None", *, is_reusable: bool) -> None:
        self._slots.release()
        if connection is None:
            return
        self._open.discard(connection)
        if is_reusable and len(self._idle) < MAX_IDLE_CONNECTIONS:
            self._idle.append(connection)
        else:
            connection.abort()


class HttpResponse:
    """A response: its head, and its body in pieces. Close it to release the connection."""

    def __init__(
        self, head: h11.Response, connection: "_Connection", release: "_Release"
    ) -> None:
        self.status = head.status_code
        self.headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
        self._connection = connection
        self._release: _Release | None = release

    async def piece(self) -> bytes:
        """
        Return the next piece of the body; empty at its end. It can be cancelled without loss.

        Raises:
            ConnectionLost: If the connection breaks before its end.
            UnexpectedAnswer: If it is not HTTP.
        """
        return await self._connection.piece()

    def close(self) -> None:
        """Release the connection: for another request if the body was read to its end."""
        release, self._release = self._release, None
        if release is not None:
            release(self._connection, is_reusable=self._connection.is_done())


class _Release(Protocol):
    def __call__(self, connection: "_Connection | None", *, is_reusable: bool) -> None: ...


class _Connection:
    """One connection, with one request at a time."""

    def __init__(
        self, url: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._url = url
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)
        self._used_at = 0.0

    async def exchange(self, request: h11.Request, body: bytes) -> h11.Response:
        """Send a request and read the head of its response."""
        data = [self._http.send(each) for each in _events(request, body)]
        try:
            self._writer.write(b"".join(filter(None, data)))
            await self._writer.drain()
        except OSError as error:
            raise self._lost(_reason(error)) from error
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Response):
                return event

    async def piece(self) -> bytes:
        """The next piece of the body; empty at its end."""
        while True:
            event = await self._next_event()
            if isinstance(event, h11.EndOfMessage):
                return b""
            if isinstance(event, h11.Data) and event.data:
                return bytes(event.data)

    def is_done(self) -> bool:
        """Prepare for another request; tell whether there can be one."""
        if self._http.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            return False
        self._http.start_next_cycle()
        self._used_at = asyncio.get_running_loop().time()
        return True

    def is_usable(self) -> bool:
        """Tell whether it is still open, as far as is known here."""
        is_open = not (self._reader.at_eof() or self._writer.transport.is_closing())
        return is_open and asyncio.get_running_loop().time() - self._used_at < IDLE_S

    def abort(self) -> None:
        """Close at once: TLS would wait for the other side."""
        self._writer.transport.abort()

    async def _next_event(self) -> h11.Event:
        is_at_end = False
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                if is_at_end:
                    raise self._lost(
                        "the server closed it in the middle of a response"
                    ) from error
                raise UnexpectedAnswer(f"{self._url} does not answer in HTTP") from error
            if not isinstance(event, type):
                return event
            try:
                data = await self._reader.read(READ_BYTES)
            except OSError as error:
                raise self._lost(_reason(error)) from error
            is_at_end = not data
            if is_at_end and self._http.their_state is h11.SEND_RESPONSE:
                if self._http.trailing_data[0]:
                    raise UnexpectedAnswer(f"{self._url} does not answer in HTTP")
                hint = "" if self._url.startswith("https:") else ": is it https://?"
                raise self._lost(f"the server closed it without an answer{hint}")
            self._http.receive_data(data)

    def _lost(self, reason: str) -> ConnectionLost:
        return ConnectionLost(f"the connection to {self._url} broke: {reason}")


def _events(request: h11.Request, body: bytes) -> list[h11.Event]:
    data = [h11.Data(data=body)] if body else []
    return [request, *data, h11.EndOfMessage()]


def _reason(error: OSError) -> str:
    """What the network reported, with a hint where TLS is the cause."""
    match error:
        case SSLCertVerificationError(verify_message=str(message), verify_code=code):
            reason = f"its certificate is not trusted: {message.rstrip('.')}"
            if code in _UNKNOWN_AUTHORITY:
                reason += "; name a file with an authority of your own in SSL_CERT_FILE"
            return reason
        case SSLError(reason="WRONG_VERSION_NUMBER"):
            return "it does not use TLS: is it http://?"
        case SSLError() | socket.gaierror():
            return error.strerror or str(error)
    # asyncio puts the address in the place of the text, and joins those of several addresses.
    numbers = [error.errno] if error.errno else re.findall(r"\[Errno (\d+)\]", str(error))
    return os.strerror(int(numbers[-1])) if numbers else str(error) or type(error).__name__
