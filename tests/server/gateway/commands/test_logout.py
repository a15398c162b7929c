"""
`session.logout`: which sessions end, and who hears of it.
"""

from typing import Any

import pytest

from keystay_protocol.errors import LoggedOut
from keystay_server.sessions.expiry import Activity
from keystay_server.stores.base import END_STEP
from tests.support.server.memory_node import MemoryNode, running_node


@pytest.mark.parametrize(
    ("scope", "ended"),
    [
        ([], {"phone"}),
        ([None], {"phone"}),
        ([{}], {"phone"}),
        ([{"scope": "this"}], {"phone"}),
        ([{"scope": "this", "unknown": 1}], {"phone"}),
        ([{"scope": "others"}], {"laptop", "tablet"}),
        ([{"scope": "all"}], {"phone", "laptop", "tablet"}),
    ],
)
async def test_a_scope_says_which_sessions_end(
    node: MemoryNode, scope: list[Any], ended: set[str]
) -> None:
    """Each connection of an ended session hears it, and no other does; keys answer for it."""
    clients = {name: node.connect() for name in ("phone", "laptop", "tablet", "stranger")}
    keys = {
        name: await client.login("bob" if name == "stranger" else "alice")
        for name, client in clients.items()
    }
    assert await clients["phone"].call("session.logout", *scope) == (None, None)
    for name, client in clients.items():
        over = name in ended
        assert client.wire.events()[-1][0] == ("session.unset" if over else "session.set")
        expected = "loggedOut" if over else None
        assert await clients["stranger"].refusal("session.isValid", keys[name]) == expected
        assert await client.refusal("session.list") == ("noSession" if over else None)


async def test_the_caller_hears_it_before_the_reply(node: MemoryNode) -> None:
    """`session.unset` with reason and id, then the success."""
    client = node.connect()
    await client.login()
    ((_, session, _),) = client.wire.events()
    await client.call("session.logout")
    unset, reply = client.wire.received[-2:]
    assert unset[1] == "session.unset"
    assert unset[2][0] == {"reason": "loggedOut", "id": session["id"]}
    assert reply == [1, 2, None, None]


async def test_every_connection_of_the_session_hears_it(node: MemoryNode) -> None:
    """A logout on one connection unbinds all that hold the session."""
    one, other = node.connect(), node.connect()
    key = await one.login()
    await other.call("session.restore", key)
    await one.call("session.logout")
    assert one.wire.events()[-1] == other.wire.events()[-1]
    assert await other.refusal("session.list") == "noSession"


async def test_logging_out_again_is_no_error(node: MemoryNode) -> None:
    """Twice, or without ever having been in: success, and nothing is sent."""
    client = node.connect()
    assert await client.call("session.logout") == (None, None)
    await client.login()
    await client.call("session.logout")
    told = client.wire.told()
    assert await client.call("session.logout", {"scope": "this"}) == (None, None)
    assert client.wire.told() == told


@pytest.mark.parametrize("scope", ["others", "all"])
async def test_who_is_not_logged_in_logs_nobody_out(node: MemoryNode, scope: str) -> None:
    """`noSession`: what did not happen must not look like success."""
    client, other = node.connect(), node.connect()
    await other.login()
    assert await client.refusal("session.logout", {"scope": scope}) == "noSession"
    await client.login()
    await client.call("session.logout")
    told = client.wire.told()
    assert await client.refusal("session.logout", {"scope": scope}) == "noSession"
    assert client.wire.told() == told
    assert await other.refusal("session.list") is None


async def test_a_session_that_just_ended_elsewhere_is_no_error(node: MemoryNode) -> None:
    """The end is on its way to the connection: its logout succeeds, and it is unbound."""
    client = node.connect()
    key = await client.login()
    node.store.hold_announcements()
    await node.revoke(key)
    assert await client.call("session.logout") == (None, None)
    assert await client.refusal("session.list") == "noSession"
    assert await client.refusal("session.isValid", key) == "revoked"


@pytest.mark.parametrize("is_announced", [False, True])
@pytest.mark.parametrize("how", ["revoked", "expired", "overdue"])
@pytest.mark.parametrize("scope", ["others", "all"])
async def test_a_session_that_just_ended_logs_nobody_out(
    scope: str, how: str, *, is_announced: bool
) -> None:
    """
    Also around its deadline. The connection is sent the end of its own session and is unbound,
    `noSession` is answered, and the others live on.
    """
    async with running_node(activity=Activity.NONE) as node:
        client, other = node.connect(), node.connect()
        key = await node.open_session(ttl_s=60)
        await client.call("session.restore", key)
        other_key = await other.login()
        if not is_announced:
            node.store.is_losing = True
        if how == "revoked":
            await node.revoke(key)
        else:
            node.clock.passed_ms += 60_000
        if how == "expired":
            await node.store.expire()
        assert await client.refusal("session.logout", {"scope": scope}) == "noSession"
        (_, set_, _), (name, unset, _) = client.wire.events()
        reason = "revoked" if how == "revoked" else "expired"
        assert (name, unset) == ("session.unset", {"reason": reason, "id": set_["id"]})
        assert client.connection.peer.binding is None
        assert await node.elsewhere.check(other_key)
        assert await other.refusal("session.list") is None


async def test_many_sessions_end_in_steps(node: MemoryNode) -> None:
    """Each is sent its end, the oldest first, and the reply comes after the last one."""
    clients = [node.connect() for _ in range(2 * END_STEP + 1)]
    keys = [await client.login() for client in clients]
    caller = clients[0]
    assert await caller.call("session.logout", {"scope": "all"}) == (None, None)
    ends = [client.wire.cursors()[-1] for client in clients]
    assert ends == sorted(set(ends))
    for client, key in zip(clients, keys, strict=True):
        assert [name for name, _ in client.wire.told()] == ["session.set", "session.unset"]
        with pytest.raises(LoggedOut):
            await node.elsewhere.check(key)


async def test_after_logging_others_out_the_caller_stays(node: MemoryNode) -> None:
    """Also when there are no others."""
    client = node.connect()
    await client.login()
    assert await client.call("session.logout", {"scope": "others"}) == (None, None)
    assert await client.refusal("session.list") is None


@pytest.mark.parametrize(
    "options", [7, "all", [], {"scope": "ALL"}, {"scope": ""}, {"scope": []}, {"scope": 0}]
)
async def test_a_scope_that_is_none(node: MemoryNode, options: Any) -> None:
    """`invalidParams`, and nobody is logged out, bound or not."""
    client = node.connect()
    assert await client.refusal("session.logout", options) == "invalidParams"
    await client.login()
    error, details = await client.call("session.logout", options)
    assert (error, bool(details["message"])) == ("invalidParams", True)
    assert await client.refusal("session.list") is None


async def test_a_pipelined_logout_acts_on_the_restored_session(node: MemoryNode) -> None:
    """Restore and logout sent at once: the restored session ends."""
    key = await node.open_session()
    client = node.connect()
    restore, logout = client.send("session.restore", key), client.send("session.logout")
    assert (await client.reply(restore))[0] is None
    assert await client.reply(logout) == (None, None)
    assert await client.refusal("session.isValid", key) == "loggedOut"


async def test_a_logout_of_a_session_that_ended_unheard(node: MemoryNode) -> None:
    """Whoever ended it, and however late the news is: the client is told once, and why."""
    client = node.connect()
    key = await client.login()
    node.store.hold_announcements()
    await node.revoke(key)
    assert await client.call("session.logout") == (None, None)
    node.store.deliver_announcements()
    (_, set_, _), (name, unset, _) = client.wire.events()
    assert (name, unset) == ("session.unset", {"reason": "revoked", "id": set_["id"]})
