"""
What a server is asked before anything depends on it.
"""

import logging

from redis.exceptions import ResponseError

from keystay_protocol.errors import Unavailable
from keystay_server.stores.redis.link import Link
from keystay_server.stores.redis.scripts import CHECK

log = logging.getLogger("keystay.store")


async def greet(link: Link, root: str) -> None:
    """
    Make sure that scripts run and messages can be published, and look at the eviction policy.

    Args:
        root: Of a partition on this server.

    Raises:
        Unavailable: If they do not; the cause is the server's own error.
    """
    await try_out(link, root)
    await _look_at_eviction(link)


async def try_out(link: Link, root: str) -> None:
    """Run a script that changes nothing, and publish where nobody listens."""
    await link.run(CHECK, root, 0, "", "")
    await link.send("SPUBLISH", f"{root}:greeting", b"")


async def _look_at_eviction(link: Link) -> None:
    try:
        answer = await link.send("CONFIG", "GET", "maxmemory-policy")
    except Unavailable as error:
        if not isinstance(error.__cause__, ResponseError):
            raise
        log.info("cannot see redis' maxmemory-policy; make sure that it is noeviction")
        return
    if answer[1:] != [b"noeviction"]:
        log.warning(
            "redis may throw sessions away when its memory is full: "
            "maxmemory-policy is %s, set it to noeviction",
            answer[1].decode() if len(answer) > 1 else "unknown",
        )
