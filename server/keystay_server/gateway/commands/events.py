"""
The `events.` commands (SPEC section 3): what a connection is subscribed to.
"""

from typing import Any

from keystay_protocol.errors import InvalidParams
from keystay_protocol.events import MAX_PATH_BYTES, MAX_PATHS
from keystay_server.gateway.context import Context


async def subscribe(context: Context, paths: list[Any]) -> list[str]:
    """Subscribe to the events at and below these paths. Return all subscribed paths."""
    peer = context.peer
    # A dict is the set that keeps its order.
    wanted = tuple(dict.fromkeys((*peer.paths, *_checked(paths))))
    if len(wanted) > MAX_PATHS:
        raise InvalidParams(f"paths: a connection has at most {MAX_PATHS}")
    peer.subscribe(wanted)
    return list(wanted)


async def unsubscribe(context: Context, paths: list[Any]) -> list[str]:
    """Unsubscribe from these paths. Return all subscribed paths."""
    peer = context.peer
    unwanted = _checked(paths)
    peer.subscribe(tuple(path for path in peer.paths if path not in unwanted))
    return list(peer.paths)


def _checked(paths: list[Any]) -> list[str]:
    if len(paths) > MAX_PATHS:
        raise InvalidParams(f"paths: at most {MAX_PATHS} at once")
    for path in paths:
        if type(path) is not str or len(path.encode()) > MAX_PATH_BYTES:
            raise InvalidParams(f"paths must be strings of at most {MAX_PATH_BYTES} bytes")
    return paths
