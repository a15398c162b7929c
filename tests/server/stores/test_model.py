"""
The life of one actor's sessions, in any order of steps: the store against a small model.
"""

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from keystay_protocol.codec import pack
from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import CommandError
from keystay_server.stores.base import Store
from keystay_server.stores.errors import RevisionConflict
from keystay_server.stores.events import (
    Emitted,
    SessionSet,
    SessionUnset,
    StoredEvent,
    Successor,
)
from keystay_server.stores.records import (
    UNLIMITED,
    Changes,
    Holding,
    NewSession,
    Policy,
    Record,
)
from keystay_server.stores.retention import Retention
from tests.server.stores.conftest import embedded, shared
from tests.support.stores.installation import SWEEP_MS, Installation, new_session, sessions_of
from tests.support.valkey import Valkey

TTL_MS = 60_000
MAX_AGE_MS = 150_000
TOMBSTONE_MS = 1_000_000
ALMOST_MS = 4_500
"""So close to a deadline that the time decides which the test, or a grace, takes."""

POLICIES = [
    UNLIMITED,
    *(Policy(limit, is_strict) for limit in (1, 2, 3) for is_strict in (False, True)),
]

T = TypeVar("T")
Make = Callable[[], Installation]


@dataclass(slots=True)
class Modelled:
    """What a session should be like."""

    new: NewSession
    expires_at: int
    ends_at: int | None
    created_at: int
    revision: int = 1
    reason: str | None = None
    ended_at: int = 0

    @property
    def id(self) -> str:
        return self.new.id

    def end(self, reason: str, now: int) -> None:
        """What an end does."""
        self.reason, self.ended_at = reason, now

    def extend(self, now: int) -> None:
        """What a restore or a touch does to one that was not ended."""
        if (self.expires_at - now) * 3 <= TTL_MS * 2:
            slid = now + TTL_MS
            later = slid if self.ends_at is None else min(slid, self.ends_at)
            if later > now:
                self.expires_at = later

    def error_at(self, now: int) -> str | None:
        """The code that its key answers."""
        if self.reason is None:
            return None if now < self.expires_at else "expired"
        return self.reason if now < self.ended_at + TOMBSTONE_MS else "noSession"

    def is_overdue(self, now: int) -> bool:
        """Whether its deadline has passed, and nobody has ended it."""
        return self.reason is None and now >= self.expires_at

    def is_close(self, now: int) -> bool:
        """Whether a moment decides what its key answers, or whether it is extended."""
        moments = [self.expires_at, self.expires_at - TTL_MS * 2 // 3, self.ends_at or 0]
        if self.reason is not None:
            moments = [self.ended_at + TOMBSTONE_MS]
        return min(abs(now - moment) for moment in moments) < ALMOST_MS


class OneActor(RuleBasedStateMachine):
    """Steps that an actor's clients can take, and what must be true after each."""

    make: Make
    created: Bundle[Modelled] = Bundle("created")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.installation = self.make()
        for node, listener in zip(
            self.installation.nodes, self.installation.heard, strict=True
        ):
            self.runner.run(node.start(listener))
        self.now = 0
        self.modelled: list[Modelled] = []
        self.cursor = 0

    def teardown(self) -> None:
        for node in self.installation.nodes:
            self.runner.run(node.stop())
        self.runner.close()

    def node(self, number: int) -> Store:
        """One of the nodes."""
        return self.installation.nodes[number % len(self.installation.nodes)]

    @rule(
        target=created,
        is_bounded=st.booleans(),
        policy=st.sampled_from(POLICIES),
        node=st.integers(0, 1),
    )
    def login(
        self, is_bounded: bool, policy: Policy, node: int
    ) -> Modelled | MultipleResults[Modelled]:
        assume(policy is UNLIMITED or not self.is_any_close())
        if self.installation.grace_ms and policy is not UNLIMITED:
            # In a grace overdue sessions may still be held: they count, and are not ended.
            self.expire(node)
        max_age_ms = MAX_AGE_MS if is_bounded else None
        new = new_session(ttl_ms=TTL_MS, max_age_ms=max_age_ms)
        error, events = self.outcome_of(self.node(node).create(new, policy))
        # Overdue sessions that stood in the way have ended as expired, without being returned.
        self.end_overdue([event for event in self.happened() if event not in events])
        replaced = self.replaced_under(policy)
        if replaced is None:
            assert error == "sessionLimit"
            self.follows([])
            return multiple()
        ends_at = self.now + MAX_AGE_MS if is_bounded else None
        made = Modelled(new, self.now + TTL_MS, ends_at, self.now)
        by = Successor(new.id, record_of(events[-1]).created_at)
        assert [event.change for event in events[:-1]] == [
            SessionUnset(other.id, "replaced", by) for other in replaced
        ]
        for other in replaced:
            other.end("replaced", self.now)
        self.modelled.append(made)
        self.follows(events)
        return made

    @rule(session=created, node=st.integers(0, 1))
    def is_valid(self, session: Modelled, node: int) -> None:
        assume(not session.is_close(self.now))
        checking = self.node(node).check("alice", session.new.digest)
        error, records = self.outcome_of(as_list(checking))
        assert error == session.error_at(self.now)
        for record in records:
            self.agrees(session, record)

    @rule(session=created, back=st.none() | st.integers(0, 3), node=st.integers(0, 1))
    def restore(self, session: Modelled, back: int | None, node: int) -> None:
        assume(not session.is_close(self.now))
        after, expected = None, None
        if back is not None:
            events = self.runner.run(self.installation.store.history("alice", 0)).events
            after = ([0] + [event.cursor for event in events])[-1 - min(back, len(events))]
            expected = self.runner.run(self.installation.store.history("alice", after))
        restoring = self.node(node).restore("alice", session.new.digest, after)
        error, answers = self.outcome_of(as_list(restoring))
        assert error == session.error_at(self.now)
        for restored in answers:
            session.extend(self.now)
            self.agrees(session, restored.record)
            assert restored.cursor == self.cursor
            assert restored.missed == expected
        self.follows([])

    @rule(session=created, node=st.integers(0, 1))
    def touch(self, session: Modelled, node: int) -> None:
        assume(not session.is_close(self.now))
        self.runner.run(self.node(node).touch([Holding("alice", session.new.digest)]))
        if session.reason is None:
            session.extend(self.now)
        if session.error_at(self.now) is None:
            record = self.runner.run(self.node(node + 1).check("alice", session.new.digest))
            self.agrees(session, record)
        self.follows([])

    @rule(node=st.integers(0, 1))
    def end_what_is_due(self, node: int) -> None:
        self.expire(node)

    def expire(self, node: int) -> None:
        """Have a node end what is due, and the grace pass."""
        grace_ms = -(-self.installation.grace_ms // SWEEP_MS) * SWEEP_MS
        assume(not self.is_any_close() and not self.is_any_close(grace_ms))
        late_ms = self.runner.run(self.installation.end_what_is_due(self.node(node)))
        self.now += grace_ms
        events = self.happened()
        assert len(late_ms) == len(events)
        self.end_overdue(events)
        assert not any(session.is_overdue(self.now) for session in self.modelled)
        self.follows([])

    @rule(session=created, scope=st.sampled_from(LogoutScope), node=st.integers(0, 1))
    def log_out(self, session: Modelled, scope: LogoutScope, node: int) -> None:
        assume(not self.is_any_close())
        ending = self.node(node).end("alice", session.id, scope, "loggedOut")
        error, events = self.outcome_of(ending)
        assert error == ("noSession" if session.error_at(self.now) else None)
        expected = self.ended_by(session, scope)
        for other in expected:
            other.end("loggedOut", self.now)
        assert [event.change for event in events] == [
            SessionUnset(other.id, "loggedOut") for other in expected
        ]
        self.end_overdue([event for event in self.happened() if event not in events])
        self.follows(events)

    @rule(session=created, revision=st.none() | st.integers(1, 3), node=st.integers(0, 1))
    def change(self, session: Modelled, revision: int | None, node: int) -> None:
        assume(not session.is_close(self.now))
        changes = Changes(language="de")
        changing = self.node(node).change("alice", session.id, changes, revision)
        error, events = self.outcome_of(as_list(changing))
        if session.error_at(self.now) is not None:
            assert error == "noSession"
        elif revision not in (None, session.revision):
            assert error == "RevisionConflict"
        else:
            session.revision += 1
            [record] = map(record_of, events)
            assert record.language == "de"
            self.agrees(session, record)
        self.follows(events)

    @rule(session=created, is_to_all=st.booleans(), node=st.integers(0, 1))
    def emit(self, session: Modelled, is_to_all: bool, node: int) -> None:
        assume(is_to_all or not session.is_close(self.now))
        said = Emitted(None if is_to_all else session.id, "game.move", pack(None))
        error, events = self.outcome_of(as_list(self.node(node).emit("alice", said)))
        is_taken = is_to_all or session.error_at(self.now) is None
        assert error == (None if is_taken else "noSession")
        assert [event.change for event in events] == [said] * is_taken
        self.follows(events)

    @rule(ms=st.sampled_from([7_000, 19_000, 67_000, 1_100_000]))
    def time_passes(self, ms: int) -> None:
        if self.installation.grace_ms:
            # In a grace it is not decided whether overdue sessions are over: let it pass.
            later_ms = ms + -(-self.installation.grace_ms // SWEEP_MS) * SWEEP_MS
            assume(not self.is_any_close(ms) and not self.is_any_close(later_ms))
        self.installation.pass_time(ms)
        self.now += ms
        if self.installation.grace_ms:
            self.expire(0)

    @invariant()
    def the_live_sessions_are_listed_in_the_order_of_their_creation(self) -> None:
        if not self.is_any_close():
            live = [session.id for session in self.live()]
            for node in self.installation.nodes:
                listed = self.runner.run(sessions_of(node))
                assert [record.id for record in listed] == live
                newest = self.runner.run(node.sessions("alice", 2, newest=True))
                assert [record.id for record in newest] == live[-2:]

    def is_any_close(self, later_ms: int = 0) -> bool:
        return any(session.is_close(self.now + later_ms) for session in self.modelled)

    def replaced_under(self, policy: Policy) -> list[Modelled] | None:
        """Which sessions have to end for one more; None if that one is refused."""
        live = self.live()
        if policy.limit is None or len(live) < policy.limit:
            return []
        return None if policy.is_strict else live[: len(live) - policy.limit + 1]

    def live(self) -> list[Modelled]:
        return [session for session in self.modelled if session.error_at(self.now) is None]

    def ended_by(self, session: Modelled, scope: LogoutScope) -> list[Modelled]:
        if session.error_at(self.now) is not None:
            return []
        match scope:
            case LogoutScope.THIS:
                return [session]
            case LogoutScope.OTHERS:
                return [other for other in self.live() if other is not session]
            case LogoutScope.ALL:
                return self.live()

    def agrees(self, session: Modelled, record: Record) -> None:
        """The record is that of the session, and has its deadline."""
        assert (record.id, record.revision) == (session.id, session.revision)
        age = record.expires_at - record.created_at
        assert abs(age - (session.expires_at - session.created_at)) < ALMOST_MS

    def end_overdue(self, events: list[StoredEvent]) -> None:
        """Take events of sessions that ended by themselves: each was overdue."""
        overdue = {session.id: session for session in self.modelled if session.reason is None}
        for event in events:
            assert isinstance(event.change, SessionUnset)
            session = overdue.pop(event.change.session_id)
            assert event.change == SessionUnset(session.id, "expired")
            assert session.is_overdue(self.now)
            session.end("expired", self.now)
            assert event.previous in (self.cursor, 0)
            self.cursor = event.cursor

    def happened(self) -> list[StoredEvent]:
        """What has come into the history and was not looked at yet."""
        return self.runner.run(self.installation.store.history("alice", self.cursor)).events

    def follows(self, events: list[StoredEvent]) -> None:
        """The events are what the history has next, one after the other, and all of it."""
        assert self.happened() == events
        for event in events:
            assert event.cursor > self.cursor
            assert event.previous in (self.cursor, 0)
            self.cursor = event.cursor

    def outcome_of(self, step: Coroutine[Any, Any, list[T]]) -> tuple[str | None, list[T]]:
        """How a step went: the code it was refused with, or what it returned."""
        try:
            return None, self.runner.run(step)
        except CommandError as error:
            return error.code, []
        except RevisionConflict:
            return "RevisionConflict", []


async def as_list(step: Coroutine[Any, Any, T]) -> list[T]:
    """What a step returns, alone in a list."""
    return [await step]


def record_of(event: StoredEvent) -> Record:
    """The session that an event tells of."""
    assert isinstance(event.change, SessionSet)
    return event.change.record


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
@pytest.mark.parametrize("lives", [12, pytest.param(50, marks=pytest.mark.long)])
def test_a_store_agrees_with_the_model(
    kind: str, lives: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Whatever an actor's clients do, and in whatever order, stores do what the model does."""
    retention = Retention(tombstone_ms=TOMBSTONE_MS)

    def make() -> Installation:
        name = secrets.token_hex(6)
        if kind == "sqlite":
            return embedded(str(tmp_path / f"{name}.db"), retention)
        valkey: Valkey = request.getfixturevalue("valkey")
        return shared(valkey.url(f"model-{name}"), retention)

    machine = type("OneActorHere", (OneActor,), {"make": staticmethod(make)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=lives,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
