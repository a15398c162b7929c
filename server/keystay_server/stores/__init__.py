"""
Where sessions live. `base` states what a store promises; here one is chosen by its URL.
"""

from urllib.parse import urlsplit

from keystay_server.stores.base import Retention, Store, StoreError

SCHEMES = ("sqlite", "memory", "redis", "rediss")


def open_store(url: str, retention: Retention) -> Store:
    """
    Make the store that the URL names; it still has to be started.

    `sqlite:///relative.db`, `sqlite:////absolute.db`, `memory://`,
    `redis://host:port/db`, `rediss://...` (TLS).

    Raises:
        StoreError: If the URL names none.
    """
    match urlsplit(url).scheme:
        case "sqlite" | "memory":
            from keystay_server.stores.sqlite import SqliteStore

            return SqliteStore.from_url(url, retention)
        case "redis" | "rediss":
            # Imported late: an embedded server needs no redis package in memory.
            from keystay_server.stores.redis import RedisStore

            return RedisStore.from_url(url, retention)
        case scheme:
            known = ", ".join(f"{name}://" for name in SCHEMES)
            raise StoreError(f"no store speaks {scheme or url!r}; there are {known}")
