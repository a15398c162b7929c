"""
`expiry.py`: what is held lives on, and what is over ends.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgpack
import pytest

from keystay_protocol.errors import Expired
from keystay_server.delivery.bindings import Binding
from keystay_server.sessions import expiry as expiry_module
from keystay_server.sessions.expiry import Activity
from keystay_server.stores.events import SessionUnset
from tests.support.server.memory_node import Client, MemoryNode, running_node

TTL_MS = 1_800_000
KEEPING = [Activity.CONNECTION, Activity.COMMANDS]


@pytest.fixture
def _is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node takes its steps so seldom that a test never sees the second one."""
    monkeypatch.setattr(expiry_module, "STEP_EVERY_S", 3600.0)


@asynccontextmanager
async def running(activity: Activity, *, is_started: bool = True) -> AsyncIterator[MemoryNode]:
    """A node whose expiry is started."""
    async with running_node(activity=activity) as node:
        if is_started:
            await start(node)
        yield node


async def start(node: MemoryNode) -> None:
    """Start the expiry; return when it has taken its first step."""
    node.expiry.start()
    await steps(node)


async def steps(node: MemoryNode) -> None:
    """Wait until the node has taken a whole step: it has extended, and then ended."""
    await node.store.until_asked("expire", node.store.asked["expire"] + 2)


def binding_of(client: Client) -> Binding:
    """What the client is bound to."""
    binding = client.connection.peer.binding
    assert binding is not None
    return binding


def pass_time(node: MemoryNode, part: float) -> None:
    """Let a part of the ttl pass, by the clock of the store and by that of the node."""
    node.clock.passed_ms += round(TTL_MS * part)
    for binding in node.hub.bindings():
        binding.extend_at -= TTL_MS / 1000 * part


async def expires_at(node: MemoryNode, key: str) -> int:
    """The deadline of a live session."""
    return (await node.elsewhere.check(key)).expires_at


# What keeps a session alive.


async def test_a_connection_keeps_its_session_alive() -> None:
    """For many times its ttl, and nobody is sent anything about it."""
    async with running(Activity.CONNECTION) as node:
        client = node.connect()
        key = await client.login()
        first = await expires_at(node, key)
        for number in range(1, 11):
            pass_time(node, 0.5)
            await steps(node)
            assert await expires_at(node, key) >= first + number * TTL_MS // 2
        assert len(client.wire.events()) == 1


@pytest.mark.parametrize("was_held", [False, True])
async def test_a_session_that_nobody_holds_ends(*, was_held: bool) -> None:
    """At its deadline, with an event; nobody has to be there."""
    async with running(Activity.CONNECTION) as node:
        key = await node.open_session()
        if was_held:
            client = node.connect()
            await client.call("session.restore", key)
            client.connection.lost()
        pass_time(node, 1.0)
        await steps(node)
        with pytest.raises(Expired):
            await node.elsewhere.check(key)
        [_, ended] = (await node.store.history("alice", 0)).events
        assert isinstance(ended.change, SessionUnset)
        assert ended.change.reason == "expired"


async def test_commands_keep_a_session_alive() -> None:
    """A connection that says nothing, or asks for the time only, does not."""
    async with running(Activity.COMMANDS) as node:
        busy, silent, probing = clients = [node.connect() for _ in range(3)]
        keys = [await client.login() for client in clients]
        for _ in range(4):
            pass_time(node, 0.3)
            assert await busy.refusal("session.isValid", keys[0]) is None
            assert await probing.refusal("time.now") is None
            await steps(node)
        assert await node.elsewhere.check(keys[0])
        for client, key in ((silent, keys[1]), (probing, keys[2])):
            with pytest.raises(Expired):
                await node.elsewhere.check(key)
            name, unset, _ = client.wire.events()[-1]
            assert (name, unset["reason"]) == ("session.unset", "expired")
        assert len(busy.wire.events()) == 1


async def test_with_no_activity_only_a_restore_keeps_a_session() -> None:
    """The store is never asked to extend anything."""
    async with running(Activity.NONE) as node:
        client, restoring = node.connect(), node.connect()
        key, restored = await client.login(), await restoring.login()
        for _ in range(3):
            pass_time(node, 0.4)
            await client.call("session.list")
            await restoring.call("session.restore", restored)
            await steps(node)
        assert node.store.asked["touch"] == 0
        assert await node.elsewhere.check(restored)
        with pytest.raises(Expired):
            await node.elsewhere.check(key)


@pytest.mark.usefixtures("_is_slow")
@pytest.mark.parametrize("part", [0.42, 0.6, 0.9, 0.999])
async def test_a_command_just_before_the_deadline_extends(part: float) -> None:
    """Each, at once, and not only at the node's next step."""
    async with running(Activity.COMMANDS, is_started=False) as node:
        node.expiry.start()
        clients = [node.connect() for _ in range(20)]
        keys = [await client.login() for client in clients]
        deadlines = [await expires_at(node, key) for key in keys]
        pass_time(node, part)
        for number, client in enumerate(clients, 1):
            assert await client.refusal("session.list") is None
            await node.store.until_asked("touch", number)
        node.clock.passed_ms += round(TTL_MS * (1 - part))
        for key, deadline in zip(keys, deadlines, strict=True):
            assert await expires_at(node, key) >= deadline + round(TTL_MS * part)
        assert await node.store.expire() == []


async def test_an_early_command_counts_later() -> None:
    """The session is extended when it is time, without another command; and only once."""
    async with running(Activity.COMMANDS) as node:
        client = node.connect()
        key = await client.login()
        first = await expires_at(node, key)
        pass_time(node, 0.1)
        await client.call("session.list")
        await steps(node)
        assert await expires_at(node, key) == first
        pass_time(node, 0.4)
        await steps(node)
        second = await expires_at(node, key)
        assert second >= first + TTL_MS // 2
        pass_time(node, 0.9)
        await steps(node)
        assert await expires_at(node, key) == second


@pytest.mark.usefixtures("_is_slow")
async def test_a_last_command_counts() -> None:
    """The client leaves at once: its session lives for one more ttl all the same."""
    async with running(Activity.COMMANDS, is_started=False) as node:
        node.expiry.start()
        client = node.connect()
        key = await client.login()
        first = await expires_at(node, key)
        pass_time(node, 0.9)
        client.connection.receive(msgpack.packb([0, 99, "session.isValid", [key]]))
        client.connection.lost()
        await node.store.until_asked("touch", 1)
        assert await expires_at(node, key) >= first + round(0.9 * TTL_MS)


@pytest.mark.usefixtures("_is_slow")
async def test_a_command_counts_while_others_are_ended() -> None:
    """What is noted while the store ends sessions is extended before it ends any more."""
    async with running(Activity.COMMANDS, is_started=False) as node:
        client = node.connect()
        key = await client.login()
        await node.open_session(ttl_s=60)
        pass_time(node, 0.9)
        node.store.hold_answers("expire")
        node.expiry.start()
        await node.store.until_done("expire")
        assert await client.refusal("session.list") is None
        assert node.store.asked["touch"] == 0
        node.store.hold_calls("touch")
        node.store.deliver_answers("expire")
        await node.store.until_asked("touch", 1)
        assert node.store.asked["expire"] == 1
        node.clock.passed_ms += TTL_MS // 5
        node.store.deliver_calls("touch")
        await node.store.until_asked("expire", 2)
        assert await node.elsewhere.check(key)


@pytest.mark.usefixtures("_is_slow")
async def test_a_command_counts_that_comes_while_nothing_is_to_be_ended() -> None:
    """It is not left for the node's next step either."""
    async with running(Activity.COMMANDS, is_started=False) as node:
        client = node.connect()
        key = await client.login()
        first = await expires_at(node, key)
        pass_time(node, 0.9)
        node.store.hold_answers("expire")
        node.expiry.start()
        await node.store.until_done("expire")
        assert await client.refusal("session.list") is None
        node.store.deliver_answers("expire")
        await node.store.until_asked("touch", 1)
        assert await expires_at(node, key) > first


# Held sessions and the absence of the store or the process.


@pytest.mark.parametrize("activity", KEEPING)
async def test_what_is_held_is_extended_before_anything_is_ended(activity: Activity) -> None:
    """The process was stopped for longer than the ttl: held sessions live on, others end."""
    async with running(activity, is_started=False) as node:
        clients = [node.connect() for _ in range(5)]
        keys = [await client.login() for client in clients]
        unheld = await node.open_session()
        for client in clients:
            await client.call("session.list")
        pass_time(node, 2.0)
        await start(node)
        for client, key in zip(clients, keys, strict=True):
            assert await expires_at(node, key) > 0
            assert len(client.wire.events()) == 1
        with pytest.raises(Expired):
            await node.elsewhere.check(unheld)
        assert node.node.counts.expiry_late.total == 1


@pytest.mark.parametrize("activity", KEEPING)
async def test_what_is_held_is_extended_between_the_steps_of_a_backlog(
    activity: Activity,
) -> None:
    """The process was stopped while it ended what had become due while no node was running."""
    async with running(activity, is_started=False) as node:
        await node.open_session("bob")
        pass_time(node, 2.0)
        client = node.connect()
        key = await client.login()
        node.store.hold_answers("expire")
        node.expiry.start()
        await node.store.until_done("expire")
        await client.call("session.list")
        pass_time(node, 2.0)
        node.store.deliver_answers("expire")
        await steps(node)
        assert await expires_at(node, key) > 0
        assert len(client.wire.events()) == 1


@pytest.mark.parametrize("activity", KEEPING)
async def test_an_extension_that_was_refused_is_tried_again(activity: Activity) -> None:
    """Until the store takes it, also beyond the deadline, and without another command."""
    async with running(activity) as node:
        client = node.connect()
        key = await client.login()
        first = await expires_at(node, key)
        node.store.is_down = True
        pass_time(node, 0.5)
        await client.call("time.now")
        await client.call("session.isValid", key)
        await node.store.until_asked("touch", 3)
        pass_time(node, 1.0)
        await node.store.until_asked("touch", node.store.asked["touch"] + 3)
        node.store.hold_calls("touch")
        await node.store.until_asked("touch", node.store.asked["touch"] + 1)
        node.store.is_down = False
        node.store.deliver_calls("touch")
        await steps(node)
        assert await expires_at(node, key) >= first + round(1.5 * TTL_MS)
        assert len(client.wire.events()) == 1
        asked = node.store.asked["touch"]
        await steps(node)
        assert node.store.asked["touch"] == asked


async def test_an_extension_is_not_tried_again_for_who_has_left() -> None:
    """The session is no longer held, and ends at its deadline."""
    async with running(Activity.CONNECTION) as node:
        client = node.connect()
        key = await client.login()
        first = await expires_at(node, key)
        node.store.is_down = True
        pass_time(node, 0.5)
        await node.store.until_asked("touch", 2)
        client.connection.lost()
        asked = node.store.asked["touch"]
        await node.store.until_asked("touch", asked + 1)
        await steps(node)
        node.store.is_down = False
        await steps(node)
        assert node.store.asked["touch"] == asked + 1
        assert await expires_at(node, key) == first


@pytest.mark.parametrize("has_spoken", [False, True])
async def test_a_command_that_was_not_written_yet_counts(*, has_spoken: bool) -> None:
    """Who asks about a session that seems to be over finds it held, if it was active."""
    async with running(Activity.COMMANDS, is_started=False) as node:
        client, other = node.connect(), node.connect()
        key = await client.login()
        pass_time(node, 0.9)
        if has_spoken:
            await client.call("session.list")
        pass_time(node, 0.2)
        expected = None if has_spoken else "expired"
        assert await other.refusal("session.isValid", key) == expected
        assert await other.refusal("session.restore", key) == expected


@pytest.mark.usefixtures("_is_slow")
async def test_a_host_that_was_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The monotonic clock stood still, and the deadlines came: what is held is extended."""
    async with running(Activity.CONNECTION, is_started=False) as node:
        client = node.connect()
        key = await client.login()
        node.clock.passed_ms += 2 * TTL_MS
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + 2 * TTL_MS / 1000)
        node.expiry.start()
        await node.store.until_asked("expire", 1)
        assert await expires_at(node, key) > 0
        assert await node.store.expire() == []


@pytest.mark.usefixtures("_is_slow")
async def test_a_process_that_is_stopped_while_it_extends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it has looked at already is looked at again, before anything is ended."""
    now, stopped_s = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: now() + stopped_s)
    async with running(Activity.CONNECTION, is_started=False) as node:
        one, other = node.connect(), node.connect()
        keys = [await one.login("alice"), await other.login("bob")]
        binding_of(one).extend_at = 0.0
        node.store.hold_calls("touch")
        node.expiry.start()
        await node.store.until_asked("touch", 1)
        pass_time(node, 2.0)
        stopped_s = 2 * TTL_MS / 1000
        node.store.deliver_calls("touch")
        await node.store.until_asked("expire", 1)
        for key in keys:
            assert await expires_at(node, key) > 0
        assert await node.store.expire() == []


# How it is done.


async def test_many_sessions_are_extended_by_the_batch(
    node: MemoryNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them, and none that is held twice is asked for twice in one."""
    monkeypatch.setattr(expiry_module, "AT_ONCE", 4)
    monkeypatch.setattr(expiry_module, "BATCHES_AT_ONCE", 2)
    clients = [node.connect() for _ in range(30)]
    keys = [await client.login(f"actor-{number}") for number, client in enumerate(clients)]
    for key in keys[:10]:
        assert await node.connect().refusal("session.restore", key) is None
    before = [await expires_at(node, key) for key in keys]
    pass_time(node, 0.5)
    await start(node)
    after = [await expires_at(node, key) for key in keys]
    assert all(new >= old + TTL_MS // 2 for old, new in zip(before, after, strict=True))
    assert node.store.asked["touch"] == 10


async def test_extensions_are_spread(node: MemoryNode) -> None:
    """After a third of the ttl, and well before it is over, whenever a session was opened."""
    client, now = node.connect(), time.monotonic()
    await client.login()
    binding, seen = binding_of(client), set()
    for _ in range(100):
        binding.schedule_extension()
        part = (binding.extend_at - now) / (TTL_MS / 1000)
        assert 1 / 3 <= part < 5 / 12 + 0.01
        seen.add(round(part, 4))
    assert len(seen) > 20


async def test_a_step_that_fails_is_taken_again(
    node: MemoryNode, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong is logged, and sessions end all the same."""
    key = await node.open_session(ttl_s=60)
    client = node.connect()
    own_key = await client.login()
    first = await expires_at(node, own_key)
    pass_time(node, 0.5)
    binding = binding_of(client)
    binding.key = "\ud800"  # Nothing that can happen: it has no digest.
    await start(node)
    with pytest.raises(Expired):
        await node.elsewhere.check(key)
    assert "extend and expire sessions: failed" in caplog.text
    binding.key = own_key
    await steps(node)
    assert await expires_at(node, own_key) > first
