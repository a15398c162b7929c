"""
The rules of a session's life, whichever door a request comes through.
"""

from typing import Any

import pytest

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import (
    BadVersion,
    Expired,
    InvalidParams,
    InvalidSessionKey,
    LoggedOut,
    NoSession,
    Revoked,
    SessionEnded,
)
from keystay_server.sessions.policy import Rules
from keystay_server.sessions.service import SessionRequest, Sessions
from keystay_server.stores.events import History
from keystay_server.stores.records import Record, digest_of
from tests.support.server.memory_node import MemoryNode, record_of

SECRET = "kst_" + "A" * 43


@pytest.fixture
def sessions(node: MemoryNode) -> Sessions:
    """Sessions that live for half an hour."""
    return node.sessions


async def opened(
    sessions: Sessions, actor_id: str = "alice", **fields: Any
) -> tuple[str, Record]:
    """Open a session: its key and its record."""
    key, new = sessions.prepare(SessionRequest(actor_id, **fields))
    [event] = await sessions.create_prepared(new)
    record: Record = record_of(event)
    return key, record


async def test_an_opened_session_is_what_was_asked_for(sessions: Sessions) -> None:
    """Meta, language and version are kept; the key opens it; the store has its digest only."""
    key, record = await opened(
        sessions, meta={"acl": ["admin"], "name": "Zoë"}, language="de-CH", version="1.2.3"
    )
    assert key.startswith("alice:kst_")
    session = (await sessions.check(key)).to_session()
    assert session.meta == {"acl": ["admin"], "name": "Zoë"}
    assert (session.language, session.version) == ("de-CH", "1.2.3")
    assert key not in repr(record)
    assert SECRET not in repr(sessions.prepare(SessionRequest("alice")))


async def test_times_are_the_configured_ones_unless_given(node: MemoryNode) -> None:
    """`ttl` and `maxAge` of an opening override what the server is configured with."""
    bounded = Sessions(node.store, Rules(60, 600))
    _, record = await opened(bounded)
    assert record.expires_at - record.created_at == 60_000
    assert record.ends_at == record.created_at + 600_000
    _, record = await opened(bounded, ttl_s=0.5, max_age_s=1.5)
    assert record.expires_at - record.created_at == 500
    assert record.ends_at == record.created_at + 1500
    _, record = await opened(node.sessions)
    assert (record.expires_at - record.created_at, record.ends_at) == (1_800_000, None)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"actor_id": ""}, "actorId"),
        ({"actor_id": "a" * 129}, "actorId"),
        ({"actor_id": "é" * 65}, "actorId"),
        ({"actor_id": "\ud800"}, "actorId"),
        ({"language": ""}, "language"),
        ({"language": "english please"}, "language"),
        ({"language": "en\n"}, "language"),
        ({"language": "en" + "-abcdefgh" * 8}, "language"),
        ({"version": ""}, "version"),
        ({"version": "v" * 65}, "version"),
        ({"version": "1\n2"}, "version"),
        ({"version": "\ud800"}, "version"),
        ({"meta": {"a": "x" * 4096}}, "meta"),
        ({"meta": {"a": [[[[[[[[1]]]]]]]]}}, "meta"),
        ({"meta": {1: "a"}}, "meta"),
        ({"meta": {"a": object()}}, "meta"),
        ({"meta": {"a": b"bytes"}}, "meta"),
        ({"meta": {"a": float("nan")}}, "meta"),
        ({"meta": {"a": 2**64}}, "meta"),
        ({"meta": {"a": "\ud800"}}, "meta"),
        ({"ttl_s": 0}, "ttl"),
        ({"ttl_s": -1}, "ttl"),
        ({"ttl_s": float("inf")}, "ttl"),
        ({"ttl_s": float("nan")}, "ttl"),
        ({"max_age_s": 0}, "maxAge"),
        ({"max_age_s": 1e12}, "maxAge"),
    ],
)
async def test_what_cannot_be_is_refused_by_name(
    sessions: Sessions, fields: dict[str, Any], named: str
) -> None:
    """An opening that makes no sense is `invalidParams`, and the message names the field."""
    with pytest.raises(InvalidParams, match=named):
        sessions.prepare(SessionRequest(**{"actor_id": "alice", **fields}))


async def test_the_largest_meta_is_taken(sessions: Sessions) -> None:
    """4 KiB as MessagePack, eight levels deep, all that JSON knows."""
    meta = {"deep": [[[[[[[None, True, 1.5, -1]]]]]]], "x": ""}
    meta["x"] = "x" * (4096 - len(sessions.prepare(SessionRequest("alice", meta))[1].meta) - 2)
    _, record = await opened(sessions, meta=meta)
    assert len(record.meta) == 4096
    assert record.to_session().meta == meta


async def test_an_unknown_key_opens_nothing(sessions: Sessions) -> None:
    """A string without the form of a key is another error than a key that opens nothing."""
    for text in ("", "alice", f"alice{SECRET}", f":{SECRET}", f"alice:{SECRET}x", "alice:kst_"):
        with pytest.raises(InvalidSessionKey):
            await sessions.check(text)
        with pytest.raises(InvalidSessionKey):
            await sessions.restore(text)
    for method in (sessions.check, sessions.restore):
        with pytest.raises(NoSession):
            await method(f"alice:{SECRET}")


async def test_an_actor_cannot_be_claimed_with_anothers_secret(sessions: Sessions) -> None:
    """The actor id before the colon is part of what must be right."""
    key, _ = await opened(sessions, "alice")
    with pytest.raises(NoSession):
        await sessions.check(key.replace("alice:", "bob:"))


async def test_restoring_extends_and_checking_does_not(node: MemoryNode) -> None:
    """A check reads only; after a restore two thirds of the ttl are left, or all of it."""
    key, record = await opened(node.sessions)
    node.clock.passed_ms += 60_000
    assert await node.sessions.check(key) == record
    assert (await node.sessions.restore(key)).record == record, "so soon there is no need"
    node.clock.passed_ms += 600_000
    extended = (await node.sessions.restore(key)).record
    assert extended.expires_at >= record.expires_at + 660_000
    assert await node.sessions.check(key) == extended


async def test_an_expired_session_says_so(node: MemoryNode) -> None:
    """Past its time a session can be neither checked, restored nor ended."""
    key, record = await opened(node.sessions)
    node.clock.passed_ms += 1_800_001
    for method in (node.sessions.check, node.sessions.restore):
        with pytest.raises(Expired):
            await method(key)
    for scope in LogoutScope:
        with pytest.raises(NoSession):
            await node.sessions.log_out("alice", record.id, scope)
    with pytest.raises(NoSession):
        await node.sessions.revoke(record.id)


async def test_a_restore_says_what_was_missed(node: MemoryNode) -> None:
    """The events after the cursor, if there is one; and the newest cursor."""
    key, record = await opened(node.sessions)
    first, second = [
        await node.elsewhere.emit_to_actor("alice", "game.move", n) for n in range(2)
    ]
    restored = await node.sessions.restore(key)
    assert (restored.record, restored.cursor) == (record, second.cursor)
    assert restored.missed is None
    restored = await node.sessions.restore(key, after=first.cursor)
    assert restored.missed == History([second], complete=True)
    restored = await node.sessions.restore(key, after=second.cursor)
    assert restored.missed == History([], complete=True)


@pytest.mark.parametrize(
    "method",
    [
        *("check", "restore", "restore of a version", "get", "log_out"),
        *("revoke", "update", "emit_to_session"),
    ],
)
async def test_a_held_session_is_not_over_because_it_was_not_extended(
    node: MemoryNode, method: str
) -> None:
    """The node was away for longer than the ttl: who comes first finds the session alive."""
    client = node.connect()
    key = await client.login()
    record = await node.sessions.check(key)
    node.clock.passed_ms += 2 * record.ttl_ms
    with pytest.raises(Expired):
        await node.elsewhere.check(key)
    match method:
        case "check":
            assert (await node.sessions.check(key)).expires_at > record.expires_at
        case "restore":
            assert (await node.sessions.restore(key)).record.id == record.id
        case "get":
            assert (await node.sessions.get(record.id)).expires_at > record.expires_at
        case "log_out":
            assert len(await node.sessions.log_out("alice", record.id, LogoutScope.ALL)) == 1
            return
        case "revoke":
            assert len(await node.sessions.revoke(record.id)) == 1
            return
        case "update":
            await node.sessions.update(record.id, language="fi")
        case "emit_to_session":
            await node.sessions.emit_to_session(record.id, "game.move", 1)
        case _:
            versioned = Sessions(
                node.store, Rules(60, version="2.4.1"), node.expiry.extend_held
            )
            assert (await versioned.restore(key, "2.4.1")).record.id == record.id
    assert (await node.elsewhere.check(key)).expires_at >= record.expires_at + record.ttl_ms
    assert await node.store.expire() == []


async def test_a_session_that_nobody_holds_is_over(node: MemoryNode) -> None:
    """A connection to another session of the actor does not help it; nor does one that left."""
    client, other, gone = node.connect(), node.connect(), node.connect()
    await client.login()
    key = await gone.login()
    gone.connection.lost()
    await other.login()
    node.clock.passed_ms += 2 * 1_800_000
    for method in (node.sessions.check, node.sessions.restore):
        with pytest.raises(Expired):
            await method(key)
    assert len(await node.store.expire()) == 3


async def test_a_logout_is_told_from_a_revocation(sessions: Sessions) -> None:
    """The key answers for which of the two reasons its session ended."""
    key, record = await opened(sessions)
    await sessions.log_out("alice", record.id, LogoutScope.THIS)
    with pytest.raises(LoggedOut):
        await sessions.check(key)
    key, record = await opened(sessions)
    await sessions.revoke(record.id)
    with pytest.raises(Revoked):
        await sessions.restore(key)


async def test_a_backend_ends_a_session_in_its_own_word(sessions: Sessions) -> None:
    """The word becomes the error; one that means something else is refused."""
    key, record = await opened(sessions)
    for word in ("noSession", "unavailable", "", "two words", "x" * 65, "9lives"):
        with pytest.raises(InvalidParams, match="reason"):
            await sessions.revoke(record.id, word)
        with pytest.raises(InvalidParams, match="reason"):
            await sessions.revoke_all("alice", word)
    await sessions.revoke(record.id, "banned-for-cheating")
    with pytest.raises(SessionEnded) as ended:
        await sessions.check(key)
    assert ended.value.code == "banned-for-cheating"


async def test_a_session_is_found_by_its_id(sessions: Sessions) -> None:
    """A live one is shown; an ended one, an unknown one and any other text are not."""
    _, record = await opened(sessions)
    assert await sessions.get(record.id) == record
    for text in ("", "alice", "YWxpY2U.unknown", record.id + "x"):
        with pytest.raises(NoSession):
            await sessions.get(text)
        with pytest.raises(NoSession):
            await sessions.revoke(text)
    await sessions.revoke(record.id)
    with pytest.raises(NoSession):
        await sessions.get(record.id)


async def test_all_sessions_of_an_actor_end_at_once(sessions: Sessions) -> None:
    """However many there are; none is no error, an actor that cannot be is."""
    records = [(await opened(sessions))[1] for _ in range(3)]
    _, other = await opened(sessions, "bob")
    assert await sessions.list_page("alice", 10) == records
    assert len(await sessions.revoke_all("alice")) == 3
    assert await sessions.list_page("alice", 10) == []
    assert await sessions.revoke_all("alice") == []
    assert await sessions.list_page("bob", 10) == [other]
    for call in (sessions.list_page("", 10), sessions.revoke_all("")):
        with pytest.raises(InvalidParams, match="actorId"):
            await call


async def test_sessions_are_listed_by_pages(sessions: Sessions) -> None:
    """Oldest first, from the one after another on; or the newest ones."""
    records = [(await opened(sessions))[1] for _ in range(5)]
    assert await sessions.list_page("alice", 2) == records[:2]
    assert await sessions.list_page("alice", 2, records[1].id) == records[2:4]
    assert await sessions.list_page("alice", 2, records[3].id) == records[4:]
    assert await sessions.list_page("alice", 2, newest=True) == records[3:]
    await sessions.revoke(records[1].id)
    with pytest.raises(NoSession):
        await sessions.list_page("alice", 2, records[1].id)


async def test_the_probe_asks_the_store(node: MemoryNode) -> None:
    """It passes if the store answers, and tells if it does not."""
    await node.sessions.probe()
    node.store.is_down = True
    with pytest.raises(Exception, match="does not answer"):
        await node.sessions.probe()


async def test_the_store_never_sees_a_key(sessions: Sessions) -> None:
    """What is handed to a store has the digest of the key, and no part of the secret."""
    key, new = sessions.prepare(SessionRequest("alice"))
    assert new.digest == digest_of(key)
    assert key.rpartition(":")[2] not in repr(new)


@pytest.mark.parametrize("version", ["2.4", "2.4.0", "2.4.9", "2.4.0-beta", None])
async def test_a_session_of_this_version_is_good(node: MemoryNode, version: str | None) -> None:
    """Major and minor decide; a session without a version takes that of the application."""
    sessions = Sessions(node.store, Rules(60, version="2.4.1"))
    key, record = await opened(sessions, version=version)
    assert record.version == (version or "2.4.1")
    assert (await sessions.check(key)).id == record.id
    assert (await sessions.restore(key, version)).record.id == record.id


@pytest.mark.parametrize("version", ["2.3.1", "1.4.1", "2", "2.40", "next"])
async def test_a_session_of_another_version_is_refused(node: MemoryNode, version: str) -> None:
    """`badVersion`; it is not ended, and a server of its own version still serves it."""
    sessions = Sessions(node.store, Rules(60, version="2.4.1"))
    key, _ = await opened(sessions, version=version)
    for method in (sessions.check, sessions.restore):
        with pytest.raises(BadVersion):
            await method(key)
    older = Sessions(node.store, Rules(60, version=version))
    assert (await older.check(key)).version == version
    assert (await node.sessions.check(key)).version == version


async def test_a_client_of_another_version_is_refused(node: MemoryNode) -> None:
    """What the client says of itself counts too, and the session is not extended."""
    sessions = Sessions(node.store, Rules(60, version="2.4.1"))
    key, record = await opened(sessions)
    node.clock.passed_ms += 1000
    with pytest.raises(BadVersion):
        await sessions.restore(key, "2.5.0")
    assert (await sessions.check(key)).expires_at == record.expires_at
    # Without a configured version nobody minds.
    await node.sessions.restore(key, "2.5.0")


async def test_what_was_opened_does_not_show_its_key(sessions: Sessions) -> None:
    """Its repr may end up in a log."""
    opened = await sessions.create(SessionRequest("alice"))
    assert opened.key not in repr(opened)
