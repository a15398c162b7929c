"""
What is in Redis, and what may never be.
"""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import LoggedOut, NoSession, Unavailable
from keystay_server.keys import digest_of, new_key
from keystay_server.stores.base import Holding, Retention, StoreError
from tests.stores.installation import opened, opening
from tests.stores.redis_node import node
from tests.stores.test_store_contract import ODD_ACTORS
from tests.valkey import Valkey

HOUR = 60 * 60_000


@pytest.fixture
async def admin(valkey: Valkey) -> AsyncIterator[Redis]:
    """A plain client of the shared server."""
    async with Redis(port=valkey.port) as client:
        yield client


async def everything(admin: Redis, prefix: str) -> dict[bytes, Any]:
    """All keys of a prefix with all that is in them, the marks of probes excepted."""
    found: dict[bytes, Any] = {}
    async for key in admin.scan_iter(match=f"{prefix}:*"):
        if b":probe:" in key:
            continue
        match await admin.type(key):
            case b"hash":
                found[key] = await admin.hgetall(key)
            case b"stream":
                found[key] = await admin.xrange(key)
            case b"zset":
                found[key] = await admin.zrange(key, 0, -1, withscores=True)
            case b"string":
                found[key] = await admin.get(key)
            case kind:
                raise AssertionError(f"nobody looks into a {kind!r}")
    return found


async def set_user(admin: Redis, *rules: str) -> None:
    """ACL SETUSER."""
    execute: Any = admin.execute_command
    assert await execute("ACL", "SETUSER", *rules)


async def test_no_key_is_in_redis(valkey: Valkey, admin: Redis, prefix: str) -> None:
    """Redis holds the digest of a key: neither the key nor its secret, anywhere."""
    key = new_key("alice")
    async with node(valkey.url(prefix)) as (store, _):
        new = opening(digest=digest_of(key))
        await opened(store, new)
        await store.restore("alice", new.digest)
    dump = repr(await everything(admin, prefix))
    assert new.digest.hex() in dump
    assert key not in dump
    assert key.rpartition(":")[2] not in dump


async def test_an_actor_is_in_one_hash_slot(valkey: Valkey, admin: Redis, prefix: str) -> None:
    """Whatever is in an actor's id, what is kept below its root shares a slot."""
    async with node(valkey.url(prefix)) as (store, _):
        before: set[bytes] = set()
        root = f"{prefix}:{{".encode()
        for actor_id in ODD_ACTORS:
            new = opening(actor_id)
            await opened(store, new)
            await opened(store, opening(actor_id))
            await store.end(actor_id, new.id, LogoutScope.THIS, "loggedOut")
            keys = {key for key in await everything(admin, prefix) if root in key}
            added, before = keys - before, keys
            assert len(added) == 6
            assert len({key_slot(key) for key in added}) == 1


async def test_nothing_stays_for_ever(valkey: Valkey, admin: Redis, prefix: str) -> None:
    """Every key expires: no sooner than its content is over, and not much later."""
    async with node(valkey.url(prefix), Retention(tombstone_ms=HOUR)) as (store, _):
        left, kept = opening(ttl_ms=2 * HOUR), opening(ttl_ms=3 * HOUR)
        await opened(store, left)
        await opened(store, kept)
        await store.end("alice", left.id, LogoutScope.THIS, "loggedOut")
        for _ in range(2):
            ttl = {
                key.decode().partition("}:")[2] or "due": await admin.pttl(key)
                for key in await everything(admin, prefix)
                if b":feed:" not in key
            }
            assert {name: round(ms / HOUR, 2) for name, ms in ttl.items()} == {
                f"session:{left.digest.hex()}": 1,
                f"session:{kept.digest.hex()}": 4,
                "ids": 3,
                "live": 3,
                "events": 0.17,
                "last": 4,
                # A deadline that it notes may have slid by another ttl since.
                "due": 7,
            }
            await store.restore("alice", kept.digest)


async def test_a_touch_keeps_what_the_session_needs(
    valkey: Valkey, admin: Redis, prefix: str
) -> None:
    """A touched session takes its index and the newest cursor along, but no old event."""
    async with node(valkey.url(prefix), Retention(tombstone_ms=HOUR)) as (store, _):
        new = opening(ttl_ms=3 * HOUR)
        await opened(store, new)
        for key in await everything(admin, prefix):
            await admin.pexpire(key, HOUR // 2)
        store.shift_ms += 2 * HOUR
        await store.touch([Holding("alice", new.digest)])
        ttl = {
            key.decode().partition("}:")[2] or "due": await admin.pttl(key)
            for key in await everything(admin, prefix)
            if b":feed:" not in key
        }
        assert {name: round(ms / HOUR, 2) for name, ms in ttl.items()} == {
            f"session:{new.digest.hex()}": 4,
            "ids": 3,
            "live": 3,
            "events": 0.5,
            "last": 4,
            "due": 0.5,
        }


async def test_expired_sessions_leave_the_index(
    valkey: Valkey, admin: Redis, prefix: str
) -> None:
    """The next write takes out what has expired, so that an index does not grow for ever."""
    async with node(valkey.url(prefix)) as (store, _):
        for _ in range(10):
            await opened(store, opening(ttl_ms=1000))
        store.shift_ms += 1000
        await opened(store, opening())
        found = await everything(admin, prefix)
    assert [len(v) for k, v in found.items() if k.endswith((b":ids", b":live"))] == [1, 1]


async def test_prefixes_keep_installations_apart(valkey: Valkey, prefix: str) -> None:
    """Two prefixes in one Redis are two stores."""
    async with (
        node(valkey.url(prefix)) as (store, _),
        node(valkey.url(prefix + "-other")) as (other, other_heard),
    ):
        new = opening()
        await other.watch("alice")
        await opened(store, new)
        with pytest.raises(NoSession):
            await other.check("alice", new.digest)
        event = await opened(other, opening())
        assert await other_heard.event() == event


async def test_databases_keep_sessions_apart(valkey: Valkey, admin: Redis, prefix: str) -> None:
    """The number in the URL is the database that is used."""
    async with node(valkey.url(prefix).replace("/0?", "/3?")) as (store, _):
        await opened(store, opening())
    assert not await everything(admin, prefix)


async def test_what_was_answered_survives_a_killed_redis(tmp_path: Path) -> None:
    """With `appendfsync always`, a Redis that is killed has every answered write."""
    server = Valkey(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    server.start()
    try:
        kept, left = opening(), opening()
        async with node(server.url()) as (store, _):
            await opened(store, kept)
            await opened(store, left)
            [last] = await store.end("alice", left.id, LogoutScope.THIS, "loggedOut")
            server.kill()
        server.start()
        async with node(server.url()) as (store, _):
            assert (await store.check("alice", kept.digest)).id == kept.id
            with pytest.raises(LoggedOut):
                await store.check("alice", left.digest)
            assert (await store.restore("alice", kept.digest)).previous == last.cursor
    finally:
        server.kill()


async def test_a_full_redis_still_logs_out(own_valkey: Valkey) -> None:
    """Without memory for a new session, a session can be ended."""
    async with (
        node(own_valkey.url()) as (store, _),
        Redis(port=own_valkey.port) as admin,
    ):
        new = opening()
        await opened(store, new)
        await admin.config_set("maxmemory", 1)
        with pytest.raises(Unavailable):
            await opened(store, opening())
        assert (await store.check("alice", new.digest)).id == new.id
        assert len(await store.end("alice", new.id, LogoutScope.THIS, "loggedOut")) == 1
        with pytest.raises(LoggedOut):
            await store.check("alice", new.digest)


async def test_an_evicting_redis_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A policy other than noeviction is worth a warning at the start."""
    server = Valkey(tmp_path, "--maxmemory-policy", "allkeys-lru")
    server.start()
    try:
        async with node(server.url()):
            [warning] = [r for r in caplog.records if r.levelno >= logging.WARNING]
    finally:
        server.kill()
    assert "maxmemory-policy is allkeys-lru, set it to noeviction" in warning.getMessage()


@pytest.mark.parametrize(
    ("acl", "userinfo", "advice"),
    [
        ("~* &* +@all >right", "app:wrong@", "does not accept the user or the password"),
        ("~* &* +@all >right", "", "does not accept the user or the password"),
        ("~* &* +@read >right", "app:right@", "lacks a permission"),
        ("~other:* &* +@all >right", "app:right@", "lacks a permission"),
        ("~* resetchannels +@all >right", "app:right@", "lacks a permission"),
        ("~* &* +@all -hgetall >right", "app:right@", "may not run every command"),
    ],
)
async def test_a_user_who_cannot_work_is_told_at_the_start(
    own_valkey: Valkey,
    caplog: pytest.LogCaptureFixture,
    acl: str,
    userinfo: str,
    advice: str,
) -> None:
    """What waiting will not heal is a StoreError alone: it says what to do, and no password."""
    async with Redis(port=own_valkey.port) as admin:
        await set_user(admin, "app", "on", *acl.split())
        await set_user(admin, "default", "off")
        with pytest.raises(StoreError, match=advice) as refused:
            async with node(own_valkey.url(userinfo=userinfo)):
                pass
    assert not caplog.records
    assert "wrong" not in str(refused.value)
    assert "right" not in str(refused.value)


async def test_a_user_needs_no_more_than_this(
    own_valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    """The permissions in the operator's guide are enough; CONFIG is not among them."""
    rights = "~ks:* &ks:* -@all +@read +@write +@hash +@sortedset +@stream +pexpireat"
    rights += " +evalsha +script|load +time +spublish +ssubscribe +sunsubscribe"
    async with Redis(port=own_valkey.port) as admin:
        await set_user(admin, "app", "on", ">pw:@/", *rights.split())
    async with node(own_valkey.url(userinfo="app:pw%3A%40%2F@")) as (store, heard):
        assert not caplog.records
        await store.watch("alice")
        new = opening()
        events = [await opened(store, new), await store.restore("alice", new.digest)]
        assert [await heard.event(), await heard.event()] == events
        await store.touch([Holding("alice", new.digest)])
        assert await store.expire() == []
        assert len(await store.sessions("alice")) == 1
        assert (await store.history("alice", events[0].cursor)).complete
        assert len(await store.end("alice", new.id, LogoutScope.THIS, "loggedOut")) == 1
        await opened(store, opening())
        store.shift_ms += HOUR
        assert len(await store.expire()) == 1


async def test_a_database_that_is_not_there_is_told(valkey: Valkey) -> None:
    """A number beyond the server's databases never comes right by itself."""
    with pytest.raises(StoreError, match="no database of this number"):
        async with node(valkey.url().replace("/0?", "/999?")):
            pass
