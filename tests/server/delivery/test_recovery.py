"""
`delivery/recovery.py`: what a connection is sent when it comes back, against an oracle
that knows exactly what it was sent before.
"""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from keystay_server.delivery.payloads import is_about
from keystay_server.delivery.recovery import NOTHING_SENT, Past, Recovery, recover
from keystay_server.stores.events import (
    Change,
    Emitted,
    History,
    SessionSet,
    SessionUnset,
    StoredEvent,
)
from keystay_server.stores.records import Record

SESSIONS = ("one", "two", "three")
EVERYTHING = 1_000_000


def record(session_id: str) -> Record:
    """A session; what is in it does not matter here."""
    return Record(session_id, "alice", b"\x80", "en", None, 0, 1000, None, 1000)


def said(session_id: str | None, size: int = 1) -> Emitted:
    """An event of so many bytes, for one session or for all."""
    return Emitted(session_id, "game.move", b"x" * size)


def size_of(of: StoredEvent) -> int:
    """Bytes that an event takes: the connection is subscribed to what is said alone."""
    return len(of.change.data) if isinstance(of.change, Emitted) else 0


@dataclass(slots=True)
class ActorLog:
    """What happened to the actor, with cursors that have gaps between them."""

    events: list[StoredEvent] = field(default_factory=list)

    @property
    def newest(self) -> int:
        """The cursor of the newest event."""
        return self.events[-1].cursor if self.events else 0

    def append(self, change: Change) -> StoredEvent:
        """Something happens."""
        new = StoredEvent("alice", self.newest + 10, self.newest, change)
        self.events.append(new)
        return new

    def history(self, after: int, kept: int) -> History:
        """What a store returns that has kept so many events."""
        remembered = self.events[max(0, len(self.events) - kept) :]
        floor = remembered[0].previous if remembered else self.newest
        events = [each for each in remembered if each.cursor > after]
        return History(events, floor <= after <= self.newest)


# The oracle.


@dataclass(frozen=True, slots=True)
class Step:
    """The connection restores a session, is bound for a while, and then for a while not."""

    session_id: str
    after: int | None
    """How many events the client claims not to have seen; None: it says nothing of that."""
    kept: int
    max_bytes: int
    bound: list[Change]
    """What happens while it is bound."""
    unbound: list[Change]
    since: int
    """By how many events the past is taken for shorter than it was."""
    is_position_late: bool
    """Whether the position is that of the actor, or of the last event that was sent."""


SESSION_IDS = st.sampled_from(SESSIONS)
CHANGES = st.one_of(
    st.builds(said, st.none() | SESSION_IDS, st.integers(0, 4)),
    SESSION_IDS.map(lambda id_: SessionSet(record(id_))),
    SESSION_IDS.map(lambda id_: SessionUnset(id_, "revoked")),
)
STEPS = st.builds(
    Step,
    session_id=SESSION_IDS,
    after=st.none() | st.integers(0, 8),
    kept=st.just(100) | st.integers(0, 12),
    max_bytes=st.just(100) | st.integers(0, 12),
    bound=st.lists(CHANGES, max_size=3),
    unbound=st.lists(CHANGES, max_size=3),
    since=st.integers(0, 3),
    is_position_late=st.booleans(),
)


class Oracle:
    """A connection, and each event that it was sent."""

    def __init__(self) -> None:
        self.log = ActorLog()
        self.sent: list[int] = []
        self.past = NOTHING_SENT
        self.replayed = 0

    def take(self, step: Step) -> None:
        """Restore, check what is sent, and let happen what happens then."""
        after = None if step.after is None else max(0, self.log.newest - 10 * step.after)
        missed = None if after is None else self.log.history(after, step.kept)
        cursor = self.log.newest
        recovery = recover(step.session_id, cursor, missed, self.past, size_of, step.max_bytes)
        self.check(step, after, missed, recovery)
        self.replayed += len(recovery.replay)
        self.sent += [each.cursor for each in recovery.replay]
        for change in step.bound:
            new = self.log.append(change)
            if is_about(change, step.session_id):
                self.sent.append(new.cursor)
        self.past = self.true_past(step, cursor)
        for change in step.unbound:
            self.log.append(change)

    def check(
        self, step: Step, after: int | None, missed: History | None, recovery: Recovery
    ) -> None:
        """What is sent is in order, once and bounded; and if it says so, that is all."""
        replay = [each.cursor for each in recovery.replay]
        assert [*self.sent, *replay] == sorted({*self.sent, *replay}), "in order, each once"
        assert all(is_about(each.change, step.session_id) for each in recovery.replay)
        assert sum(map(size_of, recovery.replay)) <= step.max_bytes
        if after is None or missed is None or not missed.complete:
            assert recovery == Recovery([], is_recovered=False)
            return
        owed = [
            each
            for each in self.log.events
            if each.cursor > after and is_about(each.change, step.session_id)
        ]
        unsent = [each for each in owed if each.cursor not in self.sent]
        if recovery.is_recovered:
            assert replay == [each.cursor for each in unsent], "without a hole"
            return
        assert replay == []
        # Not for nothing: something cannot be sent, or is not known to have been.
        is_known = all(
            each in unsent or self.past.since < each.cursor <= self.past.position
            for each in owed
        )
        is_late = any(each.cursor <= self.past.position for each in unsent)
        is_much = sum(map(size_of, unsent)) > step.max_bytes
        assert is_late or is_much or not is_known

    def true_past(self, step: Step, cursor: int) -> Past:
        """Something true of what the connection was sent under this session."""
        newest = self.sent[-1] if self.sent else 0
        position = max(cursor, newest, self.log.newest if step.is_position_late else 0)
        since = position
        for each in reversed(self.log.events):
            is_sent = each.cursor in self.sent or not is_about(each.change, step.session_id)
            if each.cursor <= position and not is_sent:
                break
            since = min(since, each.previous)
        return Past(step.session_id, min(since + 10 * step.since, position), position)


@given(st.lists(STEPS, min_size=1, max_size=8))
@settings(
    max_examples=500,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_a_connection_is_sent_what_it_missed_once_and_in_order(steps: list[Step]) -> None:
    """Whatever sessions it goes through, and whatever it claims to have seen."""
    oracle = Oracle()
    for step in steps:
        oracle.take(step)
    event(f"replayed {min(oracle.replayed, 3)}")


# What the oracle would not notice if it had no cases of it.


def recovered(
    log: ActorLog,
    session_id: str,
    after: int | None,
    past: Past = NOTHING_SENT,
    *,
    kept: int = 100,
    max_bytes: int = EVERYTHING,
) -> list[int] | None:
    """The cursors of what is replayed; None if the connection is not recovered."""
    missed = None if after is None else log.history(after, kept)
    recovery = recover(session_id, log.newest, missed, past, size_of, max_bytes)
    assert recovery.is_recovered or recovery.replay == []
    return [each.cursor for each in recovery.replay] if recovery.is_recovered else None


@pytest.fixture
def log() -> ActorLog:
    """Four events: to one, to all, to two, to one."""
    made = ActorLog()
    for session_id in ("one", None, "two", "one"):
        made.append(said(session_id))
    return made


def test_a_new_connection_is_sent_what_it_missed(log: ActorLog) -> None:
    """Of its session and of its actor, after the cursor that it names."""
    assert recovered(log, "one", 0) == [10, 20, 40]
    assert recovered(log, "one", 10) == [20, 40]
    assert recovered(log, "two", 15) == [20, 30]
    assert recovered(log, "two", 40) == []


def test_without_a_cursor_nothing_is_recovered(log: ActorLog) -> None:
    """The client does not say what it has seen."""
    assert recovered(log, "one", None) is None


def test_what_the_store_forgot_is_not_recovered(log: ActorLog) -> None:
    """Neither is anything where the history does not reach back, or never was."""
    assert recovered(log, "one", 10, kept=2) is None
    assert recovered(log, "one", 20, kept=2) == [40]
    assert recovered(log, "one", 50) is None


def test_what_was_sent_is_not_sent_again(log: ActorLog) -> None:
    """To a connection that names an older cursor than the newest it was sent."""
    assert recovered(log, "one", 0, Past("one", 0, 20)) == [40]
    assert recovered(log, "one", 0, Past("one", 0, 40)) == []


def test_what_was_sent_to_the_actor_counts_under_any_session(log: ActorLog) -> None:
    """It has not been missed by a connection that was bound to another session."""
    assert recovered(log, "two", 15, Past("one", 10, 20)) == [30]
    assert recovered(log, "two", 15, Past("one", 20, 20)) is None


def test_what_is_older_than_what_was_sent_stays_away(log: ActorLog) -> None:
    """The event of the other session would come after a newer one."""
    assert recovered(log, "two", 0, Past("one", 0, 40)) is None
    assert recovered(log, "one", 0, Past("one", 10, 20)) is None


def test_events_beyond_the_restore_are_not_replayed(log: ActorLog) -> None:
    """They are delivered as they come."""
    recovery = recover("one", 20, log.history(0, 100), NOTHING_SENT, size_of, EVERYTHING)
    assert [each.cursor for each in recovery.replay] == [10, 20]


def test_a_replay_is_bounded_by_what_is_sent(log: ActorLog) -> None:
    """Events of other sessions, and those not subscribed to, take no room."""
    log.append(said("two", 1000))
    log.append(SessionSet(record("one")))
    assert recovered(log, "one", 0, max_bytes=3) == [10, 20, 40, 60]
    assert recovered(log, "one", 0, max_bytes=2) is None
