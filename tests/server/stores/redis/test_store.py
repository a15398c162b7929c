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
from keystay_protocol.errors import Expired, LoggedOut, NoSession, Replaced, Unavailable
from keystay_server.sessions.keys import new_key
from keystay_server.stores.errors import StoreError
from keystay_server.stores.events import Emitted, History, SessionUnset
from keystay_server.stores.records import (
    Changes,
    Holding,
    IdempotencyRecord,
    Policy,
    digest_of,
)
from keystay_server.stores.redis import RedisStore
from keystay_server.stores.redis.partitions import Partitions
from keystay_server.stores.retention import Retention
from tests.server.stores.contract.test_sessions import ODD_ACTORS
from tests.support.paths import ROOT
from tests.support.stores.installation import EMPTY_MAP, new_session, opened
from tests.support.stores.redis_node import node, until_unavailable
from tests.support.valkey import Valkey, running_valkey

HOUR = 60 * 60_000


@pytest.fixture
async def admin(valkey: Valkey) -> AsyncIterator[Redis]:
    """A plain client of the shared server."""
    async with Redis(port=valkey.port) as client:
        yield client


async def everything(admin: Redis, prefix: str) -> dict[bytes, Any]:
    """All keys of a prefix with all that is in them."""
    found: dict[bytes, Any] = {}
    async for key in admin.scan_iter(match=f"{prefix}:*"):
        match await admin.type(key):
            case b"hash":
                found[key] = await admin.hgetall(key)
            case b"stream":
                found[key] = await admin.xrange(key)
            case b"zset":
                found[key] = await admin.zrange(key, 0, -1, withscores=True)
            case b"list":
                found[key] = await admin.lrange(key, 0, -1)
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
        new = new_session(digest=digest_of(key))
        await opened(store, new)
        await store.restore("alice", new.digest)
    dump = repr(await everything(admin, prefix))
    assert new.digest.hex() in dump
    assert key not in dump
    assert key.rpartition(":")[2] not in dump


async def ttls(admin: Redis, prefix: str) -> dict[str, float | None]:
    """In how many hours each key expires, by what stands behind the partition."""
    found: dict[str, float | None] = {}
    for key in await everything(admin, prefix):
        ms = await admin.pttl(key)
        name = key.decode().removeprefix(f"{prefix}:").partition("}:")[2] or "layout"
        found[name] = None if ms < 0 else round(ms / HOUR, 2)
    return found


async def test_a_partition_is_in_one_hash_slot(
    valkey: Valkey, admin: Redis, prefix: str
) -> None:
    """Whatever is in an actor's id: each key names its partition, and so does the channel."""
    async with node(valkey.url(prefix)) as (store, _):
        for actor_id in ODD_ACTORS:
            new = new_session(actor_id, idempotency=IdempotencyRecord("{a}:b", "content"))
            await opened(store, new)
            await opened(store, new_session(actor_id))
            await store.end(actor_id, new.id, LogoutScope.THIS, "loggedOut")
        channels: list[bytes] = await admin.execute_command("PUBSUB", "SHARDCHANNELS")  # type: ignore[no-untyped-call]
    partitions = Partitions(prefix, 64)
    keys = set(await everything(admin, prefix)) - {f"{prefix}:layout".encode()}
    names = keys | {name for name in channels if name.startswith(prefix.encode())}
    assert len(keys) > 7 * len(ODD_ACTORS)
    slots = {root.encode(): key_slot(root.encode()) for root in partitions.roots}
    for name in names:
        assert key_slot(name) == slots[name[: name.index(b"}") + 1]]
    for actor_id in ODD_ACTORS:
        root = partitions.root_of(actor_id)
        assert f"{root}:sessions:{actor_id}".encode() in keys
        assert root.encode() in channels


async def test_nothing_of_a_live_session_expires(
    valkey: Valkey, admin: Redis, prefix: str
) -> None:
    """However long no node runs. What is over goes in its time, and no sooner."""
    async with node(valkey.url(prefix), Retention(tombstone_ms=HOUR)) as (store, _):
        left, kept = (
            new_session(idempotency=IdempotencyRecord("name", "content")),
            new_session(),
        )
        await opened(store, left)
        await opened(store, kept)
        await store.end("alice", left.id, LogoutScope.THIS, "loggedOut")
        over = {
            f"session:{left.digest.hex()}": 1,
            "ended:alice": 1,
            "events:alice": 0.17,
            "once:4:name:alice": 24,
        }
        partition = dict.fromkeys(["layout", "state", "log"])
        live = dict.fromkeys(["ids:alice", "sessions:alice", "last:alice", "due"])
        session = {f"session:{kept.digest.hex()}": None}
        assert await ttls(admin, prefix) == over | partition | live | session
        await store.end("alice", kept.id, LogoutScope.THIS, "loggedOut")
        over |= {f"session:{kept.digest.hex()}": 1, "last:alice": 1}
        assert await ttls(admin, prefix) == over | partition


async def test_a_node_that_was_away_for_long_still_ends_sessions(
    valkey: Valkey, admin: Redis, prefix: str
) -> None:
    """Longer than tombstones are kept: the end has its event, tombstone and feed entry."""
    new = new_session()
    async with node(valkey.url(prefix)) as (store, _):
        await opened(store, new)
        await store.expire()
        start = (await store.read_feed(None, 1)).position
    async with node(valkey.url(prefix)) as (store, heard):
        heard.actors.add("alice")
        store.shift_ms += 48 * HOUR
        assert await store.expire() == []
        store.shift_ms += 1_400
        assert await store.expire() == []
        store.shift_ms += 1_400
        assert await store.expire() == []
        store.shift_ms += 1_400
        [late] = await store.expire()
        assert late > 47 * HOUR
        assert (await heard.event()).change == SessionUnset(new.id, "expired")
        [entry] = (await store.read_feed(start, 10)).entries
        assert entry.change == SessionUnset(new.id, "expired")
        with pytest.raises(Expired):
            await store.check("alice", new.digest)


@pytest.mark.parametrize("tombstones", [0, 3])
async def test_tombstones_of_an_actor_are_bounded(
    valkey: Valkey, admin: Redis, prefix: str, tombstones: int
) -> None:
    """The oldest are forgotten first; but not a session that was created with such a key."""
    async with node(valkey.url(prefix), Retention(tombstones=tombstones)) as (store, _):
        news = [new_session() for _ in range(8)]
        for new in news:
            await store.create(new, Policy(limit=1))
        for i, new in enumerate(news[:-1]):
            is_known = i >= len(news) - 1 - tombstones
            with pytest.raises(Replaced if is_known else NoSession):
                await store.check("alice", new.digest)
        keys = await everything(admin, prefix)
        assert sum(b":session:" in key for key in keys) == tombstones + 1


async def test_a_session_with_the_key_of_an_old_tombstone_stays(
    valkey: Valkey, admin: Redis, prefix: str
) -> None:
    """A tombstone that Redis has deleted is still in the list when its key is used again."""
    async with node(valkey.url(prefix), Retention(tombstones=2)) as (store, _):
        again = new_session()
        await opened(store, again)
        await store.end("alice", again.id, LogoutScope.THIS, "loggedOut")
        root = Partitions(prefix, 64).root_of("alice")
        await admin.delete(f"{root}:session:{again.digest.hex()}")
        await opened(store, again)
        for _ in range(3):
            new = new_session()
            await opened(store, new)
            await store.end("alice", new.id, LogoutScope.THIS, "loggedOut")
        assert (await store.check("alice", again.digest)).id == again.id


async def test_prefixes_keep_installations_apart(valkey: Valkey, prefix: str) -> None:
    """Two prefixes in one Redis are two stores."""
    async with (
        node(valkey.url(prefix)) as (store, _),
        node(valkey.url(prefix + "-other")) as (other, other_heard),
    ):
        new = new_session()
        other_heard.actors.add("alice")
        await opened(store, new)
        with pytest.raises(NoSession):
            await other.check("alice", new.digest)
        event = await opened(other, new_session())
        assert await other_heard.event() == event


async def test_databases_keep_sessions_apart(valkey: Valkey, admin: Redis, prefix: str) -> None:
    """The number in the URL is the database that is used."""
    async with node(valkey.url(prefix).replace("/0?", "/3?")) as (store, _):
        await opened(store, new_session())
    assert not await everything(admin, prefix)


async def test_what_was_answered_survives_a_killed_redis(tmp_path: Path) -> None:
    """With `appendfsync always`, a Redis that is killed has every answered write."""
    server = Valkey(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    server.start()
    try:
        kept, left = new_session(), new_session()
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
            assert (await store.restore("alice", kept.digest)).cursor == last.cursor
    finally:
        server.kill()


async def ended(store: RedisStore, count: int) -> None:
    """End what is due, however long nobody has asked."""
    late: list[int] = []
    for _ in range(4):
        late += await store.expire()
        store.shift_ms += 1_400
    assert len(late) == count


async def test_a_full_redis_still_logs_out(own_valkey: Valkey) -> None:
    """Without memory for a new session, a session can be ended."""
    async with (
        node(own_valkey.url()) as (store, _),
        Redis(port=own_valkey.port) as admin,
    ):
        new = new_session()
        await opened(store, new)
        await admin.config_set("maxmemory", 1)
        with pytest.raises(Unavailable):
            await opened(store, new_session())
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
        ("~* &* +@all -hmget >right", "app:right@", r"lacks a permission \(hmget\)"),
        ("~* &* +@all -spublish -xtrim >right", "app:right@", r"\(xtrim, spublish\)"),
        ("~* &* +@all -ssubscribe >right", "app:right@", r"\(ssubscribe\)"),
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


REFUSING: dict[str, list[tuple[str, ...]]] = {
    "full": [("CONFIG", "SET", "maxmemory", "1")],
    "read-only": [
        ("CONFIG", "SET", "replica-serve-stale-data", "yes"),
        ("REPLICAOF", "127.0.0.1", "1"),
    ],
    "without replicas": [("CONFIG", "SET", "min-replicas-to-write", "1")],
    "without a right": [("ACL", "SETUSER", "default", "-zadd")],
}


@pytest.mark.parametrize("how", REFUSING)
async def test_a_store_that_refuses_logins_is_not_ready(own_valkey: Valkey, how: str) -> None:
    """`probe` fails when a login does; keys are still answered."""
    async with Redis(port=own_valkey.port) as admin, node(own_valkey.url()) as (store, _):
        new = new_session()
        await opened(store, new)
        await store.probe()
        execute: Any = admin.execute_command
        for command in REFUSING[how]:
            await execute(*command)
        with pytest.raises(Unavailable):
            await store.probe()
        with pytest.raises(Unavailable):
            await opened(store, new_session())


async def test_a_server_that_does_not_write_restores(tmp_path: Path) -> None:
    """While a snapshot cannot be saved, sessions are restored as they are."""
    (folder := tmp_path / "gone").mkdir()
    with running_valkey(folder) as server:
        async with Redis(port=server.port) as admin, node(server.url()) as (store, _):
            new = new_session()
            event = await opened(store, new)
            folder.rmdir()
            await admin.config_set("save", "3600 1")
            await admin.bgsave()
            await until_unavailable(store.probe)
            with pytest.raises(Unavailable):
                await opened(store, new_session())
            restored = await store.restore("alice", new.digest, event.cursor)
            assert restored.record.id == new.id
            assert restored.missed == History([], complete=True)


async def test_a_write_that_cannot_be_announced_changes_nothing(own_valkey: Valkey) -> None:
    """A user who loses the right to publish ends no session: nobody would be told."""
    async with Redis(port=own_valkey.port) as admin, node(own_valkey.url()) as (store, _):
        new = new_session()
        await opened(store, new)
        await set_user(admin, "default", "-spublish")
        for write in (
            store.end("alice", new.id, LogoutScope.THIS, "loggedOut"),
            store.change("alice", new.id, Changes(language="fr"), None),
            opened(store, new_session()),
        ):
            with pytest.raises(Unavailable):
                await write
        assert (await store.check("alice", new.digest)).language == new.language
        assert len(await store.sessions("alice", 10)) == 1


def documented_rights() -> list[str]:
    """What the page on the layout says that a user of the store needs."""
    page = (ROOT / "docs/redis-layout.md").read_text()
    command = page[page.index("ACL SETUSER keystay") :].partition("```")[0]
    return command.split()[3:]


async def test_a_user_needs_no_more_than_this(
    own_valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    """The documented permissions are enough; CONFIG is not among them."""
    async with Redis(port=own_valkey.port) as admin:
        await set_user(admin, "keystay", *documented_rights(), ">pw:@/")
    async with node(own_valkey.url(userinfo="keystay:pw%3A%40%2F@")) as (store, heard):
        assert not caplog.records
        heard.actors.add("alice")
        new = new_session(idempotency=IdempotencyRecord("name", "content"))
        event = await opened(store, new)
        assert await heard.event() == event
        assert (await store.restore("alice", new.digest, event.cursor)).missed
        await store.emit("alice", Emitted(None, "app.said", EMPTY_MAP))
        await store.touch([Holding("alice", new.digest)])
        assert await store.expire() == []
        assert len(await store.sessions("alice", 10)) == 1
        assert len((await store.read_feed((0,) * 64, 10)).entries) == 1
        assert (await store.history("alice", event.cursor)).complete
        assert len(await store.create(new_session(), Policy(limit=1))) == 2
        assert len(await store.end("alice", None, LogoutScope.ALL, "revoked")) == 1
        await store.lease("webhook", "node", 1000)
        await store.report("topic", "node", b"", 1000)
        assert await store.reports("topic") == {"node": b""}
        await opened(store, new_session())
        store.shift_ms += HOUR
        await ended(store, 1)


async def test_a_database_that_is_not_there_is_told(valkey: Valkey) -> None:
    """A number beyond the server's databases never comes right by itself."""
    with pytest.raises(StoreError, match="no database of this number"):
        async with node(valkey.url().replace("/0?", "/999?")):
            pass
