"""
What a server is asked before anything depends on it.
"""

import logging
from collections.abc import Sequence

from redis.exceptions import ResponseError

from keystay_protocol.errors import Unavailable
from keystay_server.stores.errors import StoreError
from keystay_server.stores.redis.link import Link
from keystay_server.stores.redis.scripts import RIGHTS, Script

PERMISSIONS = "docs/redis-layout.md has all that it needs as one ACL SETUSER line"

log = logging.getLogger("keystay.store")


async def greet(link: Link, root: str) -> None:
    """
    Make sure that scripts run and messages can be published, and look at the eviction policy.

    Args:
        root: Of a partition on this server.

    Raises:
        Unavailable: If they do not; the cause is the server's own error.
        StoreError: If the user lacks a right.
    """
    await try_out(link, root)
    await _look_at_eviction(link)


async def try_out(link: Link, root: str, script: Script = RIGHTS) -> None:
    """Look whether scripts run, and whether they may do all that they need; else as `greet`."""
    if words := lacking(await link.run(script, root, 0)):
        raise StoreError(words)


def lacking(missing: Sequence[bytes]) -> str | None:
    """What to say of commands that the user lacks, below the root; None if there are none."""
    if not missing:
        return None
    names = ", ".join(name.decode() for name in missing)
    return f"the redis user lacks a permission ({names}): {PERMISSIONS}"


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
