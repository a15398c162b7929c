"""
The store for several nodes: Redis 7 or later, or Valkey.

    store.py          the promises of `base`, each kept by one script
    scripts/          the scripts, in Lua, and what they keep
    partitions.py     which partition an actor is in; names of keys and channels
    layout.py         the layout that is recorded in the store
    encoding.py       what scripts return and announce, as values
    answers.py        what goes into scripts and comes out, beside records and events
    expiry.py         all partitions are asked to end what is due
    feed.py           the feed is read from the logs
    batches.py        the same thing for many, a bounded number at once

    announcements.py  what comes in, on its way to the hub
    gaps.py           what was missed, by number
    repair.py         gaps are repaired from the logs
    subscription.py   announcements of one server, whatever happens to the connection
    line.py           the connection they come in on

    server.py         one server: commands to it, announcements from it
    cluster.py        several servers, by hash slot
    slots.py          which node has which slot
    sentinel.py       the server that sentinels call the master
    role.py           whether a server is a master
    link.py           a command goes, its answer comes back
    wire.py           one connection, as far as redis-py's is used

    address.py        what a URL says
    tuning.py         what can be set about connections, and expiry
    greeting.py       what a server is asked before anything depends on it
    trouble.py        what went wrong, in words
"""

from keystay_server.stores.redis.store import RedisStore

__all__ = ["RedisStore"]
