"""
The events of the protocol (SPEC section 5), and the matching of paths.
"""

from functools import lru_cache

SESSION_SET = "session.set"
SESSION_UNSET = "session.unset"
SERVER_DRAINING = "server.draining"

DEFAULT_PATHS = ("session",)
"""The subscriptions of a new connection."""

MAX_PATHS = 64
"""The maximum number of paths of one connection."""

MAX_PATH_BYTES = 128
"""The maximum length of a path."""


def matches(path: str, name: str) -> bool:
    """
    Return whether the path matches the event.

    A path matches its own name and every name below it; the empty path matches all.
    """
    return not path or name == path or name.startswith(path + ".")


# A fan-out asks the same for every connection: a tenth of what an event costs.
@lru_cache(maxsize=512)
def is_subscribed(paths: tuple[str, ...], name: str) -> bool:
    """Return whether any of the paths matches the event; events of `server.` always match."""
    return name.startswith("server.") or any(matches(path, name) for path in paths)
