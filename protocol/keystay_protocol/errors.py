"""
The errors of the protocol, one class per code (SPEC sections 6 and 7).

    KeystayError
    +-- MalformedFrame              the bytes violate the protocol; the connection closes
    +-- CommandError                a command was refused; the connection stays open
        +-- InvalidSessionKey       "invalidSessionKey"
        +-- NoSession               "noSession"
        +-- SessionEnded            any reason; these have their own class:
        |   +-- Expired             "expired"
        |   +-- LoggedOut           "loggedOut"
        |   +-- Replaced            "replaced"
        |   +-- Revoked             "revoked"
        |   +-- Reassigned          "reassigned"
        |   +-- BadVersion          "badVersion"
        |   +-- KeyReused           "keyReused"
        +-- SessionLimit            "sessionLimit"
        +-- LoginFailed             "loginFailed"
        +-- LoginDisabled           "loginDisabled"
        +-- InvalidParams           "invalidParams"
        +-- UnknownCommand          "unknownCommand"
        +-- RateLimited             "rateLimited"
        +-- Unavailable             "unavailable"
        +-- Timeout                 "timeout"
        +-- InternalError           "internal"
        +-- UnknownRefusal          a code of a later version with `retryAfter`
"""

import math
import re
from enum import IntEnum
from typing import Any


class CloseCode(IntEnum):
    """Why a connection was closed (SPEC section 7): 4000-4499 reconnect, 4500-4999 do not."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    INVALID_DATA = 1007
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    NO_SESSION_IN_TIME = 4000
    TOO_SLOW = 4001
    RATE_LIMITED = 4002
    STORE_UNAVAILABLE = 4003
    MALFORMED_FRAME = 4500
    SESSION_ENDED = 4501
    FORBIDDEN = 4502


class KeystayError(Exception):
    """The base class of all errors of Keystay."""


class MalformedFrame(KeystayError):
    """The bytes are not a frame. The text has the cause, and none of the bytes."""


class CommandError(KeystayError):
    """
    A command was refused, with `code`.

    Args:
        message: For people; contains no key or token.
        retry_after_s: The delay before the next attempt, if one may succeed.
    """

    code: str

    def __init__(self, message: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(message or self.code)
        self.message = message
        self.retry_after_s = retry_after_s

    def details(self) -> dict[str, Any] | None:
        """Return the result of the reply: `message` and `retryAfter`, or None."""
        details: dict[str, Any] = {}
        if self.message:
            details["message"] = self.message
        if self.retry_after_s is not None:
            details["retryAfter"] = self.retry_after_s
        return details or None


class InvalidSessionKey(CommandError):
    """The string does not have the form of a key. Discard it."""

    code = "invalidSessionKey"


class NoSession(CommandError):
    """The key identifies no session, or the connection is not bound to one."""

    code = "noSession"


class SessionEnded(CommandError):
    """The session has ended; `code` is the reason. Log in again."""

    code = "ended"

    def __init__(
        self, message: str = "", *, reason: str = "", retry_after_s: float | None = None
    ) -> None:
        if reason:
            self.code = reason  # A backend may use reasons of its own.
        super().__init__(message, retry_after_s=retry_after_s)


class Expired(SessionEnded):
    """The session was not extended in time, or reached its maximum age."""

    code = "expired"


class LoggedOut(SessionEnded):
    """The user logged out, here or on another connection."""

    code = "loggedOut"


class Replaced(SessionEnded):
    """The actor opened another session, and the policy limits their number."""

    code = "replaced"


class Revoked(SessionEnded):
    """A backend ended the session."""

    code = "revoked"


class Reassigned(SessionEnded):
    """The session was reassigned to another actor, with a new key."""

    code = "reassigned"


class BadVersion(SessionEnded):
    """The session was opened with another version of the application."""

    code = "badVersion"


class KeyReused(SessionEnded):
    """A key that had been replaced was used again: somebody has a copy."""

    code = "keyReused"


class SessionLimit(CommandError):
    """The actor has the maximum number of sessions; end one first."""

    code = "sessionLimit"


class LoginFailed(CommandError):
    """The credentials were not accepted."""

    code = "loginFailed"


class LoginDisabled(CommandError):
    """The server is not configured for this login method."""

    code = "loginDisabled"


class InvalidParams(CommandError):
    """The params have the wrong number or type; the message has the details."""

    code = "invalidParams"


class UnknownCommand(CommandError):
    """The server does not have this command."""

    code = "unknownCommand"


class RateLimited(CommandError):
    """Too many commands. Wait `retry_after_s`."""

    code = "rateLimited"


class Unavailable(CommandError):
    """Not now (SPEC section 6): nothing was changed, or it is unknown whether it was."""

    code = "unavailable"


class Timeout(CommandError):
    """The command took longer than its deadline; it is unknown whether it was executed."""

    code = "timeout"


class InternalError(CommandError):
    """The server failed. Its log has the details."""

    code = "internal"


class UnknownRefusal(CommandError):
    """A temporary refusal by a server of a later version. Wait `retry_after_s`."""

    def __init__(self, code: str, message: str = "", *, retry_after_s: float) -> None:
        self.code = code
        super().__init__(message, retry_after_s=retry_after_s)


def _leaves(cls: type[CommandError]) -> list[type[CommandError]]:
    return [cls] + [leaf for child in cls.__subclasses__() for leaf in _leaves(child)]


REASON = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")

_WITHOUT_CODE = (CommandError, SessionEnded, UnknownRefusal)

BY_CODE: dict[str, type[CommandError]] = {
    cls.code: cls for cls in _leaves(CommandError) if cls not in _WITHOUT_CODE
}
"""The class of each code in SPEC section 6."""


def error_from_reply(code: str, details: object) -> CommandError:
    """
    Return the error of a reply.

    An unknown code is temporary if it has `retryAfter`, and otherwise the reason for which a
    backend ended the session (SPEC section 9).
    """
    details = details if isinstance(details, dict) else {}
    message = details.get("message")
    message = message if isinstance(message, str) else ""
    retry_after_s = _seconds(details.get("retryAfter"))
    cls = BY_CODE.get(code)
    if cls is not None:
        return cls(message, retry_after_s=retry_after_s)
    if retry_after_s is not None:
        return UnknownRefusal(code, message, retry_after_s=retry_after_s)
    return SessionEnded(message, reason=code)


def session_ended(reason: str) -> SessionEnded:
    """Return the error for a session that ended for this reason."""
    cls = BY_CODE.get(reason)
    if cls is not None and issubclass(cls, SessionEnded):
        return cls()
    return SessionEnded(reason=reason)


def is_reason(word: str) -> bool:
    """
    Return whether a session may be ended for this reason.

    It is a reason of the protocol, or one of the backend, which must not be another error
    code.
    """
    cls = BY_CODE.get(word)
    return REASON.fullmatch(word) is not None and (cls is None or issubclass(cls, SessionEnded))


def _seconds(value: object) -> float | None:
    # A peer may send a bool, a negative number, infinity or NaN.
    if type(value) is int or type(value) is float:
        return float(value) if 0 <= value < math.inf else None
    return None
