"""
Announcements that get lost: connections miss nothing, and are sent nothing out of order.
"""

import pytest

from keystay_protocol.events import SESSION_SET as SET
from keystay_protocol.events import SESSION_UNSET as UNSET
from keystay_server.sessions.service import SessionRequest
from keystay_server.stores.events import StoredEvent
from keystay_server.stores.retention import Retention
from tests.support.server.memory_node import MemoryNode, running_node

FORGETFUL = Retention(history_events=2)


async def test_a_gap_is_filled_before_anything_newer(node: MemoryNode) -> None:
    """Lost announcements are read from the history once the next one shows the gap."""
    client = node.connect()
    key = await client.login()
    node.store.is_losing = True
    lost = [await node.change(key) for _ in range(3)]
    node.store.is_losing = False
    newer = await node.change(key)
    await client.wire.until(lambda wire: wire.told()[-1] == (SET, newer.cursor))
    assert client.wire.cursors()[1:] == [event.cursor for event in (*lost, newer)]


async def test_a_command_waits_for_the_gap_before_its_own_event(node: MemoryNode) -> None:
    """First what was lost, then what the command caused, then its reply."""
    client = node.connect()
    key = await client.login()
    node.store.is_losing = True
    lost = await node.change(key)
    assert await client.call("session.logout") == (None, None)
    shown = [message[1] for message in client.wire.received]
    assert shown == [SET, 1, SET, UNSET, 2]
    assert client.wire.cursors()[1] == lost.cursor


async def test_what_comes_while_a_gap_is_repaired_waits_its_turn(node: MemoryNode) -> None:
    """Announcements that arrive while the history is read are neither lost nor doubled."""
    client = node.connect()
    key = await client.login()
    node.store.is_losing = True
    lost = await node.change(key)
    node.store.is_losing = False
    node.store.hold_answers("history")
    second = await node.change(key)
    await node.store.until_done("history")
    third = await node.change(key)
    assert len(client.wire.told()) == 1
    node.store.deliver_answers("history")
    await client.wire.until(lambda wire: wire.told()[-1] == (SET, third.cursor))
    assert client.wire.cursors()[1:] == [lost.cursor, second.cursor, third.cursor]


async def test_a_store_that_says_it_missed_something_is_believed(node: MemoryNode) -> None:
    """Nothing newer has to come: the hub looks as soon as the store is not sure."""
    client = node.connect()
    key = await client.login()
    node.store.is_losing = True
    await node.revoke(key)
    node.hub.missed(["alice", "somebody nobody is bound to"])
    await client.wire.until(lambda wire: wire.told()[-1][0] == UNSET)
    assert await client.refusal("session.list") == "noSession"


async def test_a_store_that_missed_nothing_after_all(node: MemoryNode) -> None:
    """Looking for what may have been lost sends no event again."""
    client = node.connect()
    key = await client.login()
    before = client.wire.cursors()
    node.hub.missed(["alice"])
    await node.store.until_asked("history", 1)
    event = await node.change(key)
    await client.wire.until(lambda wire: len(wire.told()) > len(before))
    assert client.wire.cursors() == [*before, event.cursor]


async def test_a_loss_during_the_first_binding_is_made_good(node: MemoryNode) -> None:
    """Something is lost while an actor's first connection is bound: the end is sent."""
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


async def test_an_announcement_older_than_the_binding_is_dropped(node: MemoryNode) -> None:
    """What the restore took into account comes late: the connection is sent no old state."""
    key = await node.open_session()
    client = node.connect()
    node.store.hold_answers("restore")
    node.store.is_losing = True
    old = await node.change(key)
    id_ = client.send("session.restore", key)
    await node.store.until_done("restore")
    node.hub.announced(old)
    node.store.is_losing = False
    later = await node.change(key)
    node.store.deliver_answers("restore")
    error, result = await client.reply(id_)
    assert (error, result["cursor"]) == (None, old.cursor)
    assert client.wire.told() == [(SET, None), (SET, later.cursor)]


async def test_a_gap_right_behind_a_binding_is_not_passed_over(node: MemoryNode) -> None:
    """What was lost between the binding and the first announcement is sent."""
    key = await node.open_session()
    client = node.connect()
    node.store.hold_answers("restore")
    node.store.is_losing = True
    id_ = client.send("session.restore", key)
    await node.store.until_done("restore")
    lost = await node.change(key)
    node.store.is_losing = False
    later = await node.change(key)
    node.store.deliver_answers("restore")
    error, result = await client.reply(id_)
    assert error is None
    assert result["cursor"] < lost.cursor
    await client.wire.until(lambda wire: len(wire.told()) == 3)
    assert client.wire.told() == [(SET, None), (SET, lost.cursor), (SET, later.cursor)]


async def test_a_gap_before_a_second_binding_is_not_passed_over(node: MemoryNode) -> None:
    """
    What was lost while one connection was bound is sent to that one alone, when it shows:
    the one that came later has it in the session that it was sent.
    """
    one, other = node.connect(), node.connect()
    key = await one.login()
    node.store.is_losing = True
    lost = await node.change(key)
    node.store.is_losing = False
    await other.call("session.restore", key)
    later = await node.change(key)
    for client in (one, other):
        await client.wire.until(lambda wire: wire.told()[-1] == (SET, later.cursor))
    assert one.wire.cursors()[1:] == [lost.cursor, later.cursor]
    assert other.wire.told() == [(SET, None), (SET, later.cursor)]


async def test_bindings_that_finish_in_another_order_are_sent_all(node: MemoryNode) -> None:
    """The stream stands where the later restore says; the earlier one gets what it lacks."""
    key = await node.open_session()
    early, late = node.connect(), node.connect()
    node.store.is_losing = True
    node.store.hold_answers("restore")
    first = early.send("session.restore", key)
    await node.store.until_done("restore")
    lost = await node.change(key)
    deliver_first = node.store.hold_no_more_answers("restore")
    assert await late.refusal("session.restore", key) is None
    deliver_first()
    await early.reply(first)
    await early.wire.until(lambda wire: len(wire.told()) == 2)
    assert early.wire.told() == [(SET, None), (SET, lost.cursor)]
    assert late.wire.told() == [(SET, None)]


async def test_a_repair_under_way_does_not_pass_over_what_a_binding_lacks(
    node: MemoryNode,
) -> None:
    """It reads from where the stream stood, and meanwhile a binding needs what is older."""
    key = await node.open_session()
    early, late = node.connect(), node.connect()
    node.store.is_losing = True
    node.store.hold_answers("restore")
    first = early.send("session.restore", key)
    await node.store.until_done("restore")
    lost = await node.change(key)
    deliver_first = node.store.hold_no_more_answers("restore")
    assert await late.refusal("session.restore", key) is None
    node.store.hold_answers("history")
    node.hub.missed(["alice"])
    await node.store.until_done("history")
    deliver_first()
    await early.reply(first)
    node.store.deliver_answers("history")
    await early.wire.until(lambda wire: wire.told() == [(SET, None), (SET, lost.cursor)])
    assert late.wire.told() == [(SET, None)]


async def test_nobody_waits_for_events_that_the_store_forgot(node: MemoryNode) -> None:
    """The binding is as far as it gets: it is sent the state of its session, and moves on."""
    client = node.connect()
    key = await client.login()
    other_key = await node.open_session()
    node.store.is_losing = True
    for each in (key, other_key):
        lost = await node.change(each)
    node.clock.passed_ms += Retention().history_ms
    error, result = await client.call("session.restore", other_key)
    assert (error, result["cursor"]) == (None, lost.cursor)
    assert [data["key"] for _, data, _ in client.wire.events()] == [key, key, other_key]
    assert client.wire.told()[1:] == [(SET, None), (SET, None)]
    node.store.is_losing = False
    newer = await node.change(other_key)
    assert client.wire.told()[3:] == [(SET, newer.cursor)]


async def test_a_gap_that_even_the_store_forgot_ends_in_the_state_of_the_session() -> None:
    """The history does not reach back: the session as it is now, with the cursor nil."""
    async with running_node(retention=FORGETFUL) as node:
        client = node.connect()
        key = await client.login()
        node.store.is_losing = True
        for _ in range(4):
            await node.change(key)
        node.store.is_losing = False
        last = await node.change(key)
        await client.wire.until(lambda wire: wire.told()[-1][1] is None)
        name, session, _ = client.wire.events()[-1]
        record = await node.elsewhere.check(key)
        assert (name, session) == (SET, record.to_session(key).to_wire())
        assert last.cursor in client.wire.cursors()
        newer = await node.change(key)
        assert client.wire.told()[-1] == (SET, newer.cursor), "and then it goes on as ever"


@pytest.mark.parametrize("is_forgotten", [False, True])
async def test_an_end_that_the_store_forgot_is_sent_all_the_same(*, is_forgotten: bool) -> None:
    """The reason if the key still answers one, `revoked` if nothing is known of it any more."""
    async with running_node(retention=FORGETFUL) as node:
        client, other = node.connect(), node.connect()
        key = await client.login()
        other_key = await other.login()
        node.store.is_losing = True
        await node.revoke(key)
        for _ in range(3):
            await node.change(other_key)
        if is_forgotten:
            node.clock.passed_ms += Retention().tombstone_ms
        node.hub.missed(["alice"])
        await client.wire.until(lambda wire: wire.told()[-1] == (UNSET, None))
        assert client.wire.events()[-1][1]["reason"] == "revoked"
        assert await client.refusal("session.list") == "noSession"


async def test_a_history_that_began_anew_is_a_gap(node: MemoryNode) -> None:
    """An event that follows on nothing shows it: each session is asked about."""
    client = node.connect()
    key = await client.login()
    node.store.is_losing = True
    await node.revoke(key)
    [other] = await node.elsewhere.create_prepared(
        node.elsewhere.prepare(SessionRequest("alice"))[1]
    )
    node.hub.announced(StoredEvent("alice", other.cursor, 0, other.change))
    await client.wire.until(lambda wire: wire.told()[-1][0] == UNSET)


async def test_a_repair_goes_on_until_the_store_answers(node: MemoryNode) -> None:
    """A store out of reach delays what was missed, and loses none of it."""
    client = node.connect()
    key = await client.login()
    node.store.is_losing = True
    lost = await node.change(key)
    node.store.is_losing = False
    node.store.is_down = True
    newer = await node.change(key)
    await node.store.until_asked("history", 1)
    assert len(client.wire.told()) == 1
    node.store.is_down = False
    await client.wire.until(lambda wire: wire.told()[-1] == (SET, newer.cursor))
    assert client.wire.cursors()[1:] == [lost.cursor, newer.cursor]


async def test_the_state_of_a_session_is_sent_even_if_the_store_fails_at_first() -> None:
    """The store answers the history and then goes away: the end is told when it is back."""
    async with running_node(retention=FORGETFUL) as node:
        client, other = node.connect(), node.connect()
        key = await client.login()
        other_key = await other.login()
        node.store.is_losing = True
        await node.revoke(key)
        for _ in range(3):
            await node.change(other_key)
        node.store.hold_answers("history")
        node.hub.missed(["alice"])
        await node.store.until_done("history")
        node.store.is_down = True
        node.store.deliver_answers("history")
        await node.store.until_asked("history", 2)
        node.store.is_down = False
        await client.wire.until(lambda wire: wire.told()[-1] == (UNSET, None))


async def test_a_repair_for_an_actor_nobody_holds_any_more_is_nothing(node: MemoryNode) -> None:
    """The last connection leaves while its gap is being repaired: nothing stays behind."""
    client, other = node.connect(), node.connect()
    key = await client.login()
    node.store.hold_answers("history")
    node.hub.missed(["alice"])
    await node.store.until_done("history")
    client.connection.lost()
    node.store.deliver_answers("history")
    await other.call("session.restore", key)
    event = await node.change(key)
    assert other.wire.told()[-1] == (SET, event.cursor)


async def test_many_gaps_are_repaired(node: MemoryNode) -> None:
    """Announcements that got lost for everybody are made good for everybody."""
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
    said = await node.elsewhere.emit_to_actor("alice", "game.over", None)
    end = await node.revoke(key)
    assert await client.refusal(f"session.{method}") == error
    assert client.wire.told()[1:] == [("game.over", said.cursor), (UNSET, end.cursor)]
