"""
`session.logout`: which sessions end, and who hears of it.
"""

from typing import Any

import pytest

from tests.server.memory_node import MemoryNode


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
    """Twice, or without ever having been in: success, and nothing is told."""
    client = node.connect()
    assert await client.call("session.logout") == (None, None)
    await client.login()
    await client.call("session.logout")
    told = client.wire.told()
    for scope in ("this", "others", "all"):
        assert await client.call("session.logout", {"scope": scope}) == (None, None)
    assert client.wire.told() == told


async def test_a_session_that_just_ended_elsewhere_is_no_error(node: MemoryNode) -> None:
    """The end is on its way to the connection: its logout succeeds, and it is unbound."""
    client = node.connect()
    key = await client.login()
    node.store.hold_announcements()
    await node.revoke(key)
    assert await client.call("session.logout") == (None, None)
    assert await client.refusal("session.list") == "noSession"
    assert await client.refusal("session.isValid", key) == "revoked"


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
