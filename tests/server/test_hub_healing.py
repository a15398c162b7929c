"""
A feed that loses announcements: connections miss nothing, and hear nothing out of order.
"""

import pytest

from keystay_protocol.events import SESSION_SET as SET
from keystay_protocol.events import SESSION_UNSET as UNSET
from keystay_server.sessions import Opening
from keystay_server.stores.base import Retention, StoredEvent
from tests.server.memory_node import MemoryNode, running_node

FORGETFUL = Retention(history_events=2)


async def test_a_hole_is_filled_before_anything_newer(node: MemoryNode) -> None:
    """Lost announcements are read from the history once the next one shows the hole."""
    client = node.connect()
    key = await client.login()
    node.store.is_losing = True
    lost = [await node.extend(key) for _ in range(3)]
    node.store.is_losing = False
    newer = await node.extend(key)
    await client.wire.until(lambda wire: wire.told()[-1] == (SET, newer.cursor))
    assert client.wire.cursors()[1:] == [event.cursor for event in (*lost, newer)]


async def test_a_command_waits_for_the_hole_before_its_own_event(node: MemoryNode) -> None:
    """First what was lost, then what the command caused, then its reply."""
    client = node.connect()
    key = await client.login()
    node.store.is_losing = True
    lost = await node.extend(key)
    assert await client.call("session.logout") == (None, None)
    shown = [message[1] for message in client.wire.received]
    assert shown == [SET, 1, SET, UNSET, 2]
    assert client.wire.cursors()[1] == lost.cursor


async def test_what_comes_while_a_hole_is_filled_waits_its_turn(node: MemoryNode) -> None:
    """Announcements that arrive while the history is read are neither lost nor doubled."""
    client = node.connect()
    key = await client.login()
    node.store.is_losing = True
    lost = await node.extend(key)
    node.store.is_losing = False
    node.store.hold_answers("history")
    second = await node.extend(key)
    await node.store.until_done("history")
    third = await node.extend(key)
    assert len(client.wire.told()) == 1
    node.store.deliver_answers("history")
    await client.wire.until(lambda wire: wire.told()[-1] == (SET, third.cursor))
    assert client.wire.cursors()[1:] == [lost.cursor, second.cursor, third.cursor]


async def test_a_feed_that_says_it_missed_something_is_made_good(node: MemoryNode) -> None:
    """Nothing newer has to come: the hub looks as soon as the feed is not sure."""
    client = node.connect()
    key = await client.login()
    node.store.is_losing = True
    await node.revoke(key)
    node.hub.missed(["alice", "somebody nobody is bound to"])
    await client.wire.until(lambda wire: wire.told()[-1][0] == UNSET)
    assert await client.refusal("session.list") == "noSession"


async def test_a_feed_that_missed_nothing_tells_nothing(node: MemoryNode) -> None:
    """Looking for what may have been lost sends no event again."""
    client = node.connect()
    key = await client.login()
    before = client.wire.cursors()
    node.hub.missed(["alice"])
    await node.store.until_asked("history", 1)
    event = await node.extend(key)
    await client.wire.until(lambda wire: len(wire.told()) > len(before))
    assert client.wire.cursors() == [*before, event.cursor]


async def test_a_loss_during_the_first_binding_is_made_good(node: MemoryNode) -> None:
    """The feed breaks while an actor's first connection is bound: the end is told."""
    key = await node.open_session()
    client = node.connect()
    node.store.is_losing = True
    node.store.hold_answers("restore")
    id_ = client.send("session.restore", key)
    await node.store.until_done("restore")
    await node.revoke(key)
    node.hub.missed(["alice"])
    node.store.deliver_answers("restore")
    await client.reply(id_)
    await client.wire.until(lambda wire: wire.told()[-1][0] == UNSET)


async def test_a_binding_whose_own_announcement_came_late_is_in_order(node: MemoryNode) -> None:
    """The feed brings a later event first: the binding's own still precedes it."""
    key = await node.open_session()
    client = node.connect()
    node.store.hold_answers("restore")
    node.store.is_losing = True
    id_ = client.send("session.restore", key)
    await node.store.until_done("restore")
    node.store.is_losing = False
    later = await node.extend(key)
    node.store.deliver_answers("restore")
    error, result = await client.reply(id_)
    assert error is None
    assert client.wire.cursors() == [result["cursor"], later.cursor]


async def test_a_hole_right_behind_a_binding_is_not_passed_over(node: MemoryNode) -> None:
    """What was lost between the binding and the first announcement is told."""
    key = await node.open_session()
    client = node.connect()
    node.store.hold_answers("restore")
    node.store.is_losing = True
    id_ = client.send("session.restore", key)
    await node.store.until_done("restore")
    lost = await node.extend(key)
    node.store.is_losing = False
    later = await node.extend(key)
    node.store.deliver_answers("restore")
    error, result = await client.reply(id_)
    assert error is None
    await client.wire.until(lambda wire: len(wire.told()) == 3)
    assert client.wire.cursors() == [result["cursor"], lost.cursor, later.cursor]


async def test_a_hole_that_even_the_store_forgot_ends_in_how_things_stand() -> None:
    """The history does not reach back: the session as it is now, with the cursor nil."""
    async with running_node(retention=FORGETFUL) as node:
        client = node.connect()
        key = await client.login()
        node.store.is_losing = True
        for _ in range(4):
            await node.extend(key)
        node.store.is_losing = False
        last = await node.extend(key)
        await client.wire.until(lambda wire: wire.told()[-1][1] is None)
        name, session, _ = client.wire.events()[-1]
        record = await node.elsewhere.check(key)
        assert (name, session) == (SET, record.to_session(key).to_wire())
        assert last.cursor in client.wire.cursors()
        newer = await node.extend(key)
        assert client.wire.told()[-1] == (SET, newer.cursor), "and then it goes on as ever"


@pytest.mark.parametrize("is_forgotten", [False, True])
async def test_an_end_that_the_store_forgot_is_told_all_the_same(*, is_forgotten: bool) -> None:
    """The reason if the key still answers one, `revoked` if nothing is known of it any more."""
    async with running_node(retention=FORGETFUL) as node:
        client, other = node.connect(), node.connect()
        key = await client.login()
        other_key = await other.login()
        node.store.is_losing = True
        await node.revoke(key)
        for _ in range(3):
            await node.extend(other_key)
        if is_forgotten:
            node.clock.passed_ms += Retention().tombstone_ms
        node.hub.missed(["alice"])
        await client.wire.until(lambda wire: wire.told()[-1] == (UNSET, None))
        assert client.wire.events()[-1][1]["reason"] == "revoked"
        assert await client.refusal("session.list") == "noSession"


async def test_a_history_that_began_anew_is_a_hole(node: MemoryNode) -> None:
    """An event that follows on nothing shows it: each session is asked about."""
    client = node.connect()
    key = await client.login()
    node.store.is_losing = True
    await node.revoke(key)
    [other] = await node.elsewhere.create(node.elsewhere.prepare(Opening("alice"))[1])
    node.hub.announced(StoredEvent("alice", other.cursor, 0, other.change))
    await client.wire.until(lambda wire: wire.told()[-1][0] == UNSET)


async def test_healing_goes_on_until_the_store_answers(node: MemoryNode) -> None:
    """A store out of reach delays what was missed, and loses none of it."""
    client = node.connect()
    key = await client.login()
    node.store.is_losing = True
    lost = await node.extend(key)
    node.store.is_losing = False
    node.store.is_down = True
    newer = await node.extend(key)
    await node.store.until_asked("history", 1)
    assert len(client.wire.told()) == 1
    node.store.is_down = False
    await client.wire.until(lambda wire: wire.told()[-1] == (SET, newer.cursor))
    assert client.wire.cursors()[1:] == [lost.cursor, newer.cursor]


async def test_how_things_stand_is_told_even_if_the_store_fails_at_first() -> None:
    """The store answers the history and then goes away: the end is told when it is back."""
    async with running_node(retention=FORGETFUL) as node:
        client, other = node.connect(), node.connect()
        key = await client.login()
        other_key = await other.login()
        node.store.is_losing = True
        await node.revoke(key)
        for _ in range(3):
            await node.extend(other_key)
        node.store.hold_answers("history")
        node.hub.missed(["alice"])
        await node.store.until_done("history")
        node.store.is_down = True
        node.store.deliver_answers("history")
        await node.store.until_asked("history", 2)
        node.store.is_down = False
        await client.wire.until(lambda wire: wire.told()[-1] == (UNSET, None))


async def test_healing_an_actor_nobody_holds_any_more_is_nothing(node: MemoryNode) -> None:
    """The last connection leaves while its hole is being filled: nothing stays behind."""
    client, other = node.connect(), node.connect()
    key = await client.login()
    node.store.hold_answers("history")
    node.hub.missed(["alice"])
    await node.store.until_done("history")
    client.connection.lost()
    node.store.deliver_answers("history")
    await other.call("session.restore", key)
    event = await node.extend(key)
    assert other.wire.told()[-1] == (SET, event.cursor)


async def test_many_holes_are_filled(node: MemoryNode) -> None:
    """A feed that broke for everybody is made good for everybody."""
    clients = {f"actor-{number}": node.connect() for number in range(150)}
    for actor_id, client in clients.items():
        await client.login(actor_id)
    node.store.is_losing = True
    for actor_id in clients:
        await node.elsewhere.revoke_all(actor_id)
    node.hub.missed(list(clients))
    for client in clients.values():
        await client.wire.until(lambda wire: wire.told()[-1][0] == UNSET)


@pytest.mark.parametrize(("method", "error"), [("list", "noSession"), ("logout", None)])
async def test_an_end_that_a_command_meets_comes_after_what_was_missed(
    node: MemoryNode, method: str, error: str | None
) -> None:
    """A command that finds the session ended has all told before it, cursors included."""
    client = node.connect()
    await client.call("events.subscribe", ["game"])
    key = await client.login()
    node.store.is_losing = True
    said = await node.elsewhere.emit("alice", "game.over", None)
    end = await node.revoke(key)
    assert await client.refusal(f"session.{method}") == error
    assert client.wire.told()[1:] == [("game.over", said.cursor), (UNSET, end.cursor)]
