"""
The commands of a client (SPEC section 3), by their names in the protocol.
"""

from enum import StrEnum


class CommandName(StrEnum):
    """Every method of version 1."""

    IS_VALID = "session.isValid"
    RESTORE = "session.restore"
    LOGIN = "session.login"
    LOGOUT = "session.logout"
    LIST = "session.list"
    SUBSCRIBE = "events.subscribe"
    UNSUBSCRIBE = "events.unsubscribe"
    NOW = "time.now"


class LogoutScope(StrEnum):
    """Which of the actor's sessions a logout ends."""

    THIS = "this"
    OTHERS = "others"
    ALL = "all"
