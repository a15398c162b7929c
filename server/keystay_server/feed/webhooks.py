"""
POSTs the feed to the application: at least once, in the order of each actor.

One node at a time delivers: the one that has the lease. It starts at the position that
was saved last, and saves a position when all before it was accepted. If the node dies,
the lease ends, and another node goes on from there.

Requests are signed as Standard Webhooks defines (standardwebhooks.com).
"""

import asyncio
import hashlib
import json
import logging
import ssl
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx

from keystay_protocol.errors import Unavailable
from keystay_server.feed.signing import Signer
from keystay_server.feed.subscriptions import FEED_LOST, json_of, name_of
from keystay_server.stores.base import Store
from keystay_server.stores.errors import NoFeed
from keystay_server.stores.events import FeedPage, moment_of
from keystay_server.stores.position import Position, write_position
from keystay_server.telemetry.counts import Counts
from keystay_server.timing.backoff import backoff_s
from keystay_server.timing.tasks import Repeating

LEASE = "webhook"
LEASE_S = 4.0
RENEW_EVERY_S = 1.0
READ_EVERY_S = 0.2
AT_ONCE = 100
BACKOFF_BASE_S = 0.5
BACKOFF_CAP_S = 60.0

log = logging.getLogger("keystay.webhooks")
# It would log each request, with a URL that may contain a secret.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Batch:
    """The events of one request."""

    id: str
    """The same each time the same events are sent."""
    body: bytes
    after: Position


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The application that takes the events."""

    url: str
    signer: Signer
    timeout_s: float
    """For one POST, its answer included."""


class Webhooks:
    """Delivers the feed to an endpoint while this node has the lease."""

    def __init__(
        self,
        store: Store,
        node_id: str,
        endpoint: Endpoint,
        counts: Counts | None = None,
    ) -> None:
        self._counts = counts or Counts()
        self._store = store
        self._endpoint = endpoint
        self._node_id = node_id
        self._running = Repeating(
            self._hold_lease, "deliver webhooks", pause_s=RENEW_EVERY_S, jitter=0.5
        )
        self._is_failing = False

    def start(self) -> None:
        """Start."""
        self._running.start()

    async def stop(self) -> None:
        """Stop, and give the lease back: another node goes on at once."""
        await self._running.stop()
        if self._has_lease:
            try:
                async with asyncio.timeout(RENEW_EVERY_S):
                    await self._store.lease(LEASE, self._node_id, 0)
            except (Unavailable, TimeoutError):
                pass  # The lease ends by itself.

    async def _hold_lease(self) -> None:
        """Deliver while this node has the lease, if it can have it."""
        had_lease = self._has_lease
        if not await self._renew():
            return
        if not had_lease:
            # Until the feed is read, nothing older is known to wait.
            self._counts.webhook_taken_until = time.time()
        delivering = asyncio.create_task(self._deliver(), name="POST webhooks")
        try:
            while not delivering.done():
                await asyncio.wait({delivering}, timeout=RENEW_EVERY_S)
                await self._renew()
                if not self._has_lease:
                    break
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)

    @property
    def _has_lease(self) -> bool:
        return time.monotonic() < self._counts.webhook_lease_until

    async def _renew(self) -> bool:
        """Take or keep the lease; return whether this node is known to have it."""
        asked_at = time.monotonic()
        try:
            is_ours = await self._store.lease(LEASE, self._node_id, round(LEASE_S * 1000))
        except Unavailable:
            return False
        self._counts.webhook_lease_until = asked_at + LEASE_S if is_ours else 0.0
        return is_ours

    async def _deliver(self) -> None:
        # No proxy of the environment, no redirect: events go to the configured URL only.
        async with httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            timeout=self._endpoint.timeout_s,
            verify=_context_for(self._endpoint.url),
        ) as client:
            try:
                position = await self._begin()
                while position is not None:
                    position = await self._step(client, position)
            except NoFeed:
                log.warning("there is no feed to deliver")
            except Unavailable:
                pass  # The store logs when it is out of reach, and when it is back.
            except Exception:
                log.exception("delivering webhooks failed, is tried again")

    async def _begin(self) -> Position | None:
        """Return the saved position; the present one if there is none."""
        position = await self._store.saved_position(LEASE)
        if position is None:
            position = (await self._store.read_feed(None, 1)).position
            if not await self._store.save_position(LEASE, self._node_id, position):
                return None
        return position

    async def _step(self, client: httpx.AsyncClient, position: Position) -> Position | None:
        """Deliver the next page, if there is one; return None if another node delivers."""
        read_at = time.time()
        page = await self._store.read_feed(position, AT_ONCE)
        # Not before: while the feed cannot be read, the delay grows.
        self._counts.webhook_taken_until = oldest_in(page, read_at)
        if not page.entries and page.is_complete:
            await asyncio.sleep(READ_EVERY_S)
            return page.position
        batch = _batch(position, page)
        attempt = 0
        while True:
            if not self._has_lease:
                return None
            wait_s = await self._post(client, batch, attempt)
            if wait_s is None:
                break
            attempt += 1
            await asyncio.sleep(wait_s)
        if not await self._store.save_position(LEASE, self._node_id, batch.after):
            return None
        return batch.after

    async def _post(
        self, client: httpx.AsyncClient, batch: Batch, attempt: int
    ) -> float | None:
        """Send it once. Return None if it was accepted, or how long to wait."""
        endpoint = self._endpoint
        headers = endpoint.signer.headers(batch.id, round(time.time()), batch.body)
        try:
            async with asyncio.timeout(endpoint.timeout_s):
                async with client.stream(
                    "POST", endpoint.url, content=batch.body, headers=headers
                ) as answer:
                    status, asked = answer.status_code, answer.headers.get("retry-after")
                    if 200 <= status < 300:
                        self._log_recovery()
                        self._counts.webhooks_delivered += 1
                        return None
        except Exception as error:  # More than `httpx.HTTPError`: `InvalidURL`, `UnicodeError`.
            status, asked = 0, None
            self._log_failure(type(error).__name__)
        else:
            self._log_failure(f"status {status}")
        self._counts.webhooks_failed += 1
        return _wait(attempt, asked if status in (429, 503) else None)

    def _log_failure(self, what: str) -> None:
        """Log the first failure, and no other until one request was accepted."""
        if not self._is_failing:
            self._is_failing = True
            log.warning("the webhook was not accepted (%s), is tried again", what)

    def _log_recovery(self) -> None:
        """Log that requests are accepted again, if they were not."""
        if self._is_failing:
            self._is_failing = False
            log.info("the webhook is accepted again")


def oldest_in(page: FeedPage, read_at: float) -> float:
    """Return when its oldest event was written, or when it was read. Unix seconds."""
    moments = [moment_of(entry.cursor) for entry in page.entries]
    return min(moments) / 1000 if moments else read_at


def _context_for(url: str) -> ssl.SSLContext:
    """Return a context that trusts the certificates that this machine trusts."""
    if url.lower().startswith("http:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # Trusts none: reading them takes long.
    return ssl.create_default_context()


def _batch(position: Position, page: FeedPage) -> Batch:
    events = [{"type": name_of(entry), **json_of(entry)} for entry in page.entries]
    if not page.is_complete:
        events.insert(0, {"type": FEED_LOST})
    span = f"{write_position(position)} {write_position(page.position)}"
    body = json.dumps({"events": events}, ensure_ascii=False, separators=(",", ":"))
    id_ = hashlib.sha256(span.encode()).hexdigest()[:32]
    return Batch(f"msg_{id_}", body.encode(), page.position)


def _wait(attempt: int, asked: str | None) -> float:
    """Full jitter; no sooner than the receiver asked for, up to the cap."""
    pause_s = backoff_s(attempt, BACKOFF_BASE_S, BACKOFF_CAP_S)
    return max(pause_s, min(_seconds(asked), BACKOFF_CAP_S))


def _seconds(retry_after: str | None) -> float:
    """Return the seconds in `Retry-After` (RFC 9110, section 10.2.3); 0 without any."""
    if retry_after is None:
        return 0.0
    if retry_after.isascii() and retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
