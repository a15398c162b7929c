"""
The way of an event from the store to the connections bound on this node.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from keystay_protocol.errors import Unavailable
from keystay_server import hub
from keystay_server.audience import Peer
from keystay_server.hub import Hub
from keystay_server.stores.base import StoredEvent
from tests.server.memory_node import Client, MemoryNode, record_of, running_node
from tests.server.wire import WAIT_S, Wire, outbox_of

SET, UNSET = "session.set", "session.unset"


async def test_a_bound_connection_hears_what_happens_to_its_session(node: MemoryNode) -> None:
    """Whoever causes it: an extension and the end reach it, with the store's cursors."""
    client = node.connect()
    key = await client.login()
    extended = await node.extend(key)
    await node.revoke(key)
    login, extension, end = client.wire.events()
    assert client.wire.cursors() == sorted(client.wire.cursors())
    assert (login[0], login[1]["key"]) == (SET, key)
    assert extension == (
        SET,
        record_of(extended).to_session(key).to_wire(),
        extended.cursor,
    )
    assert (end[0], end[1]) == (UNSET, {"reason": "revoked", "id": login[1]["id"]})


async def test_nobody_hears_of_other_sessions(node: MemoryNode) -> None:
    """A connection is told of the session it is bound to, and of no other."""
    phone, laptop, stranger = node.connect(), node.connect(), node.connect()
    await phone.login("alice")
    laptop_key = await laptop.login("alice")
    await stranger.login("bob")
    await node.extend(laptop_key)
    assert len(phone.wire.events()) == 1
    assert len(laptop.wire.events()) == 2
    assert len(stranger.wire.events()) == 1


async def test_an_event_precedes_the_reply_when_the_feed_is_slow(node: MemoryNode) -> None:
    """What a command causes precedes its reply, even if the feed never brings it."""
    node.store.hold_announcements()
    client = node.connect()
    key = await client.login()
    await client.call("session.restore", key)
    await client.call("session.logout")
    assert [what(message) for message in client.wire.received] == [SET, 1, SET, 2, UNSET, 3]
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
    first, second = await node.extend(key), await node.extend(key)
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
    event = await node.extend(key)
    hub.announced(event)
    assert len(framed) == 1
    assert all(wire.written[-1] is framed[0] for wire in wires)


async def test_a_connection_hears_what_it_is_subscribed_to(node: MemoryNode) -> None:
    """Without the path the event is not sent, but the end of the session still unbinds."""
    client = node.connect()
    key = await client.login()
    await client.call("events.unsubscribe", ["session"])
    await node.extend(key)
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
            await node.extend(key)
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
    event = await node.elsewhere.emit("alice", "game.move", {"to": 7})
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
        cursor = (await node.extend(key)).cursor
        for count, is_recovered in ((6, True), (2, False)):
            for _ in range(count):
                await node.elsewhere.emit("alice", "game.map", "x" * 1000)
            wire = Wire()
            peer = Peer(outbox_of(wire))
            peer.paths = ("game",)
            bound = await hub.bind(peer, key, restoring(node, key), cursor)
            assert bound.is_recovered is is_recovered
            assert len(wire.events()) == (count if is_recovered else 0)
            hub.unbind(peer)


async def test_a_replay_is_measured_by_what_is_sent() -> None:
    """What is said to other sessions, or not subscribed to, takes nothing of its room."""
    async with running_node() as node:
        hub = Hub(node.store, bytes, max_replay_bytes=10_000)
        key, other = await node.open_session(), await node.open_session()
        cursor = (await node.extend(key)).cursor
        id_ = (await node.sessions.check(other)).id
        for _ in range(10):
            await node.elsewhere.emit_to_session(id_, "game.map", "x" * 2000)
            await node.elsewhere.emit("alice", "chat.line", "x" * 2000)
        said = await node.elsewhere.emit("alice", "game.map", None)
        wire = Wire()
        peer = Peer(outbox_of(wire))
        peer.paths = ("game",)
        assert (await hub.bind(peer, key, restoring(node, key), cursor)).is_recovered
        assert wire.events() == [("game.map", None, said.cursor)]


async def test_restoring_the_same_session_again_hears_nothing_twice(node: MemoryNode) -> None:
    """A connection may restore the session it holds: it hears each event once."""
    client = node.connect()
    key = await client.login()
    node.store.hold_answers("restore")
    id_ = client.send("session.restore", key)
    await node.store.until_done("restore")
    for _ in range(3):
        await node.extend(key)
    node.store.deliver_answers("restore")
    await client.reply(id_)
    await node.extend(key)
    cursors = client.wire.cursors()
    assert len(cursors) == 1 + 1 + 3 + 1
    assert cursors == sorted(set(cursors))


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
        await node.extend(key)
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
    A connection that moves to another session of its actor, with its last cursor, is not sent
    again what it heard while it moved. With an older cursor it is recovered only as far as is
    known: what it heard two sessions ago is not.
    """
    first, second = await node.open_session(), await node.open_session()
    client = node.connect()
    await client.call("events.subscribe", ["game"])
    _, result = await client.call("session.restore", first)
    unheard = (await node.elsewhere.emit("alice", "game.move", 0)).cursor - 1
    for cursor, expected in ((result["cursor"], [0, 1]), (unheard, [0, 1, 2])):
        node.store.hold_answers("watch")
        moving = client.send("session.restore", second, {"cursor": cursor})
        await node.store.until_done("watch")
        await node.elsewhere.emit("alice", "game.move", expected[-1])
        node.store.deliver_answers("watch")
        _, result = await client.reply(moving)
        assert result["recovered"] is (len(expected) == 2)
        assert [d for name, d, _ in client.wire.events() if name == "game.move"] == expected
        first, second = second, first


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
    said = await node.elsewhere.emit("alice", "game.started", None)
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
    node.store.hold_answers("watch")
    moving = client.send("session.restore", key if is_real else "bob:kst_" + "A" * 43)
    await node.store.until_done("watch")
    said = await node.elsewhere.emit("alice", "game.move", None)
    await node.elsewhere.emit("bob", "game.secret", None)
    node.store.deliver_answers("watch")
    error, _ = await client.reply(moving)
    assert error == (None if is_real else "noSession")
    assert client.wire.told()[:2] == [(SET, own), ("game.move", said.cursor)]
    assert "game.secret" not in [name for name, _ in client.wire.told()]
    after = await node.elsewhere.emit("bob" if is_real else "alice", "game.move", None)
    assert client.wire.told()[-1] == ("game.move", after.cursor)


async def test_a_restore_that_fails_costs_the_bound_session_nothing(node: MemoryNode) -> None:
    """What happens to the bound session while another one is tried is told after all."""
    client = node.connect()
    key = await client.login()
    other_key = await node.open_session()
    await node.revoke(other_key)
    node.store.hold_answers("watch")
    id_ = client.send("session.restore", other_key)
    await node.store.until_done("watch")
    extended = await node.extend(key)
    node.store.deliver_answers("watch")
    assert (await client.reply(id_))[0] == "revoked"
    assert client.wire.told()[-1] == (SET, extended.cursor)
    await node.revoke(key)
    assert [name for name, _ in client.wire.told()] == [SET, SET, UNSET]


@pytest.mark.parametrize("is_refused", [False, True])
async def test_what_is_held_is_bounded_and_nothing_is_lost(
    node: MemoryNode, monkeypatch: pytest.MonkeyPatch, *, is_refused: bool
) -> None:
    """What comes beyond it is read from the history, once and in order."""
    monkeypatch.setattr(hub, "MAX_HELD", 3)
    client = node.connect()
    key = await client.login()
    step = "watch" if is_refused else "restore"
    node.store.hold_answers(step)
    id_ = client.send("session.restore", "alice:kst_" + "A" * 43 if is_refused else key)
    await node.store.until_done(step)
    cursors = [(await node.extend(key)).cursor for _ in range(10)]
    node.store.deliver_answers(step)
    assert (await client.reply(id_))[0] == ("noSession" if is_refused else None)
    await client.wire.until(lambda wire: wire.cursors()[-1] == cursors[-1])
    heard = client.wire.cursors()
    assert heard[-10:] == cursors
    assert len(heard) == (11 if is_refused else 12)


async def test_the_last_to_leave_ends_the_watch(node: MemoryNode) -> None:
    """The store is asked about an actor for as long as somebody is bound, and no longer."""
    one, other = node.connect(), node.connect()
    key = await one.login()
    await other.call("session.restore", key)
    one.connection.lost()
    assert node.store.watched == {"alice"}
    other.connection.lost()
    assert node.store.watched == set()


async def test_every_way_out_ends_the_watch(node: MemoryNode) -> None:
    """Logout, the session's end, moving on and a failed binding leave nothing behind."""
    client = node.connect()
    await client.login("alice")
    await client.call("session.logout")
    key = await client.login("bob")
    await node.revoke(key)
    assert node.store.watched == set()
    await client.login("carol")
    await client.login("dave")
    assert node.store.watched == {"dave"}
    await client.call("session.restore", "erin:kst_" + "A" * 43)
    assert node.store.watched == {"dave"}


async def test_a_feed_out_of_reach_fails_the_binding(node: MemoryNode) -> None:
    """A node that cannot listen does not open a session either."""
    peer = Peer(outbox_of(Wire()))
    opened: list[str] = []

    async def opening() -> Any:
        opened.append("session")

    node.store.is_down = True
    with pytest.raises(Unavailable):
        await node.hub.bind(peer, "alice:kst_" + "A" * 43, opening)
    assert (opened, peer.seat, node.store.watched) == ([], None, set())


async def test_a_binding_that_is_given_up_leaves_no_seat(node: MemoryNode) -> None:
    """A command that runs into its deadline while it binds has changed nothing here."""
    key = await node.open_session()
    peer = Peer(outbox_of(Wire()))
    node.store.hold_answers("restore")
    binding = asyncio.create_task(node.hub.bind(peer, key, restoring(node, key)))
    await node.store.until_done("restore")
    binding.cancel()
    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(binding, return_exceptions=True)
    assert (peer.seat, node.store.watched) == (None, set())


async def test_connections_bound_at_once_hear_the_same(node: MemoryNode) -> None:
    """Ten clients restore one session together: each hears it all from its own binding on."""
    key = await node.open_session()
    clients = [node.connect() for _ in range(10)]
    await asyncio.gather(*(client.call("session.restore", key) for client in clients))
    longest = max((client.wire.told() for client in clients), key=len)
    assert len(longest) == 10
    for client in clients:
        own = reply_cursor(client)
        assert client.wire.told() == longest[longest.index((SET, own)) :]


def restoring(node: MemoryNode, key: str) -> Callable[[], Awaitable[list[StoredEvent]]]:
    """An opening that restores the session."""

    async def restored() -> list[StoredEvent]:
        return [await node.sessions.restore(key)]

    return restored


def what(message: Any) -> Any:
    """An event's name, or a reply's id."""
    return message[1]


def reply_cursor(client: Client) -> int:
    """The cursor in the reply to a client's only command."""
    ((_, _, result),) = client.wire.replies()
    cursor: int = result["cursor"]
    return cursor
