"""
One server's control plane, over HTTP. The only module that imports httpx.

No proxy is used, no `.netrc` read and no redirect followed, whatever anybody
says: the API key is for the server alone. Errors of httpx are not chained: the
request, and with it the key, hangs on them.
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


class Door:
    """
    Asks one server, as often as it takes and is safe.

    Args:
        url: `http://` or `https://`, checked.
        api_key: Sent with each request, and shown to nobody else.
        timeout_s: How long a request may take, all of its attempts included.
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
            # Everything else is under a deadline of ours.
            "timeout": httpx.Timeout(None, connect=options.connect_timeout_s),
        }
        self._calls = httpx.AsyncClient(**settings)
        # Each feed takes a connection for itself: calls must not wait for one of these.
        self._feeds = httpx.AsyncClient(**settings, limits=httpx.Limits())

    async def close(self) -> None:
        """Close every connection."""
        self.is_closed = True
        await self._calls.aclose()
        await self._feeds.aclose()

    async def ask(self, request: Request) -> Any:
        """
        Send a request, again if need be; return the document of the answer.

        Raises:
            KeystayError: As the last attempt has it; `Timeout` if there is no time left.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        retries = Retries(request.is_repeatable, self._options, random.random)
        is_in_doubt = False
        while True:
            answer = await self._attempt(request, deadline)
            failure = failure_of(answer) if isinstance(answer, Answer) else answer
            if failure is None:
                assert isinstance(answer, Answer)
                return document_of(answer)
            if is_in_doubt and _was_done_before(request, failure):
                return None
            wait_s = retries.next_s(failure)
            if wait_s is None or loop.time() + wait_s >= deadline:
                raise failure.error
            is_in_doubt = is_in_doubt or failure.is_doubtful
            _log.debug("%s: %s; again in %.2f s", request.method, failure.error, wait_s)
            await asyncio.sleep(wait_s)

    async def listen(self, request: Request) -> "Listening | Failure":
        """Open a stream of bytes; try once."""
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        opened = await self._send(self._feeds, request, deadline)
        if isinstance(opened, Failure):
            return opened
        content_type = opened.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if opened.status_code == 200 and content_type == "text/event-stream":
            return Listening(opened)
        answer = await self._read(opened, deadline)
        failure = failure_of(answer) if isinstance(answer, Answer) else answer
        return failure or Failure(UnexpectedAnswer("this is no feed", status=200))

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
            return Failure(ConnectFailed(f"no connection: {_reason(error)}"), may_pass=True)
        except httpx.TransportError as error:
            return _broken(error)

    async def _read(self, response: httpx.Response, deadline: float) -> Answer | Failure:
        body = bytearray()
        try:
            async with asyncio.timeout_at(deadline):
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        return Failure(_too_long(response.status_code), is_doubtful=True)
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


class Listening:
    """A stream of bytes from the server."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._chunks = response.aiter_raw()

    async def receive(self, within_s: float) -> bytes | Failure:
        """The next bytes; a `Failure` if the stream ended, or was silent for so long."""
        try:
            async with asyncio.timeout(within_s):
                return await anext(self._chunks)
        except StopAsyncIteration:
            return Failure(ConnectionLost("the server ended the feed"), may_pass=True)
        except TimeoutError:
            return Failure(ConnectionLost("the feed fell silent"), may_pass=True)
        except httpx.TransportError as error:
            return _broken(error)
        except httpx.StreamError:  # It was closed, by `close` or by a cancelled `receive`.
            return Failure(ConnectionLost("the feed is closed"), may_pass=True)

    async def close(self) -> None:
        """Let go of the connection."""
        await self._response.aclose()


def _context_for(url: str) -> SSLContext:
    """Trusts the system's authorities, as for `wss://`; httpx would bring its own."""
    if url.lower().startswith("http:"):
        return SSLContext(PROTOCOL_TLS_CLIENT)  # Trusts nobody: to read whom takes long.
    return create_default_context()


def _was_done_before(request: Request, failure: Failure) -> bool:
    """Whether what was to be ended is gone because an attempt without an answer ended it."""
    return request.method == "DELETE" and isinstance(failure.error, NoSession)


def _late() -> Failure:
    return Failure(Timeout("no answer in time; it may have been carried out"), is_doubtful=True)


def _broken(error: httpx.TransportError) -> Failure:
    lost = ConnectionLost(f"the connection broke: {_reason(error)}")
    return Failure(lost, may_pass=True, is_doubtful=True)


def _too_long(status: int) -> KeystayError:
    return UnexpectedAnswer(f"an answer may have {MAX_ANSWER_BYTES} bytes", status=status)


def _reason(error: httpx.TransportError) -> str:
    """What the network said, which httpx wraps several times."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__
