"""
What went wrong with Redis, in words for an operator. None of them is a secret.
"""

import logging
import math
import time

from redis.exceptions import AuthenticationError, AuthorizationError, RedisError, ResponseError

log = logging.getLogger("keystay.store")

_REFUSALS_LOGGED_EVERY_S = 60.0

_SCRIPTS_MAY_NOT = "the redis user may not run every command that the scripts need"

# Parts of Redis' own words, and what to do about each. Waiting helps none of them.
_ADVICE = {
    "NOPERM": "the redis user lacks a permission; docs/redis-layout.md has all that it needs",
    "ACL failure": _SCRIPTS_MAY_NOT,
    "executing the script can't run": _SCRIPTS_MAY_NOT,  # The same, from Redis 7.0.
    "unknown command": "this is not Redis 7 or later, nor Valkey",
    "DB index is out of range": "the redis server has no database of this number",
    "SELECT is not allowed": "this redis is a cluster; it has no database but 0",
    "MOVED": "this redis is a node of a cluster; use redis+cluster://",
    "cluster support disabled": "this redis is no cluster; use redis://",
}


def reason(error: BaseException) -> str:
    """What happened, short, for a log line."""
    words = " ".join(str(error).split())
    code = getattr(error, "status_code", None)
    return ": ".join(filter(None, [code or type(error).__name__, words]))[:300]


def advice(error: BaseException | None) -> str | None:
    """What to do, if nothing will come right by waiting; else None."""
    if isinstance(error, AuthenticationError | AuthorizationError):
        return "redis does not accept the user or the password in the store's URL"
    if isinstance(error, RedisError):
        words = reason(error)
        return next((text for sign, text in _ADVICE.items() if sign in words), None)
    return None


def does_not_write(error: BaseException | None) -> bool:
    """Whether a master whose data can be trusted refuses to write for the time being."""
    return isinstance(error, ResponseError) and str(error).startswith("MISCONF")


class Refusals:
    """Says now and then what a server refuses to do."""

    def __init__(self) -> None:
        self._quiet_until = -math.inf

    def note(self, error: BaseException | None) -> None:
        """Log the error, if it is a refusal and there was none to log for a minute."""
        if isinstance(error, ResponseError) and time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + _REFUSALS_LOGGED_EVERY_S
            log.warning("redis refused a command (%s)", advice(error) or reason(error))


class Outage:
    """Says once when the server is lost and once when it is back."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._ongoing = False

    def begun(self, error: BaseException) -> None:
        """Log the loss, unless that has been done."""
        if not self._ongoing:
            self._ongoing = True
            log.warning("lost %s (%s), trying again", self._where, reason(error))

    def over(self) -> None:
        """Log the recovery, if there was a loss."""
        if self._ongoing:
            self._ongoing = False
            log.info("reached %s again", self._where)
