"""
The store for several nodes: Redis 7 or later, or Valkey.

    store.py     the promises of `base`, each kept by one script
    scripts/     the scripts, in Lua, and what they keep
    due.py       which sessions are due, without asking each actor
    batches.py   the same thing for many, a bounded number at once
    layout.py    names of keys and channels; what scripts return, as values

    server.py    one server: commands to it, announcements from it
    link.py      a command goes, its answer comes back
    feed.py      announcements come in, whatever happens to the connection
    line.py      the connection they come in on
    wire.py      one connection, as far as redis-py's is used

    cluster.py   several servers, by hash slot
    slots.py     which node has which slot
    sentinel.py  the server that sentinels call the master

    address.py   what a URL says
    tuning.py    what can be set about connections
    greeting.py  what a server is asked before anything depends on it
    waiting.py   a deadline for what others will answer
    trouble.py   what went wrong, in words
"""

from keystay_server.stores.redis.store import RedisStore

__all__ = ["RedisStore"]
