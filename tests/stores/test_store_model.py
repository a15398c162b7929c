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
from keystay_server.keys import digest_of
from keystay_server.sessions import Opening, Rules, Sessions
from keystay_server.stores.base import (
    UNLIMITED,
    Change,
    Emitted,
    Holding,
    Policy,
    Record,
    Retention,
    RevisionConflict,
    SessionSet,
    SessionUnset,
    StoredEvent,
    Successor,
)
from tests.stores.conftest import embedded, shared
from tests.stores.installation import Installation
from tests.valkey import Valkey

TTL_MS = 60_000
MAX_AGE_MS = 150_000
TOMBSTONE_MS = 1_000_000
ALMOST_MS = 2_000
"""So close to a deadline that the time which the test itself takes decides."""

POLICIES = [
    UNLIMITED,
    *(Policy(limit, is_strict) for limit in (1, 2, 3) for is_strict in (False, True)),
]

T = TypeVar("T")
Make = Callable[[], Installation]


@dataclass(slots=True)
class Modelled:
    """What a session should be like."""

    key: str
    id: str
    expires_at: int
    ends_at: int | None
    opened_at: int
    revision: int = 1
    reason: str | None = None
    ended_at: int = 0

    def end(self, reason: str, now: int) -> None:
        """What an end does."""
        self.reason, self.ended_at = reason, now

    def extend(self, now: int) -> None:
        """What an extension does."""
        slid = now + TTL_MS
        self.expires_at = slid if self.ends_at is None else min(slid, self.ends_at)

    def error_at(self, now: int) -> str | None:
        """The code that its key answers."""
        if self.reason is None and now < self.expires_at:
            return None
        over_at = self.ended_at if self.reason else self.expires_at
        return (self.reason or "expired") if now < over_at + TOMBSTONE_MS else "noSession"

    def is_close_to_a_deadline(self, now: int) -> bool:
        """Whether a moment decides what its key answers."""
        over_at = self.ended_at if self.reason else self.expires_at
        return min(abs(now - over_at), abs(now - over_at - TOMBSTONE_MS)) < ALMOST_MS


class OneActor(RuleBasedStateMachine):
    """Steps that an actor's clients can take, and what must be true after each."""

    make: Make
    keys: Bundle[Modelled] = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.installation = self.make()
        self.start()
        self.sessions = [self.ruled(node) for node in range(len(self.installation.nodes))]
        self.now = 0
        self.modelled: list[Modelled] = []
        self.cursor = 0

    def start(self) -> None:
        pairs = zip(self.installation.nodes, self.installation.heard, strict=True)
        for node, heard in pairs:
            self.runner.run(node.start(heard))

    def teardown(self) -> None:
        for node in self.installation.nodes:
            self.runner.run(node.stop())
        self.runner.close()

    def ruled(self, node: int, policy: Policy = UNLIMITED) -> Sessions:
        """The rules under a policy, over one of the nodes."""
        nodes = self.installation.nodes
        return Sessions(nodes[node % len(nodes)], Rules(TTL_MS / 1000, policy=policy))

    @rule(
        target=keys,
        is_bounded=st.booleans(),
        policy=st.sampled_from(POLICIES),
        node=st.integers(0, 1),
    )
    def login(
        self, is_bounded: bool, policy: Policy, node: int
    ) -> Modelled | MultipleResults[Modelled]:
        assume(policy is UNLIMITED or not self.is_any_close_to_a_deadline())
        sessions = self.ruled(node, policy)
        max_age_s = MAX_AGE_MS / 1000 if is_bounded else None
        key, new = sessions.prepare(Opening("alice", max_age_s=max_age_s))
        error, events = self.outcome_of(sessions.create(new))
        replaced = self.replaced_under(policy)
        if replaced is None:
            assert error == "sessionLimit"
            assert self.happened() == []
            return multiple()
        ends_at = self.now + MAX_AGE_MS if is_bounded else None
        opened = Modelled(key, new.id, self.now + TTL_MS, ends_at, self.now)
        by = Successor(new.id, record_of(events[-1]).created_at)
        assert [event.change for event in events[:-1]] == [
            SessionUnset(other.id, "replaced", by) for other in replaced
        ]
        for other in replaced:
            other.end("replaced", self.now)
        self.modelled.append(opened)
        self.follows(events)
        return opened

    @rule(session=keys, node=st.integers(0, 1))
    def is_valid(self, session: Modelled, node: int) -> None:
        assume(not session.is_close_to_a_deadline(self.now))
        sessions = self.sessions[node % len(self.sessions)]
        error, records = self.outcome_of(as_list(sessions.check(session.key)))
        assert error == session.error_at(self.now)
        assert [record.revision for record in records] == [session.revision] * len(records)

    @rule(session=keys, node=st.integers(0, 1))
    def restore(self, session: Modelled, node: int) -> None:
        assume(not session.is_close_to_a_deadline(self.now))
        sessions = self.sessions[node % len(self.sessions)]
        error, events = self.outcome_of(as_list(sessions.restore(session.key)))
        assert error == session.error_at(self.now)
        if error is None:
            session.extend(self.now)
        self.follows(events)

    @rule(session=keys, node=st.integers(0, 1))
    def touch(self, session: Modelled, node: int) -> None:
        assume(not session.is_close_to_a_deadline(self.now))
        left = session.expires_at - self.now
        assume(abs(left - TTL_MS * 2 / 3) > ALMOST_MS)
        nodes = self.installation.nodes
        holding = Holding("alice", digest_of(session.key))
        self.runner.run(nodes[node % len(nodes)].touch([holding]))
        if session.error_at(self.now) is None:
            if left < TTL_MS * 2 / 3:
                session.extend(self.now)
            record = self.runner.run(nodes[0].check("alice", holding.digest))
            age = record.expires_at - record.created_at
            assert abs(age - (session.expires_at - session.opened_at)) < ALMOST_MS
        assert self.happened() == []

    @rule(node=st.integers(0, 1))
    def expire(self, node: int) -> None:
        assume(not self.is_any_close_to_a_deadline())
        nodes = self.installation.nodes
        while self.runner.run(nodes[node % len(nodes)].expire()):
            pass
        events = self.happened()
        ended = {event.change for event in events}
        assert len(ended) == len(events)
        for session in self.modelled:
            if session.reason is None and self.now >= session.expires_at:
                is_told = SessionUnset(session.id, "expired") in ended
                ended.discard(SessionUnset(session.id, "expired"))
                # One that is forgotten may be gone, or still be found.
                assert is_told or session.error_at(self.now) == "noSession"
                if is_told:
                    session.end("expired", self.now)
        assert not ended
        self.follows(events)

    @rule(session=keys, scope=st.sampled_from(LogoutScope), node=st.integers(0, 1))
    def log_out(self, session: Modelled, scope: LogoutScope, node: int) -> None:
        assume(not self.is_any_close_to_a_deadline())
        sessions = self.sessions[node % len(self.sessions)]
        ended = self.runner.run(sessions.log_out("alice", session.id, scope))
        expected = self.ended_by(session, scope)
        for other in expected:
            other.end("loggedOut", self.now)
        assert [event.change for event in ended] == [
            SessionUnset(other.id, "loggedOut") for other in expected
        ]
        self.follows(ended)

    @rule(session=keys, revision=st.none() | st.integers(1, 3), node=st.integers(0, 1))
    def change(self, session: Modelled, revision: int | None, node: int) -> None:
        assume(not session.is_close_to_a_deadline(self.now))
        sessions = self.sessions[node % len(self.sessions)]
        changing = sessions.change(session.id, language="de", revision=revision)
        error, events = self.outcome_of(as_list(changing))
        if session.error_at(self.now) is not None:
            assert error == "noSession"
        elif revision not in (None, session.revision):
            assert error == "RevisionConflict"
        else:
            session.revision += 1
            [record] = map(record_of, events)
            assert (record.id, record.language) == (session.id, "de")
            assert record.revision == session.revision
        self.follows(events)

    @rule(session=keys, is_to_all=st.booleans(), node=st.integers(0, 1))
    def emit(self, session: Modelled, is_to_all: bool, node: int) -> None:
        assume(is_to_all or not session.is_close_to_a_deadline(self.now))
        sessions = self.sessions[node % len(self.sessions)]
        saying = (
            sessions.emit("alice", "game.move", None)
            if is_to_all
            else sessions.emit_to_session(session.id, "game.move", None)
        )
        error, events = self.outcome_of(as_list(saying))
        is_heard = is_to_all or session.error_at(self.now) is None
        assert error == (None if is_heard else "noSession")
        said: list[Change] = [
            Emitted(None if is_to_all else session.id, "game.move", pack(None))
        ]
        assert [event.change for event in events] == said * is_heard
        self.follows(events)

    @rule(ms=st.sampled_from([7_000, 19_000, 67_000, 1_100_000]))
    def time_passes(self, ms: int) -> None:
        self.installation.pass_time(ms)
        self.now += ms

    @invariant()
    def the_live_sessions_are_listed_in_the_order_they_were_opened(self) -> None:
        if not self.is_any_close_to_a_deadline():
            for sessions in self.sessions:
                listed = self.runner.run(sessions.of_actor("alice"))
                assert [record.id for record in listed] == [s.id for s in self.live()]

    def is_any_close_to_a_deadline(self) -> bool:
        return any(session.is_close_to_a_deadline(self.now) for session in self.modelled)

    def replaced_under(self, policy: Policy) -> list[Modelled] | None:
        """Who has to go for one more session; None if that one is refused."""
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

    def happened(self) -> list[StoredEvent]:
        """What has come into the history without being returned."""
        return self.runner.run(self.installation.store.history("alice", self.cursor)).events

    def follows(self, events: list[StoredEvent]) -> None:
        """Every event follows on the one before, and the history has it."""
        for event in events:
            assert event.cursor > self.cursor
            assert event.previous in (self.cursor, 0)
            assert self.happened()[0] == event
            self.cursor = event.cursor
        assert self.happened() == []

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
    kind: str, lives: int, tmp_path: Path, valkey: Valkey
) -> None:
    """Whatever an actor's clients do, and in whatever order, stores do what the model does."""
    retention = Retention(tombstone_ms=TOMBSTONE_MS)

    def make() -> Installation:
        name = secrets.token_hex(6)
        if kind == "sqlite":
            return embedded(str(tmp_path / f"{name}.db"), retention)
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
