"""
`session.isValid`, `session.restore`, `session.login` and `session.list`.
"""

import asyncio
from typing import Any

import pytest

from keystay_protocol.errors import LoginFailed
from keystay_server.gateway.commands.session import MAX_LISTED
from keystay_server.gateway.login.authenticators import Identity
from keystay_server.sessions.expiry import Activity
from tests.support.server.memory_node import MemoryNode, running_node

UNKNOWN = "alice:kst_" + "A" * 43
KEYED = ["session.isValid", "session.restore"]


@pytest.mark.parametrize("method", KEYED)
@pytest.mark.parametrize("params", [[], [None], [7], [b"alice:kst_"], [[UNKNOWN]]])
async def test_a_key_is_a_string(node: MemoryNode, method: str, params: list[Any]) -> None:
    """Anything else is `invalidParams`."""
    assert await node.connect().refusal(method, *params) == "invalidParams"


@pytest.mark.parametrize("method", KEYED)
@pytest.mark.parametrize(
    "text", ["", "alice", "alice:", ":kst_" + "A" * 43, UNKNOWN + "A", UNKNOWN[:-1] + "="]
)
async def test_a_text_that_is_no_key(node: MemoryNode, method: str, text: str) -> None:
    """A string without the form of a key is `invalidSessionKey`."""
    assert await node.connect().refusal(method, text) == "invalidSessionKey"


@pytest.mark.parametrize("method", KEYED)
async def test_a_key_that_opens_nothing(node: MemoryNode, method: str) -> None:
    """`noSession`, whether or not there is such an actor; the reason if there was a session."""
    client = node.connect()
    assert await client.refusal(method, UNKNOWN) == "noSession"
    key = await node.open_session()
    assert await client.refusal(method, UNKNOWN) == "noSession"
    assert await client.refusal(method, key.replace("alice", "bob")) == "noSession"
    await node.revoke(key)
    assert await client.refusal(method, key) == "revoked"
    key = await node.open_session(ttl_s=60)
    node.clock.passed_ms += 60_000
    assert await client.refusal(method, key) == "expired"


async def test_is_valid_only_reads(node: MemoryNode) -> None:
    """It extends nothing, binds and unbinds nothing, and causes no event."""
    bound, client = node.connect(), node.connect()
    key, other_key = await bound.login(), await node.open_session()
    record = await node.elsewhere.check(key)
    for valid in (key, other_key):
        assert await client.call("session.isValid", valid) == (None, None)
        assert await bound.call("session.isValid", valid) == (None, None)
    assert await bound.refusal("session.isValid", UNKNOWN) == "noSession"
    assert await node.elsewhere.check(key) == record
    assert client.wire.events() == []
    assert len(bound.wire.events()) == 1
    assert await client.refusal("session.list") == "noSession"
    assert await bound.refusal("session.list") is None


async def test_restore_binds_and_extends(node: MemoryNode) -> None:
    """
    The session with its key, which came before as an event without a cursor; the newest
    cursor of the actor. Not recovered: the client names a cursor that was never one.
    """
    key = await node.open_session(meta={"name": "Zoë"}, version="1.2")
    before = await node.elsewhere.check(key)
    newest = (await node.elsewhere.emit_to_actor("alice", "game.move", None)).cursor
    node.clock.passed_ms += 600_000
    client = node.connect()
    error, result = await client.call("session.restore", key, {"cursor": 0, "unknown": 1})
    ((name, session, cursor),) = client.wire.events()
    assert (error, name, cursor) == (None, "session.set", None)
    assert result == {"session": session, "cursor": newest, "recovered": False}
    assert session["key"] == key
    assert (session["meta"], session["version"]) == ({"name": "Zoë"}, "1.2")
    assert session["expiresAt"] >= before.expires_at + 600_000
    assert (await node.elsewhere.check(key)).expires_at == session["expiresAt"]


async def test_restore_extends_only_if_a_third_of_the_ttl_is_gone(node: MemoryNode) -> None:
    """What is answered is the deadline that holds."""
    key = await node.open_session(ttl_s=3600)
    before = await node.elsewhere.check(key)
    node.clock.passed_ms += 1_100_000
    _, result = await node.connect().call("session.restore", key)
    assert result["session"]["expiresAt"] == before.expires_at
    assert await node.elsewhere.check(key) == before


async def test_restore_is_not_told_to_others_who_hold_the_session(node: MemoryNode) -> None:
    """Nothing has happened to it, also if it lives longer now: there is no event at all."""
    one, other = node.connect(), node.connect()
    key = await one.login()
    node.clock.passed_ms += 1_000_000
    before = await node.store.history("alice", 0)
    await other.call("session.restore", key)
    await other.call("session.restore", key)
    assert len(one.wire.events()) == 1
    assert await node.store.history("alice", 0) == before


async def test_restore_brings_what_was_missed(node: MemoryNode) -> None:
    """After the cursor that the client names: the events in order, then the session."""
    key = await node.open_session()
    seen = (await node.change(key)).cursor
    missed = [(await node.change(key)).cursor for _ in range(3)]
    client = node.connect()
    _, result = await client.call("session.restore", key, {"cursor": seen})
    assert (result["recovered"], result["cursor"]) == (True, missed[-1])
    assert client.wire.told() == [
        *(("session.set", cursor) for cursor in missed),
        ("session.set", None),
    ]
    again = node.connect()
    _, result = await again.call("session.restore", key, {"cursor": missed[-1]})
    assert (result["recovered"], result["cursor"]) == (True, missed[-1])
    assert again.wire.told() == [("session.set", None)]


@pytest.mark.parametrize("key", ["no key", UNKNOWN, "revoked", "expired"])
async def test_a_failed_restore_leaves_the_bound_session_alone(
    node: MemoryNode, key: str
) -> None:
    """The connection stays bound to what it was bound to, and hears of it."""
    if key in {"revoked", "expired"}:
        reason, key = key, await node.open_session(ttl_s=60)
        if reason == "revoked":
            await node.revoke(key)
        else:
            node.clock.passed_ms += 60_000
    client = node.connect()
    own_key = await client.login()
    assert await client.refusal("session.restore", key) is not None
    error, sessions = await client.call("session.list")
    assert error is None
    assert [session["current"] for session in sessions] == [True]
    await node.revoke(own_key)
    assert [name for name, _ in client.wire.told()] == ["session.set", "session.unset"]


async def test_restore_moves_a_connection_to_another_session(node: MemoryNode) -> None:
    """The session it leaves lives on and is told nothing; the connection hears only the new."""
    client = node.connect()
    first_key = await client.login("alice")
    second_key = await node.open_session("bob")
    assert await client.refusal("session.restore", second_key) is None
    await node.change(first_key)
    await node.change(second_key)
    keys = [data["key"] for _, data, _ in client.wire.events()]
    assert keys == [first_key, second_key, second_key]
    assert await client.refusal("session.isValid", first_key) is None


async def test_restore_options_are_a_map(node: MemoryNode) -> None:
    """Or nil, which is none."""
    key = await node.open_session()
    client = node.connect()
    assert await client.refusal("session.restore", key, None) is None
    wrong: list[Any] = [7, "cursor", []]
    for options in wrong:
        assert await client.refusal("session.restore", key, options) == "invalidParams"


async def test_login_opens_a_session_and_binds(node: MemoryNode) -> None:
    """As restore does: the event, then the same session in the reply."""
    client = node.connect()
    error, result = await client.call("session.login", "anonymous", {"actorId": "alice"})
    ((name, session, cursor),) = client.wire.events()
    assert (error, name) == (None, "session.set")
    assert result == {"session": session, "cursor": cursor, "recovered": False}
    assert session["actorId"] == "alice"
    assert await node.connect().refusal("session.isValid", session["key"]) is None


async def test_each_login_opens_another_session(node: MemoryNode) -> None:
    """A connection that logs in again leaves its session, which lives on."""
    client = node.connect()
    first, second = await client.login(), await client.login()
    assert first != second
    error, sessions = await client.call("session.list")
    assert (error, len(sessions)) == (None, 2)


@pytest.mark.parametrize("method", ["jwt", "", "Anonymous", "__class__"])
async def test_a_way_to_log_in_that_is_not_configured(node: MemoryNode, method: str) -> None:
    """`loginDisabled`, whatever the credentials are."""
    assert await node.connect().refusal("session.login", method, None) == "loginDisabled"


@pytest.mark.parametrize(
    "params", [[], [None], [7, None], ["anonymous", 7], ["anonymous", {"actorId": ""}]]
)
async def test_credentials_that_cannot_be(node: MemoryNode, params: list[Any]) -> None:
    """`invalidParams`, and no session is opened."""
    client = node.connect()
    assert await client.refusal("session.login", *params) == "invalidParams"
    assert client.wire.events() == []


class Tickets:
    """A way to log in as an embedding program registers it: it takes time, under a deadline."""

    async def authenticate(self, credentials: Any) -> Identity:
        """Let the holder of a ticket in."""
        async with asyncio.timeout(1):
            await asyncio.sleep(0)
        if credentials != "ticket":
            raise LoginFailed("that is not a ticket")
        return Identity("alice", {"seat": 12}, "fr")


async def test_a_program_can_bring_its_own_way_to_log_in() -> None:
    """It may wait, and use whatever asyncio has for that; what it says is in the session."""
    async with running_node(authenticators={"ticket": Tickets()}) as node:
        client = node.connect()
        error, details = await client.call("session.login", "ticket", "forged")
        assert (error, details) == ("loginFailed", {"message": "that is not a ticket"})
        error, result = await client.call("session.login", "ticket", "ticket")
        assert error is None
        session = result["session"]
        assert (session["actorId"], session["meta"]) == ("alice", {"seat": 12})
        assert session["language"] == "fr"


async def test_the_list_shows_the_actors_sessions(node: MemoryNode) -> None:
    """Oldest first, the caller's own marked, and nobody's key."""
    phone, laptop = node.connect(), node.connect()
    await phone.login()
    await laptop.login()
    await node.open_session("bob")
    _, sessions = await phone.call("session.list")
    assert [session["current"] for session in sessions] == [True, False]
    _, sessions = await laptop.call("session.list")
    assert [session["current"] for session in sessions] == [False, True]
    assert not any("key" in session for session in sessions)
    assert {session["actorId"] for session in sessions} == {"alice"}


async def test_the_list_is_for_the_bound(node: MemoryNode) -> None:
    """`noSession` before there is one and after it is gone; it takes nothing."""
    client = node.connect()
    assert await client.refusal("session.list") == "noSession"
    await client.login()
    assert await client.refusal("session.list", None) == "invalidParams"
    await client.call("session.logout")
    assert await client.refusal("session.list") == "noSession"


async def test_a_long_list_fits_into_a_message(node: MemoryNode) -> None:
    """Of too many sessions the oldest are left out: a reply never passes 1 MiB."""
    client = node.connect()
    largest = {"x": "x" * 4090}
    for _ in range(MAX_LISTED):
        await node.open_session(meta=largest, language="en-" + "x" * 8, version="v" * 64)
    await client.login()
    error, sessions = await client.call("session.list")
    assert (error, len(sessions)) == (None, MAX_LISTED)
    assert sessions[-1]["current"]
    assert len(client.wire.written[-1]) <= 1024 * 1024


async def test_a_long_list_has_the_newest_and_ones_own(node: MemoryNode) -> None:
    """The oldest session of many asks, and one in the midst: it is in its list, marked."""
    oldest, midst = node.connect(), node.connect()
    await oldest.login()
    for _ in range(MAX_LISTED):
        await node.open_session()
    await midst.login()
    everybody = await node.elsewhere.list_page("alice", 2 * MAX_LISTED)
    ids = [record.id for record in everybody]
    assert len(ids) == MAX_LISTED + 2
    _, sessions = await oldest.call("session.list")
    assert [each["id"] for each in sessions] == [ids[0], *ids[3:]]
    assert [each["current"] for each in sessions] == [True] + [False] * (MAX_LISTED - 1)
    _, sessions = await midst.call("session.list")
    assert [each["id"] for each in sessions] == ids[2:]
    assert [each["current"] for each in sessions] == [False] * (MAX_LISTED - 1) + [True]


async def test_a_store_out_of_reach_is_told(node: MemoryNode) -> None:
    """`unavailable` with a time to wait, and nothing has changed for the connection."""
    client = node.connect()
    key = await client.login()
    node.store.is_down = True
    for method, params in (
        ("session.isValid", [key]),
        ("session.restore", [key]),
        ("session.login", ["anonymous"]),
        ("session.logout", []),
        ("session.list", []),
    ):
        error, details = await client.call(method, *params)
        assert (error, details["retryAfter"] > 0) == ("unavailable", True)
    assert await client.refusal("time.now") is None
    node.store.is_down = False
    assert await client.refusal("session.list") is None
    assert len(client.wire.events()) == 1


async def test_a_held_session_that_seems_to_be_over_lists(node: MemoryNode) -> None:
    """The node was away for longer than the ttl: the holder finds its session, still bound."""
    client = node.connect()
    await client.login()
    node.clock.passed_ms += 2 * 1_800_000
    error, sessions = await client.call("session.list")
    assert (error, [session["current"] for session in sessions]) == (None, [True])
    assert len(client.wire.events()) == 1


async def test_a_session_that_is_over_lists_nothing() -> None:
    """A connection whose session expired learns it from `session.list`, and is unbound."""
    async with running_node(activity=Activity.NONE) as node:
        client, other = node.connect(), node.connect()
        await client.login()
        node.clock.passed_ms += 1_000_000
        await other.login()
        node.clock.passed_ms += 1_000_000
        assert await client.refusal("session.list") == "noSession"
        (_, set_, _), (name, unset, _) = client.wire.events()
        assert (name, unset) == ("session.unset", {"reason": "expired", "id": set_["id"]})
        assert await other.refusal("session.list") is None
