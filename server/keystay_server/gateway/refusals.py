"""
Why a connection is refused: the HTTP answer, the log line and the count.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from keystay_server.telemetry.counts import Counts
from keystay_server.telemetry.throttled_log import ThrottledLog

log = logging.getLogger("keystay.gateway")


class Reason(StrEnum):
    """The kinds of refusals: the label `reason` of the metric."""

    NODE_FULL = "nodeFull"
    ADDRESS_FULL = "addressFull"
    DESCRIPTORS = "descriptors"
    DRAINING = "draining"
    ORIGIN = "origin"
    HOST = "host"
    KEY_IN_URL = "keyInUrl"
    SUBPROTOCOL = "subprotocol"
    NOT_WEBSOCKET = "notWebSocket"
    METHOD = "method"
    HTTP_VERSION = "httpVersion"
    TOO_LARGE = "tooLarge"
    MALFORMED = "malformed"
    NOT_HTTP = "notHttp"
    TLS = "tls"
    NO_TLS = "noTls"
    TLS_FAILED = "tlsFailed"
    TIMEOUT = "timeout"


# An operator can change these; the others are up to the peer.
_WARNINGS = frozenset(
    {
        *(Reason.NODE_FULL, Reason.ADDRESS_FULL, Reason.DESCRIPTORS),
        *(Reason.ORIGIN, Reason.HOST, Reason.TLS, Reason.NO_TLS),
    }
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    A refusal of a connection.

    Args:
        status: Of the HTTP answer; None: the peer does not speak HTTP and gets none.
        text: The cause in one sentence, for the body of the answer and for the log. It has
            nothing of the request in it that can be a secret.
        headers: What the answer has besides those of every answer.
    """

    reason: Reason
    status: HTTPStatus | None
    text: str
    headers: tuple[tuple[str, str], ...] = ()


class Refused(Exception):
    """Raised where a request is refused."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal


class RefusalRecorder:
    """
    Counts refusals, and logs one line a minute of each kind.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, counts: Counts, clock: Callable[[], float] = time.monotonic) -> None:
        self._refused = counts.refused
        self._refused.update(dict.fromkeys(Reason, 0))
        self._log = ThrottledLog(log, clock)

    def record(self, refusal: Refusal, address: str) -> None:
        """Count and log one; the address is empty where it is not known."""
        self._refused[refusal.reason] += 1
        write = self._log.warning if refusal.reason in _WARNINGS else self._log.info
        write(
            f"connection refused: {refusal.text}",
            refusal.reason,
            address=address or "unknown",
            reason=str(refusal.reason),
            status=None if refusal.status is None else int(refusal.status),
        )
