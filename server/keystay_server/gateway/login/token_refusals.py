"""
Why a token is refused: for the log and the metrics, never for the client.
"""

import logging
import time
from collections.abc import Callable
from enum import StrEnum

from keystay_server.telemetry.counts import Counts
from keystay_server.telemetry.throttled_log import ThrottledLog

log = logging.getLogger("keystay.login")


class Cause(StrEnum):
    """The causes: the label `cause` of the metric."""

    EXPIRED = "expired"
    NOT_YET_VALID = "notYetValid"
    AUDIENCE = "audience"
    ISSUER = "issuer"
    CLAIM = "claim"
    ALGORITHM = "algorithm"
    SIGNATURE = "signature"
    MALFORMED = "malformed"


_TEXTS = {
    Cause.EXPIRED: "exp is in the past by this server's clock",
    Cause.NOT_YET_VALID: "nbf or iat is in the future by this server's clock",
    Cause.AUDIENCE: "aud is not that of jwt_audience",
    Cause.ISSUER: "iss is not that of jwt_issuer",
    Cause.CLAIM: "sub or exp is missing, or a claim has the wrong type",
    Cause.ALGORITHM: "alg is not that of the key in jwt_key_file",
    Cause.SIGNATURE: "the signature is not that of the key in jwt_key_file",
    Cause.MALFORMED: "it is not a JWT",
}


class TokenRefusals:
    """
    Counts refused tokens, and logs one line a minute of each cause.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, counts: Counts, clock: Callable[[], float] = time.monotonic) -> None:
        self._refused = counts.tokens_refused
        self._refused.update(dict.fromkeys(Cause, 0))
        self._log = ThrottledLog(log, clock)

    def record(self, cause: Cause) -> None:
        """Count and log one."""
        self._refused[cause] += 1
        self._log.warning(f"a JWT was refused: {_TEXTS[cause]}", cause, cause=str(cause))
