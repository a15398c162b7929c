"""
Requests to the control port of a server: attempts, deadlines, and what failed.
"""

import asyncio
import logging
import random
from functools import partial
from typing import Any

from keystay._deadline import Deadline, after
from keystay.control._answer import Answer, Failure, document_of, failure_of
from keystay.control._http import HttpClient, HttpResponse
from keystay.control._request import Request
from keystay.control._retries import Retries
from keystay.errors import ClientClosed, ConnectFailed, ConnectionLost, UnexpectedAnswer
from keystay.options import ControlOptions
from keystay_protocol import __version__
from keystay_protocol.errors import KeystayError, NoSession, Timeout

MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_CONNECTIONS, MAX_FEEDS = 100, 1000

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
        headers = {
            "Authorization": f"Bearer {api_key}",
            "Accept-Encoding": "identity",
            "User-Agent": f"keystay-python/{__version__}",
        }
        make = partial(
            HttpClient, url, headers, options.ssl, connect_timeout_s=options.connect_timeout_s
        )
        self._calls = make(max_connections=MAX_CONNECTIONS)
        # Each feed occupies a connection: calls must not wait for one of them.
        self._feeds = make(max_connections=MAX_FEEDS)

    def close(self) -> None:
        """Close every connection."""
        self.is_closed = True
        self._calls.close()
        self._feeds.close()

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
        content_type = opened.headers.get("content-type", "").partition(";")[0].strip().lower()
        if opened.status == 200 and content_type == "text/event-stream":
            return ByteStream(opened)
        answer = await self._read(opened, deadline)
        failure = failure_of(answer) if isinstance(answer, Answer) else answer
        error = UnexpectedAnswer("not an event stream", status=200)
        return failure or Failure(error, is_from_proxy=True)

    async def _attempt(self, request: Request, deadline: float) -> Answer | Failure:
        opened = await self._send(self._calls, request, deadline)
        return opened if isinstance(opened, Failure) else await self._read(opened, deadline)

    async def _send(
        self, client: HttpClient, request: Request, deadline: float
    ) -> HttpResponse | Failure:
        if self.is_closed:
            return Failure(ClientClosed())
        try:
            async with Deadline(deadline):
                return await client.send(
                    request.method, request.target, request.headers, request.body
                )
        except TimeoutError:
            return _late()
        except ConnectFailed as error:
            return Failure(ConnectFailed(str(error)), is_transient=True)
        except (ConnectionLost, UnexpectedAnswer) as error:
            return _broken(error)

    async def _read(self, response: HttpResponse, deadline: float) -> Answer | Failure:
        body = bytearray()
        try:
            async with Deadline(deadline):
                while piece := await response.piece():
                    body += piece
                    if len(body) > MAX_ANSWER_BYTES:
                        return Failure(_too_long(response.status), is_outcome_unknown=True)
        except TimeoutError:
            return _late()
        except (ConnectionLost, UnexpectedAnswer) as error:
            return _broken(error)
        finally:
            response.close()
        return Answer(
            response.status,
            response.headers.get("content-type", ""),
            response.headers.get("retry-after", ""),
            bytes(body),
        )


class ByteStream:
    """A stream of bytes from the server."""

    def __init__(self, response: HttpResponse) -> None:
        self._response = response

    async def receive(self, within_s: float) -> bytes | Failure:
        """Return the next bytes; a `Failure` if the stream ended, or none came in time."""
        try:
            async with after(within_s):
                piece = await self._response.piece()
        except TimeoutError:
            return Failure(ConnectionLost("the feed sent nothing in time"), is_transient=True)
        except (ConnectionLost, UnexpectedAnswer) as error:
            return _broken(error)
        return piece or Failure(ConnectionLost("the server ended the feed"), is_transient=True)

    def close(self) -> None:
        """Close the connection."""
        self._response.close()


def _was_done_before(request: Request, failure: Failure) -> bool:
    """Return whether an earlier attempt, whose answer was lost, ended the session."""
    return request.method == "DELETE" and isinstance(failure.error, NoSession)


def _late() -> Failure:
    return Failure(
        Timeout("no answer in time: it may have been executed"),
        is_outcome_unknown=True,
    )


def _broken(error: ConnectionLost | UnexpectedAnswer) -> Failure:
    # A new error: the traceback of the old one refers to the request, which has the key.
    new = type(error)(str(error))
    is_transient = isinstance(error, ConnectionLost)
    return Failure(new, is_transient=is_transient, is_outcome_unknown=True)


def _too_long(status: int) -> KeystayError:
    return UnexpectedAnswer(f"an answer has more than {MAX_ANSWER_BYTES} bytes", status=status)
