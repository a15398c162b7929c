"""
The feed for backends: `GET /v1/feed`, as server-sent events (WHATWG HTML, section 9.2).

A subscriber that reads nothing is disconnected; it resumes with `Last-Event-ID`, on any node.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from keystay_protocol.errors import InvalidParams, Unavailable
from keystay_protocol.session import is_actor_id
from keystay_server.control.auth.rights import Right, may_still
from keystay_server.control.schema.body import query_items
from keystay_server.control.schema.json_schema import refuse_unknown
from keystay_server.feed.subscriptions import (
    Feed,
    FeedClosed,
    FeedEvent,
    Subscription,
    TooManySubscriptions,
)
from keystay_server.stores.errors import NoFeed
from keystay_server.stores.position import Position, read_position, write_position

HEARTBEAT_S = 15.0
CLOSE_S = 1.0
MAX_ACTORS = 100
_RETRY_MS = 1000


@dataclass(frozen=True, slots=True)
class FeedEndpoints:
    """The handler."""

    feed: Feed
    slow_s: float | None
    """How long a subscriber may read nothing; None: no limit."""

    async def stream(self, request: Request) -> Response:
        """`GET /v1/feed?actor=`: the changes of sessions, of these actors or of all."""
        if request.method == "HEAD":
            return Response(media_type=EventStream.media_type)
        actors = _actors(request)
        after = _last_seen(request)
        try:
            subscription = await self.feed.subscribe(after, actors)
        except NoFeed:
            raise HTTPException(
                HTTPStatus.NOT_FOUND, "no feed is kept: the setting `feed` is off"
            ) from None
        except FeedClosed:
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE, "the node shuts down", {"Retry-After": "1"}
            ) from None
        except TooManySubscriptions:
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "too many subscribers of the feed on this node",
                {"Retry-After": "5"},
            ) from None
        return EventStream(subscription, self.slow_s, partial(may_still, request, Right.READ))


class EventStream(Response):
    """
    A response that goes on until one side ends it.

    Args:
        slow_s: How long the other side may read nothing.
        may_go_on: Called before each event: is the subscriber still authorized?
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        subscription: Subscription,
        slow_s: float | None,
        may_go_on: Callable[[], bool],
    ) -> None:
        # Without it nginx buffers events.
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._subscription = subscription
        self._slow_s = slow_s
        self._may_go_on = may_go_on

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the subscriber leaves or is too slow, or the feed ends."""
        leaving = asyncio.create_task(_left(receive), name="subscriber of the feed")
        leaving.add_done_callback(lambda _: self._subscription.close())
        try:
            await self._send(
                send, "http.response.start", status=self.status_code, headers=self.raw_headers
            )
            await self._send_body(send, _preamble(self._subscription.position))
            with suppress(FeedClosed, Unavailable):
                while True:
                    events = await self._next()
                    if not self._may_go_on():
                        break
                    await self._send_body(send, events)
            await self._send_body(send, b"", more_body=False)
        except TimeoutError:
            self._subscription.cut_off()
            # What is in the send buffer would not be read either.
            _abort(scope)
            await asyncio.wait({leaving}, timeout=CLOSE_S)
        finally:
            self._subscription.close()
            leaving.cancel()

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                while not (events := await self._subscription.take()):
                    pass
        except TimeoutError:
            return _heartbeat(self._subscription.position)
        return b"".join(map(_event, events))

    async def _send_body(self, send: Send, body: bytes, *, more_body: bool = True) -> None:
        await self._send(send, "http.response.body", body=body, more_body=more_body)

    async def _send(self, send: Send, type_: str, **message: Any) -> None:
        async with asyncio.timeout(self._slow_s):
            await send({"type": type_, **message})


async def _left(receive: Receive) -> None:
    """Return when the subscriber has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _abort(scope: Scope) -> None:
    abort: Callable[[], None] | None = (
        scope.get("extensions", {}).get("keystay", {}).get("abort")
    )
    if abort is not None:
        abort()


def _preamble(position: Position) -> bytes:
    # With an id: a connection lost before the first event misses nothing either.
    return b"retry: %d\n" % _RETRY_MS + _heartbeat(position)


def _heartbeat(position: Position) -> bytes:
    return f":\nid: {write_position(position)}\n\n".encode()


def _event(event: FeedEvent) -> bytes:
    head = f"id: {write_position(event.position)}\nevent: {event.name}\ndata: "
    return head.encode() + event.data + b"\n\n"


def _actors(request: Request) -> frozenset[str]:
    items = query_items(request)
    refuse_unknown("query parameter", [name for name, _ in items], ("actor",))
    values = [value for _, value in items]
    if len(values) > MAX_ACTORS:
        raise InvalidParams(f"at most {MAX_ACTORS} actors can be named; name none for all")
    if not all(map(is_actor_id, values)):
        raise InvalidParams("actor must be 1 to 128 bytes of UTF-8, not . or ..")
    return frozenset(values)


def _last_seen(request: Request) -> Position | None:
    text = request.headers.get("last-event-id")
    if not text:
        return None
    # An invalid position counts as one before the history.
    return read_position(text) or (0,)
