"""
The way of an event from the store to the connections bound on this node.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from keystay_protocol.errors import Unavailable
from keystay_server.delivery import streams
from keystay_server.delivery.bindings import MAX_PASTS, Peer
from keystay_server.delivery.hub import Hub
from keystay_server.stores.events import Restored
from keystay_server.stores.retention import Retention
from tests.support.server.memory_node import MemoryNode, record_of, running_node
from tests.support.server.wire import WAIT_S, Wire, outbox_of

SET, UNSET = "session.set", "session.unset"
UNKNOWN = "alice:kst_" + "A" * 43
MANY = 2000


async def test_a_bound_connection_hears_what_happens_to_its_session(node: MemoryNode) -> None:
    """Whoever causes it: a change and the end reach it, with the store's cursors."""
    client = node.connect()
    key = await client.login()
    changed = await node.change(key)
    await node.revoke(key)
    login, change, end = client.wire.events()
    assert client.wire.cursors() == sorted(client.wire.cursors())
    assert (login[0], login[1]["key"]) == (SET, key)
    assert change == (SET, record_of(changed).to_session(key).to_wire(), changed.cursor)
    assert (end[0], end[1]) == (UNSET, {"reason": "revoked", "id": login[1]["id"]})


async def test_nobody_hears_of_other_sessions(node: MemoryNode) -> None:
    """A connection is told of the session it is bound to, and of no other."""
    phone, laptop, stranger = node.connect(), node.connect(), node.connect()
    await phone.login("alice")
    laptop_key = await laptop.login("alice")
    await stranger.login("bob")
    await node.change(laptop_key)
    assert len(phone.wire.events()) == 1
    assert len(laptop.wire.events()) == 2
    assert len(stranger.wire.events()) == 1


async def test_a_restore_is_sent_to_who_restores(node: MemoryNode) -> None:
    """
    It gets the session, without a cursor, before the reply. Nothing has happened to the
    session: nobody else hears of it, and no history has it.
    """
    holder, other = node.connect(), node.connect()
    key = await holder.login()
    [opened] = holder.wire.cursors()
    for _ in range(3):
        error, result = await other.call("session.restore", key)
        event, reply = other.wire.received[-2:]
        assert (error, event) == (None, [2, SET, [result["session"], None]])
        assert reply[0] == 1
        assert result["cursor"] == opened
    assert other.wire.told() == [(SET, None)] * 3
    assert holder.wire.told() == [(SET, opened)]
    assert [e.cursor for e in (await node.store.history("alice", 0)).events] == [opened]


async def test_an_event_precedes_the_reply_when_the_feed_is_slow(node: MemoryNode) -> None:
    """What a command causes precedes its reply, even if the feed never brings it."""
    node.store.hold_announcements()
    client = node.connect()
    key = await client.login()
    await client.call("session.restore", key)
    await client.call("session.logout")
    assert [what(message) for message in client.wire.received] == [SET, 1, SET, 2, UNSET, 3]
    assert client.wire.told()[1] == (SET, None)
    node.store.deliver_announcements()
    assert len(client.wire.received) == 6, "the feed's copies are dropped"


async def test_an_event_precedes_the_reply_when_the_feed_is_fast(node: MemoryNode) -> None:
    """The feed may bring an event before the answer comes: it is sent once, and first."""
    key = await node.open_session()
    client = node.connect()
    for method, params in (("restore", [key]), ("end", [])):
        node.store.hold_answers(method)
        id_ = client.send("session.logout" if method == "end" else "session.restore", *params)
        await node.store.until_done(method)
        node.store.deliver_answers(method)
        assert (await client.reply(id_))[0] is None
    assert [what(message) for message in client.wire.received] == [SET, 1, UNSET, 2]


async def test_an_announcement_that_comes_twice_is_sent_once(node: MemoryNode) -> None:
    """Delivery is idempotent by cursor: an old announcement changes nothing."""
    client = node.connect()
    key = await client.login()
    first, second = await node.change(key), await node.change(key)
    before = client.wire.told()
    for event in (first, second, first):
        node.hub.announced(event)
    assert client.wire.told() == before


async def test_connections_of_one_session_are_sent_the_same_bytes(node: MemoryNode) -> None:
    """An event is turned into bytes once for each session, however many connections hear it."""
    framed: list[bytes] = []

    def frame(message: bytes) -> bytes:
        framed.append(message)
        return message

    hub = Hub(node.store, frame)
    key = await node.open_session()
    wires = [Wire() for _ in range(3)]
    for wire in wires:
        await hub.bind(Peer(outbox_of(wire)), key, restoring(node, key))
    del framed[:]
    event = await node.change(key)
    hub.announced(event)
    assert len(framed) == 1
    assert all(wire.written[-1] is framed[0] for wire in wires)


async def test_a_connection_hears_what_it_is_subscribed_to(node: MemoryNode) -> None:
    """Without the path the event is not sent, but the end of the session still unbinds."""
    client = node.connect()
    key = await client.login()
    await client.call("events.unsubscribe", ["session"])
    await node.change(key)
    await node.revoke(key)
    assert len(client.wire.events()) == 1
    assert await client.refusal("session.list") == "noSession"


async def test_a_slow_client_is_cut_off_and_others_are_served() -> None:
    """Who takes nothing is told no more; the event reaches everybody else at once."""
    async with running_node(max_outbox_bytes=10_000) as node:
        slow, quick = node.connect(), node.connect()
        key = await slow.login()
        await quick.call("session.restore", key)
        slow.wire.is_stuck = True
        while not slow.wire.cut_off:
            await node.change(key, "x" * 1000)
        assert quick.wire.told()[-1] == slow.wire.told()[-1]


async def test_what_a_backend_says_is_encoded_once(node: MemoryNode) -> None:
    """An actor's event has the same bytes for all its sessions: there is no key in it."""
    framed: list[bytes] = []

    def frame(message: bytes) -> bytes:
        framed.append(message)
        return message

    hub = Hub(node.store, frame)
    wires = [Wire() for _ in range(3)]
    keys = [await node.open_session() for _ in wires]
    hub.start()  # It is told of nothing but what its own commands cause.
    for wire, key in zip(wires, keys, strict=True):
        peer = Peer(outbox_of(wire))
        peer.paths = ("game",)
        await hub.bind(peer, key, restoring(node, key))
    del framed[:]
    event = await node.elsewhere.emit_to_actor("alice", "game.move", {"to": 7})
    hub.announced(event)
    await hub.stop()
    assert len(framed) == 1
    assert all(wire.written[-1] is framed[0] for wire in wires)
    assert wires[0].events() == [("game.move", {"to": 7}, event.cursor)]


async def test_what_is_said_to_all_is_heard_by_subscription(node: MemoryNode) -> None:
    """Bound or not, whoever is subscribed hears it; who has left hears nothing."""
    bound, unbound, deaf, gone = [node.connect() for _ in range(4)]
    await bound.login()
    for client in (bound, unbound, gone):
        await client.call("events.subscribe", ["news"])
    gone.connection.lost()
    await node.elsewhere.broadcast("news.flash", [1])
    for client in (bound, unbound):
        assert client.wire.events()[-1] == ("news.flash", [1], None)
    assert deaf.wire.events() == gone.wire.events() == []


async def test_a_replay_fits_into_what_may_wait() -> None:
    """A client that missed more than can be sent at once is told that it is not recovered."""
    async with running_node() as node:
        hub = Hub(node.store, bytes, max_replay_bytes=10_000)
        key = await node.open_session()
        cursor = (await node.elsewhere.restore(key)).cursor
        for count, is_recovered in ((6, True), (2, False)):
            for _ in range(count):
                await node.elsewhere.emit_to_actor("alice", "game.map", "x" * 1000)
            wire = Wire()
            peer = Peer(outbox_of(wire))
            peer.paths = ("game",)
            bound = await hub.bind(peer, key, restoring(node, key, cursor), cursor)
            assert bound.is_recovered is is_recovered
            replayed = ["game.map"] * (count if is_recovered else 0)
            assert [name for name, _ in wire.told()] == replayed
            hub.unbind(peer)


async def test_a_replay_is_measured_by_what_is_sent() -> None:
    """What is said to other sessions, or not subscribed to, takes nothing of its room."""
    async with running_node() as node:
        hub = Hub(node.store, bytes, max_replay_bytes=10_000)
        key, other = await node.open_session(), await node.open_session()
        cursor = (await node.elsewhere.restore(key)).cursor
        id_ = (await node.sessions.check(other)).id
        for _ in range(10):
            await node.elsewhere.emit_to_session(id_, "game.map", "x" * 2000)
            await node.elsewhere.emit_to_actor("alice", "chat.line", "x" * 2000)
        said = await node.elsewhere.emit_to_actor("alice", "game.map", None)
        wire = Wire()
        peer = Peer(outbox_of(wire))
        peer.paths = ("game",)
        bound = await hub.bind(peer, key, restoring(node, key, cursor), cursor)
        assert bound.is_recovered
        assert wire.events() == [("game.map", None, said.cursor)]


async def test_restoring_the_same_session_again_hears_nothing_twice(node: MemoryNode) -> None:
    """A connection may restore the session it holds: it hears each event once."""
    client = node.connect()
    key = await client.login()
    node.store.hold_answers("restore")
    id_ = client.send("session.restore", key)
    await node.store.until_done("restore")
    changes = [(SET, (await node.change(key)).cursor) for _ in range(3)]
    node.store.deliver_answers("restore")
    _, result = await client.reply(id_)
    assert client.wire.told()[1:] == [(SET, None), *changes], "the session as it was first"
    assert result["cursor"] == client.wire.cursors()[0]
    changes.append((SET, (await node.change(key)).cursor))
    assert client.wire.told()[2:] == changes


async def test_an_end_while_the_session_is_restored_again_is_told_once(
    node: MemoryNode,
) -> None:
    """A session that ends while its holder restores it: one `session.unset`."""
    client = node.connect()
    key = await client.login()
    node.store.hold_answers("restore")
    id_ = client.send("session.restore", key)
    await node.store.until_done("restore")
    await node.revoke(key)
    node.store.deliver_answers("restore")
    await client.reply(id_)
    assert [name for name, _ in client.wire.told()] == [SET, SET, UNSET]
    assert await client.refusal("session.list") == "noSession"


async def test_moving_to_another_session_of_the_actor_keeps_the_order(
    node: MemoryNode,
) -> None:
    """Cursors of one actor only grow on a connection, also while it changes its session."""
    client = node.connect()
    first_key = await client.login()
    second_key = await node.open_session()
    node.store.hold_answers("restore")
    id_ = client.send("session.restore", second_key)
    await node.store.until_done("restore")
    # Both happen after the binding, and only the second concerns the session it is bound to.
    for key in (first_key, second_key):
        await node.change(key)
    node.store.deliver_answers("restore")
    await client.reply(id_)
    cursors = client.wire.cursors()
    assert cursors == sorted(set(cursors))
    assert [data["key"] for _, data, _ in client.wire.events()] == [
        first_key,
        second_key,
        second_key,
    ]


async def test_an_actors_event_is_not_sent_again_on_a_move(node: MemoryNode) -> None:
    """
    A connection that moves to another session of its actor is not sent again what it was sent
    while it moved, or before. It has missed nothing then, and is recovered.
    """
    first, second = await node.open_session(), await node.open_session()
    client = node.connect()
    await client.call("events.subscribe", ["game"])
    _, result = await client.call("session.restore", first)
    unheard = (await node.elsewhere.emit_to_actor("alice", "game.move", 0)).cursor - 1
    for cursor, expected in ((result["cursor"], [0, 1]), (unheard, [0, 1, 2])):
        node.store.hold_calls("restore")
        moving = client.send("session.restore", second, {"cursor": cursor})
        await node.store.until_asked("restore", len(expected))
        await node.elsewhere.emit_to_actor("alice", "game.move", expected[-1])
        node.store.deliver_calls("restore")
        _, result = await client.reply(moving)
        assert result["recovered"] is True
        assert [d for name, d, _ in client.wire.events() if name == "game.move"] == expected
        first, second = second, first


async def test_what_a_client_has_seen_elsewhere_was_not_sent_here(node: MemoryNode) -> None:
    """It names a cursor, then an older one: what lies between cannot be sent any more."""
    key = await node.open_session()
    start = (await node.elsewhere.restore(key)).cursor
    seen, newer = [(await node.change(key)).cursor for _ in range(2)]
    client = node.connect()
    for cursor, is_recovered in ((seen, True), (seen, True), (start, False), (seen, True)):
        _, result = await client.call("session.restore", key, {"cursor": cursor})
        assert result["recovered"] is is_recovered
    assert client.wire.cursors() == [newer]


async def test_what_came_before_a_subscription_was_not_sent(node: MemoryNode) -> None:
    """
    A connection that subscribes to more, and restores with a cursor from before, is not
    recovered if it missed something by then. What it restores to afterwards, it is.
    """
    key, client = await node.open_session(), node.connect()
    _, before = await client.call("session.restore", key)
    last = await node.elsewhere.emit_to_actor("alice", "inventory.added", 1)
    while (await client.call("session.restore", key))[1]["cursor"] < last.cursor:
        pass
    await client.call("events.subscribe", ["inventory"])
    _, result = await client.call("session.restore", key, {"cursor": before["cursor"]})
    assert (result["recovered"], result["cursor"]) == (False, last.cursor)
    _, result = await client.call("session.restore", key, {"cursor": last.cursor})
    assert result["recovered"] is True


async def test_what_happened_to_a_session_before_a_move_was_not_sent(node: MemoryNode) -> None:
    """The connection was bound to another one, and moved without a cursor."""
    first, second = await node.open_session(), await node.open_session()
    client = node.connect()
    _, result = await client.call("session.restore", first)
    await node.change(second)
    await client.call("session.restore", second)
    _, result = await client.call("session.restore", second, {"cursor": result["cursor"]})
    assert result["recovered"] is False
    assert client.wire.cursors() == []


async def test_a_move_does_not_recover_what_only_another_session_was_sent(
    node: MemoryNode,
) -> None:
    """What was said to the session alone, while the connection was bound to the other."""
    first, second = await node.open_session(), await node.open_session()
    client = node.connect()
    await client.call("events.subscribe", ["game"])
    _, result = await client.call("session.restore", first)
    id_ = (await node.elsewhere.check(second)).id
    await node.elsewhere.emit_to_session(id_, "game.move", 1)
    last = await node.elsewhere.emit_to_actor("alice", "game.move", 2)
    _, result = await client.call("session.restore", second, {"cursor": result["cursor"]})
    assert result["recovered"] is False
    assert client.wire.cursors() == [last.cursor]


@pytest.mark.parametrize("is_unbound", [False, True])
async def test_moving_sends_nothing_that_comes_too_late(
    node: MemoryNode, *, is_unbound: bool
) -> None:
    """What is older than what was sent stays away, and the client is told of that."""
    client = node.connect()
    await client.call("events.subscribe", ["game"])
    await client.login()
    [seen] = client.wire.cursors()
    second_key = await node.open_session()
    said = await node.elsewhere.emit_to_actor("alice", "game.started", None)
    if is_unbound:
        await client.call("session.logout")
    # As it does who has not received yet what was said.
    _, result = await client.call("session.restore", second_key, {"cursor": seen})
    assert result["recovered"] is False
    cursors = client.wire.cursors()
    assert cursors == sorted(set(cursors))
    assert said.cursor in cursors


@pytest.mark.parametrize("is_real", [True, False])
async def test_nobody_hears_of_another_actor_on_the_way(
    node: MemoryNode, *, is_real: bool
) -> None:
    """
    While a connection moves to another actor, or tries to with an invented key, it is sent
    nothing of that actor, and all of its own.
    """
    client = node.connect()
    await client.call("events.subscribe", ["game"])
    await client.login("alice")
    [own] = client.wire.cursors()
    key = await node.open_session("bob")
    node.store.hold_calls("restore")
    moving = client.send("session.restore", key if is_real else UNKNOWN.replace("alice", "bob"))
    await node.store.until_asked("restore", 1)
    said = await node.elsewhere.emit_to_actor("alice", "game.move", None)
    await node.elsewhere.emit_to_actor("bob", "game.secret", None)
    node.store.deliver_calls("restore")
    error, _ = await client.reply(moving)
    assert error == (None if is_real else "noSession")
    assert client.wire.told()[:2] == [(SET, own), ("game.move", said.cursor)]
    assert "game.secret" not in [name for name, _ in client.wire.told()]
    after = await node.elsewhere.emit_to_actor("bob" if is_real else "alice", "game.move", None)
    assert client.wire.told()[-1] == ("game.move", after.cursor)


async def test_a_restore_that_fails_costs_the_bound_session_nothing(node: MemoryNode) -> None:
    """What happens to the bound session while another one is tried is sent after all."""
    client = node.connect()
    key = await client.login()
    other_key = await node.open_session()
    await node.revoke(other_key)
    node.store.hold_calls("restore")
    id_ = client.send("session.restore", other_key)
    await node.store.until_asked("restore", 1)
    changed = await node.change(key)
    node.store.deliver_calls("restore")
    assert (await client.reply(id_))[0] == "revoked"
    assert client.wire.told()[-1] == (SET, changed.cursor)
    await node.revoke(key)
    assert [name for name, _ in client.wire.told()] == [SET, SET, UNSET]


@pytest.mark.parametrize("is_refused", [False, True])
async def test_a_restore_does_not_look_for_what_was_not_missed(*, is_refused: bool) -> None:
    """
    The history no longer reaches back to the last event of a session that was idle for long:
    to restore then, in vain or not, is no reason to read it, or to send anybody anything.
    """
    async with running_node(retention=Retention(history_events=2)) as node:
        client, other = node.connect(), node.connect()
        key, other_key = await client.login(), await other.login()
        changes = [(SET, (await node.change(other_key)).cursor) for _ in range(5)]
        error = await client.refusal("session.restore", UNKNOWN if is_refused else key)
        assert error == ("noSession" if is_refused else None)
        last = await node.change(key)
        assert node.store.asked["history"] == 0
        assert other.wire.told()[1:] == changes
        restored = [] if is_refused else [(SET, None)]
        assert client.wire.told()[1:] == [*restored, (SET, last.cursor)]


@pytest.mark.parametrize("is_refused", [False, True])
async def test_what_is_kept_for_a_binding_is_bounded_and_nothing_is_lost(
    node: MemoryNode, monkeypatch: pytest.MonkeyPatch, *, is_refused: bool
) -> None:
    """What comes beyond it is read from the history, once and in order."""
    monkeypatch.setattr(streams, "MAX_RING", 4)
    client = node.connect()
    key = await client.login()
    node.store.hold_answers("restore")
    id_ = client.send("session.restore", key)
    await node.store.until_done("restore")
    if is_refused:
        node.store.is_down = True  # For what the restore asks next.
    changes = [(SET, (await node.change(key)).cursor) for _ in range(10)]
    node.store.is_down = False
    node.store.deliver_answers("restore")
    assert (await client.reply(id_))[0] is None
    await client.wire.until(lambda wire: wire.told()[-1] == changes[-1])
    assert client.wire.told()[1:] == [(SET, None), *changes]


async def test_an_actor_is_wanted_until_the_last_has_left(node: MemoryNode) -> None:
    """The store announces what happens to an actor for as long as somebody is bound."""
    one, other = node.connect(), node.connect()
    key = await one.login()
    await other.call("session.restore", key)
    one.connection.lost()
    assert set(node.hub.actors) == {"alice"}
    other.connection.lost()
    assert set(node.hub.actors) == set()


async def test_nothing_is_left_behind_by_whoever_goes(node: MemoryNode) -> None:
    """Logout, the session's end, moving on and a failed restore leave no stream."""
    client = node.connect()
    await client.login("alice")
    await client.call("session.logout")
    key = await client.login("bob")
    await node.revoke(key)
    assert set(node.hub.actors) == set()
    await client.login("carol")
    await client.login("dave")
    assert set(node.hub.actors) == {"dave"}
    await client.call("session.restore", UNKNOWN)
    assert set(node.hub.actors) == {"dave"}


@pytest.mark.parametrize("is_connected", [False, True])
@pytest.mark.parametrize("key", [UNKNOWN, "alice", "", "alice:kst_" + "A" * 44])
async def test_a_key_that_opens_nothing_costs_one_question(
    node: MemoryNode, key: str, *, is_connected: bool
) -> None:
    """
    No stream stays, nothing is written, and the store is asked once at most, whether or not
    somebody is connected for the actor.
    """
    if is_connected:
        await node.connect().login()
    before, wanted = Counter(node.store.asked), set(node.hub.actors)
    client = node.connect()
    for _ in range(10):
        assert await client.refusal("session.restore", key) is not None
        assert set(node.hub.actors) == wanted
    assert node.store.asked - before == (Counter(restore=10) if key == UNKNOWN else Counter())


async def test_a_store_out_of_reach_fails_the_binding(node: MemoryNode) -> None:
    """The connection is bound to nothing, and no stream stays."""
    peer = Peer(outbox_of(Wire()))
    node.store.is_down = True
    with pytest.raises(Unavailable):
        await node.hub.bind(peer, UNKNOWN, restoring(node, UNKNOWN))
    assert (peer.binding, set(node.hub.actors)) == (None, set())


async def test_a_binding_that_is_given_up_leaves_no_binding(node: MemoryNode) -> None:
    """A command that runs into its deadline while it binds has changed nothing here."""
    key = await node.open_session()
    peer = Peer(outbox_of(Wire()))
    node.store.hold_answers("restore")
    binding = asyncio.create_task(node.hub.bind(peer, key, restoring(node, key)))
    await node.store.until_done("restore")
    binding.cancel()
    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(binding, return_exceptions=True)
    assert (peer.binding, set(node.hub.actors)) == (None, set())


async def test_connections_bound_at_once_hear_the_same(node: MemoryNode) -> None:
    """Ten clients restore one session together: each is sent all that happens from then on."""
    key = await node.open_session()
    clients = [node.connect() for _ in range(10)]
    node.store.hold_answers("restore")
    ids = [client.send("session.restore", key) for client in clients]
    await node.store.until_asked("restore", 10)
    changes = [(SET, (await node.change(key)).cursor) for _ in range(3)]
    node.store.deliver_answers("restore")
    for client, id_ in zip(clients, ids, strict=True):
        error, result = await client.reply(id_)
        assert error is None
        assert result["cursor"] < changes[0][1]
    changes.append((SET, (await node.change(key)).cursor))
    for client in clients:
        assert client.wire.told() == [(SET, None), *changes]


async def test_many_connections_of_one_session_take_one_step_each(node: MemoryNode) -> None:
    """An event of 2,000 bindings is encoded once, and sent 2,000 times; so is the end."""
    counts = node.node.counts
    key = await node.open_session()
    clients = [node.connect() for _ in range(MANY)]
    for client in clients:
        assert await client.refusal("session.restore", key) is None
    assert counts.events == MANY
    changed = await node.change(key)
    assert counts.events == 2 * MANY
    end = await node.revoke(key)
    assert counts.events == 3 * MANY
    written = {id(data) for client in clients for data in client.wire.written[-2:]}
    assert len(written) == 2
    expected = [(SET, None), (SET, changed.cursor), (UNSET, end.cursor)]
    assert all(client.wire.told() == expected for client in clients)
    assert (counts.bound_now, set(node.hub.actors)) == (0, set())


async def test_a_connection_remembers_few_actors(node: MemoryNode) -> None:
    """Of one that is forgotten nothing is sent twice or out of order: it is not recovered."""
    client = node.connect()
    await client.call("events.subscribe", ["game"])
    key = await client.login("alice")
    [seen] = client.wire.cursors()
    said = await node.elsewhere.emit_to_actor("alice", "game.move", None)
    for number in range(MAX_PASTS + 1):
        await client.login(f"actor-{number}")
    _, result = await client.call("session.restore", key, {"cursor": seen})
    assert result["recovered"] is False
    # The session.set of another actor may have the same cursor.
    assert client.wire.told().count(("game.move", said.cursor)) == 1
    node.clock.passed_ms += 10  # So that its cursor is beyond those of the forgotten actors.
    newer = await node.elsewhere.emit_to_actor("alice", "game.move", None)
    _, result = await client.call("session.restore", key, {"cursor": said.cursor})
    assert result["recovered"] is True
    assert client.wire.cursors()[-1] == newer.cursor


def restoring(
    node: MemoryNode, key: str, after: int | None = None
) -> Callable[[], Awaitable[Restored]]:
    """An opening that restores the session."""

    async def restored() -> Restored:
        return await node.sessions.restore(key, after=after)

    return restored


def what(message: Any) -> Any:
    """An event's name, or a reply's id."""
    return message[1]
