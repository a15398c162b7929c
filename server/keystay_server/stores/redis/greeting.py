"""
What a server is asked before anything depends on it.
"""

import logging

from redis.exceptions import ResponseError

from keystay_protocol.errors import Unavailable
from keystay_server.stores.redis.layout import probe_channel, root_of
from keystay_server.stores.redis.link import Link
from keystay_server.stores.redis.scripts import SESSIONS

log = logging.getLogger("keystay.store")


async def greet(link: Link, prefix: str, token: str) -> bytes:
    """
    Make sure that scripts run and messages can be published, and look at the eviction policy.

    Returns a channel to probe subscriptions with; `token` decides its hash slot.

    Raises:
        Unavailable: If they do not; the cause is the server's own error.
    """
    channel = probe_channel(prefix, token)
    await link.run(SESSIONS, root_of(prefix, token), 0, 0, 0, 0)
    await link.send("SPUBLISH", channel, b"")
    await _look_at_eviction(link)
    return channel


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
