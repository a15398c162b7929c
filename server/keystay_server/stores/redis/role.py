"""
Whether a server is a master: a replica may be behind, and about to be emptied.
"""

import math

from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import MasterDownError, ReadOnlyError, ResponseError

from keystay_server.stores.redis.wire import Wire, pack, send

_ROLE = pack("ROLE")


async def require_master(wire: Wire) -> None:
    """
    Return if the server is a master, or does not let its user ask.

    Raises:
        ConnectionLost: If it is a replica.
    """
    await send(wire, [_ROLE])
    try:
        answer = await wire.read_response(disable_decoding=True, timeout=math.inf)
    except ResponseError:
        return
    if answer[0] != b"master":
        raise ConnectionLost("the server is a replica")


def is_no_master(answer: object) -> bool:
    """Return whether an error says that the server is a master no more, or not for long."""
    return (isinstance(answer, ResponseError) and str(answer).startswith("NOREPLICAS")) or (
        isinstance(answer, ReadOnlyError | MasterDownError)
    )
