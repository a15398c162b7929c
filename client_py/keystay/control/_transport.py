"""
HTTP to the control port of a server. The only module that imports httpx.

The API key must reach only this server: proxies and `.netrc` are not used, redirects not
followed. Errors of httpx are not chained: they refer to the request, which has the key.
"""

import asyncio
import logging
import random
from collections.abc import Mapping
from ssl import PROTOCOL_TLS_CLIENT, SSLContext, create_default_context
from typing import Any

import httpx

from keystay.control._answer import Answer, Failure, document_of, failure_of
from keystay.control._request import Request
from keystay.control._retries import Retries
from keystay.errors import ClientClosed, ConnectFailed, ConnectionLost, UnexpectedAnswer
from keystay.options import ControlOptions
from keystay_protocol import __version__
from keystay_protocol.errors import KeystayError, NoSession, Timeout

MAX_ANSWER_BYTES = 16 * 1024 * 1024

_log = logging.getLogger("keystay.control")


class HttpTransport:
    """
    Sends requests to one server, and repeats them where that is safe.

    Args:
        url: `http://` or `https://`, checked.
        api_key: Sent with each request.
        timeout_s: The deadline of a request, which includes all attempts.
    """

    def __init__(
        self, url: str, api_key: str, timeout_s: float, options: ControlOptions
    ) -> None:
        self._timeout_s = timeout_s
        self._options = options
        self.is_closed = False
        settings: dict[str, Any] = {
            "base_url": url,
            "headers": {
                "Authorization": f"Bearer {api_key}",
                "Accept-Encoding": "identity",
                "User-Agent": f"keystay-python/{__version__}",
            },
            "verify": options.ssl or _context_for(url),
            "trust_env": False,
            "follow_redirects": False,
            # The other deadlines are set here, not by httpx.
            "timeout": httpx.Timeout(None, connect=options.connect_timeout_s),
        }
        self._calls = httpx.AsyncClient(**settings)
        # Each feed occupies a connection: calls must not wait for one of them.
        self._feeds = httpx.AsyncClient(**settings, limits=httpx.Limits())

    async def close(self) -> None:
        """Close every connection."""
        self.is_closed = True
        await self._calls.aclose()
        await self._feeds.aclose()

    async def call(self, request: Request) -> Any:
        """
        Send a request, again if necessary; return the document of the answer.

        Raises:
            KeystayError: The error of the last attempt; `Timeout` after the deadline.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        retries = Retries(request.is_repeatable, self._options, random.random)
        is_outcome_unknown = False
        while True:
            answer = await self._attempt(request, deadline)
            failure = failure_of(answer) if isinstance(answer, Answer) else answer
            if failure is None:
                assert isinstance(answer, Answer)
                return document_of(answer)
            if is_outcome_unknown and _was_done_before(request, failure):
                return None
            wait_s = retries.next_s(failure)
            if wait_s is None or loop.time() + wait_s >= deadline:
                raise failure.error
            is_outcome_unknown = is_outcome_unknown or failure.is_outcome_unknown
            _log.debug("%s: %s; again in %.2f s", request.method, failure.error, wait_s)
            await asyncio.sleep(wait_s)

    async def open_stream(self, request: Request) -> "ByteStream | Failure":
        """Open a stream of bytes, in one attempt."""
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        opened = await self._send(self._feeds, request, deadline)
        if isinstance(opened, Failure):
            return opened
        content_type = opened.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if opened.status_code == 200 and content_type == "text/event-stream":
            return ByteStream(opened)
        answer = await self._read(opened, deadline)
        failure = failure_of(answer) if isinstance(answer, Answer) else answer
        error = UnexpectedAnswer("not an event stream", status=200)
        return failure or Failure(error, is_from_proxy=True)

    async def _attempt(self, request: Request, deadline: float) -> Answer | Failure:
        opened = await self._send(self._calls, request, deadline)
        return opened if isinstance(opened, Failure) else await self._read(opened, deadline)

    async def _send(
        self, client: httpx.AsyncClient, request: Request, deadline: float
    ) -> httpx.Response | Failure:
        if self.is_closed:
            return Failure(ClientClosed())
        message = client.build_request(
            request.method, request.target, content=request.body, headers=request.headers
        )
        try:
            async with asyncio.timeout_at(deadline):
                return await client.send(message, stream=True)
        except TimeoutError:
            return _late()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Failure(ConnectFailed(f"no connection: {_reason(error)}"), is_transient=True)
        except httpx.TransportError as error:
            return _broken(error)

    async def _read(self, response: httpx.Response, deadline: float) -> Answer | Failure:
        body = bytearray()
        try:
            async with asyncio.timeout_at(deadline):
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        return Failure(_too_long(response.status_code), is_outcome_unknown=True)
        except TimeoutError:
            return _late()
        except httpx.TransportError as error:
            return _broken(error)
        finally:
            await response.aclose()
        headers: Mapping[str, str] = response.headers
        return Answer(
            response.status_code,
            headers.get("Content-Type", ""),
            headers.get("Retry-After", ""),
            bytes(body),
        )


class ByteStream:
    """A stream of bytes from the server."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._chunks = response.aiter_raw()

    async def receive(self, within_s: float) -> bytes | Failure:
        """Return the next bytes; a `Failure` if the stream ended, or none came in time."""
        try:
            async with asyncio.timeout(within_s):
                return await anext(self._chunks)
        except StopAsyncIteration:
            return Failure(ConnectionLost("the server ended the feed"), is_transient=True)
        except TimeoutError:
            return Failure(ConnectionLost("the feed sent nothing in time"), is_transient=True)
        except httpx.TransportError as error:
            return _broken(error)
        except httpx.StreamError:  # It was closed, by `close` or by cancelling `receive`.
            return Failure(ConnectionLost("the feed is closed"), is_transient=True)

    async def close(self) -> None:
        """Close the connection."""
        await self._response.aclose()


def _context_for(url: str) -> SSLContext:
    """Return a context that trusts the system's authorities; httpx would use its own."""
    if url.lower().startswith("http:"):
        return SSLContext(PROTOCOL_TLS_CLIENT)  # Not used: loading the authorities takes long.
    return create_default_context()


def _was_done_before(request: Request, failure: Failure) -> bool:
    """Return whether an earlier attempt, whose answer was lost, ended the session."""
    return request.method == "DELETE" and isinstance(failure.error, NoSession)


def _late() -> Failure:
    return Failure(
        Timeout("no answer in time: it may have been executed"),
        is_outcome_unknown=True,
    )


def _broken(error: httpx.TransportError) -> Failure:
    lost = ConnectionLost(f"the connection broke: {_reason(error)}")
    return Failure(lost, is_transient=True, is_outcome_unknown=True)


def _too_long(status: int) -> KeystayError:
    return UnexpectedAnswer(f"an answer has more than {MAX_ANSWER_BYTES} bytes", status=status)


def _reason(error: httpx.TransportError) -> str:
    """Return the text of the network error, which httpx wraps several times."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__
