"""
Where sessions live. `base` states what a store promises; here one is chosen by its URL.
"""

from urllib.parse import urlsplit

from keystay_server.stores.base import Store
from keystay_server.stores.diagnosis import Diagnosis
from keystay_server.stores.errors import StoreError
from keystay_server.stores.retention import Retention

EMBEDDED = ("sqlite", "memory")
REDIS = (
    "redis",
    "rediss",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)


def open_store(url: str, retention: Retention, partitions: int = 64) -> Store:
    """
    Make the store that the URL names; it still has to be started.

    `sqlite:///relative.db`, `sqlite:////absolute.db`, `memory://`,
    `redis://host:port/db`, `redis+sentinel://host:port,host:port/service`,
    `redis+cluster://host:port,host:port`; `rediss` instead of `redis` for TLS.

    Args:
        partitions: Of a store in Redis: how many it has. An embedded store has none.

    Raises:
        StoreError: If the URL names none, or there cannot be so many partitions.
    """
    scheme = urlsplit(url).scheme
    if scheme in EMBEDDED:
        from keystay_server.stores.sqlite import SqliteStore

        return SqliteStore.from_url(url, retention)
    if scheme in REDIS:
        # Imported late: an embedded server needs no redis package in memory.
        from keystay_server.stores.redis import RedisStore

        return RedisStore.from_url(url, retention, partitions=partitions)
    known = ", ".join(f"{name}://" for name in (*EMBEDDED, *REDIS))
    # The URL itself is not quoted: it may hold a password.
    raise StoreError(f"the URL must start with one of {known}")


async def diagnose(url: str) -> list[Diagnosis]:
    """
    Ask each server that a store's URL names; an embedded store has none.

    Raises:
        StoreError: If the URL is wrong.
    """
    if urlsplit(url).scheme not in REDIS:
        return []
    from keystay_server.stores.redis.diagnosis import diagnose_redis

    return await diagnose_redis(url)
