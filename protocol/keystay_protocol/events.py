"""
The events the server sends by itself (SPEC section 5), and which subscription hears which.
"""

from collections.abc import Iterable

SESSION_SET = "session.set"
SESSION_UNSET = "session.unset"
SERVER_DRAINING = "server.draining"

DEFAULT_PATHS = ("session",)
"""What a connection is subscribed to before it says anything."""

MAX_PATHS = 64
"""How many paths one connection may be subscribed to."""

MAX_PATH_BYTES = 128
"""How long a path may be."""


def matches(path: str, name: str) -> bool:
    """
    Tell whether a subscription to `path` hears the event `name`.

    A path matches itself and everything below it; the empty path matches all.
    """
    return not path or name == path or name.startswith(path + ".")


def heard_by(paths: Iterable[str], name: str) -> bool:
    """Tell whether any of the paths hears the event. `server.` events are heard by everyone."""
    return name.startswith("server.") or any(matches(path, name) for path in paths)
