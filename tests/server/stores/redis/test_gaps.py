"""
Announcements that get lost: found by number, repaired from the logs.
"""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from keystay_server.stores.events import Emitted, StoredEvent
from keystay_server.stores.redis import RedisStore
from keystay_server.stores.redis.gaps import Gap, Gaps
from keystay_server.stores.redis.tuning import SubscriptionTuning
from keystay_server.stores.retention import Retention
from tests.support.asking import until
from tests.support.stores.installation import EMPTY_MAP, Heard, new_session, opened
from tests.support.stores.losses import Losses
from tests.support.stores.proxy import proxy_to
from tests.support.stores.redis_node import QUICK, node
from tests.support.valkey import Valkey

SELDOM = replace(QUICK, subscription=SubscriptionTuning(probe_s=3600))
"""Probes when it connects, and then not again."""


class Deaf(Losses):
    """Loses every announcement while it is told to."""

    def __init__(self) -> None:
        super().__init__(Random(0))

    def loses(self, yes: bool) -> None:
        """Lose them from now on, or pass them."""
        self.share = 1.0 if yes else 0.0


async def emit(store: RedisStore, actor_id: str) -> StoredEvent:
    """Have a backend emit something to an actor."""
    return await store.emit(actor_id, Emitted(None, "app.said", EMPTY_MAP))


def test_numbers_that_follow_each_other_are_no_gap() -> None:
    """Nor is one that comes twice, or late."""
    gaps = Gaps(1)
    gaps.probed(0, 5)
    gaps.lost.clear()
    for number, previous in ((6, 5), (9, 6), (6, 5), (9, 6)):
        gaps.announced(0, number, previous)
    gaps.probed(0, 9)
    assert not gaps.is_any
    assert gaps.known == [9]


def test_a_jump_is_a_gap() -> None:
    """By an announcement up to the one that it names; by a probe up to its number."""
    gaps = Gaps(2)
    for partition in (0, 1):
        gaps.probed(partition, 5)
    gaps.lost.clear()
    gaps.announced(0, 9, 7)
    gaps.announced(0, 20, 12)
    gaps.probed(1, 8)
    assert gaps.found == {0: Gap(5, 12), 1: Gap(5, 8)}
    assert gaps.known == [20, 8]


@pytest.mark.parametrize("known", [None, 5])
def test_numbers_of_another_history_lose_the_partition(known: int | None) -> None:
    """The first number, one below what was known, one that follows on what never was."""
    probed, announced, first = (Gaps(1) for _ in range(3))
    for gaps in (probed, announced, first):
        gaps.known[0] = known
    probed.probed(0, 3)
    announced.announced(0, 9, 3)
    first.announced(0, 9, 0)
    assert probed.lost == announced.lost == first.lost == {0}


@given(st.lists(st.sampled_from(["told", "lost", "probe", "late"])), st.randoms())
def test_whatever_is_lost_is_in_a_gap(steps: list[str], random: Random) -> None:
    """However announcements are lost, delayed and probed: after a probe nothing is missing."""
    gaps, number = Gaps(1), 100
    gaps.probed(0, number)
    gaps.lost.clear()
    lost: list[int] = []
    late: list[tuple[int, int]] = []
    for step in [*steps, "probe"]:
        if step == "probe":
            gaps.probed(0, number)
            continue
        previous, number = number, number + random.randint(1, 3)
        if step == "told":
            gaps.announced(0, number, previous)
        else:
            lost.append(number)
        if step == "late":
            late.append((number, previous))
        elif late and random.random() < 0.5:
            number_then, previous_then = late.pop(0)
            gaps.announced(0, number_then, previous_then)
            lost.remove(number_then)
    gap = gaps.found.get(0, Gap(0, 0))
    assert not gaps.lost
    assert all(gap.after < one <= gap.upto for one in lost)


async def test_a_gap_is_repaired_from_the_log(valkey: Valkey, prefix: str) -> None:
    """The next announcement shows what is missing, and the log which actors it is about."""
    deaf = Deaf()
    async with (
        node(valkey.url(prefix), partitions=1) as (other, _),
        proxy_to(valkey.port, new_sieve=deaf.new_sieve) as proxy,
        node(
            f"redis://127.0.0.1:{proxy.port}?prefix={prefix}", partitions=1, tuning=SELDOM
        ) as (_, heard),
    ):
        heard.actors |= {"alice", "bob", "carol"}
        seen = await emit(other, "alice")
        assert await heard.event() == seen
        deaf.loses(True)
        for actor_id in ("alice", "bob", "a stranger"):
            await emit(other, actor_id)
        await until_lost(deaf, 3)
        deaf.loses(False)
        marker = await emit(other, "carol")
        assert await heard.event() == marker
        assert await heard.loss() == {"alice", "bob"}


async def until_lost(deaf: Deaf, count: int) -> None:
    """Wait until so many announcements were lost."""

    async def lost() -> bool:
        return deaf.lost >= count

    await until(lost)


async def test_a_lost_last_announcement_shows_with_a_probe(valkey: Valkey, prefix: str) -> None:
    """Nothing comes after it, and still it is not missed for long."""
    deaf = Deaf()
    async with (
        node(valkey.url(prefix)) as (other, _),
        proxy_to(valkey.port, new_sieve=deaf.new_sieve) as proxy,
        node(f"redis://127.0.0.1:{proxy.port}?prefix={prefix}") as (_, heard),
    ):
        heard.actors |= {"alice", "bob"}
        deaf.loses(True)
        await opened(other, new_session("alice"))
        assert await heard.loss() == {"alice"}


async def test_a_gap_that_the_log_does_not_have_is_about_everybody(
    valkey: Valkey, prefix: str
) -> None:
    """Each actor of the partition with connections here may have missed something."""
    deaf = Deaf()
    async with (
        node(valkey.url(prefix), partitions=1) as (other, _),
        proxy_to(valkey.port, new_sieve=deaf.new_sieve) as proxy,
        node(
            f"redis://127.0.0.1:{proxy.port}?prefix={prefix}", partitions=1, tuning=SELDOM
        ) as (_, heard),
        Redis(port=valkey.port) as admin,
    ):
        heard.actors |= {"alice", "bob"}
        deaf.loses(True)
        for _ in range(3):
            await emit(other, "carol")
        await until_lost(deaf, 3)
        await admin.xtrim(f"{prefix}:{{0}}:log", maxlen=2, approximate=False)
        deaf.loses(False)
        await emit(other, "carol")
        assert await heard.loss() == {"alice", "bob"}


async def test_a_gap_of_many_entries_is_read_in_steps(valkey: Valkey, prefix: str) -> None:
    """However many announcements were lost, the actors of all of them are found."""
    deaf, retention = Deaf(), Retention(history_events=4)
    actors = {f"actor-{i}" for i in range(600)}
    async with (
        node(valkey.url(prefix), retention, partitions=1) as (other, _),
        proxy_to(valkey.port, new_sieve=deaf.new_sieve) as proxy,
        node(
            f"redis://127.0.0.1:{proxy.port}?prefix={prefix}", partitions=1, tuning=SELDOM
        ) as (
            _,
            heard,
        ),
    ):
        heard.actors |= actors | {"nobody"}
        deaf.loses(True)
        for actor_id in actors:
            await emit(other, actor_id)
        await until_lost(deaf, len(actors))
        deaf.loses(False)
        await emit(other, "a stranger")
        assert await heard.loss() == actors


async def test_a_flushed_redis_is_noticed(own_valkey: Valkey) -> None:
    """After FLUSHALL every actor with connections here may have missed something."""
    async with node(own_valkey.url()) as (store, heard), Redis(port=own_valkey.port) as admin:
        for actor_id in ("alice", "bob"):
            await opened(store, new_session(actor_id))
        heard.actors |= {"alice", "bob"}
        await admin.flushall()
        missed: set[str] = set()
        while missed != {"alice", "bob"}:
            missed |= await heard.loss()
        # The layout is recorded again: nodes that start from now on still have to agree.
        await until(lambda: admin.get("ks:layout"))


async def test_what_is_no_announcement_loses_the_partition(
    valkey: Valkey, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody else's message on a channel makes the node look for itself."""
    async with (
        node(valkey.url(prefix), partitions=1) as (_, heard),
        Redis(port=valkey.port) as admin,
    ):
        heard.actors.add("alice")
        execute = admin.execute_command
        await execute("SPUBLISH", f"{prefix}:{{0}}", "hello")  # type: ignore[no-untyped-call]
        assert await heard.loss() == {"alice"}
    assert "not an announcement" in caplog.text


async def test_a_listener_that_fails_costs_no_announcement(
    valkey: Valkey, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An error in the listener is logged, and what it was about is reported as missed."""

    class Faulty(Heard):
        def announced(self, event: StoredEvent) -> None:
            super().announced(event)
            raise RuntimeError("a bug")

    store, heard = RedisStore.from_url(valkey.url(prefix), Retention()), Faulty()
    await store.start(heard)
    heard.actors.add("alice")
    event = await opened(store, new_session())
    assert await heard.event() == event
    assert await heard.loss() == {"alice"}
    assert "a bug" in caplog.text
    await store.stop()
