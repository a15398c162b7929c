"""
Finds every broken promise in the record of a run. Pure: nothing is read but the record.

Four accounts are held against each other: the store's history, what was
answered, what each connection heard, and who was live in the end.
"""

from collections.abc import Iterator

from tests.soak.answers import SWEEP_MS, check_commands, check_logouts, check_requests
from tests.soak.ends import check_ends
from tests.soak.owed import check_stays
from tests.soak.record import Entry, Record
from tests.soak.stays import Stay, stays_of
from tests.soak.truth import Truth
from tests.soak.violations import Kind, Violation


def check(record: Record) -> list[Violation]:
    """Return all that is wrong."""
    truth = Truth(record)
    stays = [stay for connection in record.connections for stay in stays_of(connection)]
    return [
        *_check_history(record),
        *_check_live(record, truth),
        *_check_deadlines(record, truth, stays),
        *check_requests(record, truth),
        *check_commands(record, truth),
        *check_logouts(record, truth),
        *check_ends(record, truth, stays),
        *check_stays(record, truth, stays),
    ]


def _check_history(record: Record) -> Iterator[Violation]:
    """Find breaks in the chains of events, and sessions that were changed after their end."""
    for actor_id, entries in record.history.items():
        last, ended = 0, set[str]()
        for entry in entries:
            if entry.previous != last or entry.cursor <= last:
                yield Violation(Kind.OUT_OF_ORDER, f"{actor_id}: {entry} after {last}")
            last = entry.cursor
            if entry.kind != "app" and entry.session_id in ended:
                yield Violation(_after_the_end(entry), f"{actor_id}: {entry}")
            if entry.kind == "unset":
                ended.add(entry.session_id)


def _after_the_end(entry: Entry) -> Kind:
    return Kind.STILL_ALIVE if entry.kind == "set" else Kind.DOUBLED


def _check_live(record: Record, truth: Truth) -> Iterator[Violation]:
    """Compare those that were live in the end with the history."""
    for actor_id, live in record.live.items():
        by_history = {life.id for life in truth.of_actor[actor_id] if life.unset is None}
        for session_id in live - by_history:
            is_known = session_id in truth.lives
            kind = Kind.STILL_ALIVE if is_known else Kind.LOST
            yield Violation(kind, f"{session_id} of {actor_id} is live")
        for session_id in by_history - live:
            yield Violation(Kind.NOBODY_ENDED, f"{session_id} of {actor_id} is not live")


def _check_deadlines(record: Record, truth: Truth, stays: list[Stay]) -> Iterator[Violation]:
    """Find sessions that live on though their time is over and nobody holds them."""
    if record.read is None:
        return
    last_held: dict[str, float] = {}
    for stay in stays:
        closed = float("inf") if stay.closed is None else stay.closed.ms
        last_held[stay.session_id] = max(closed, last_held.get(stay.session_id, 0))
    for life in truth.lives.values():
        if life.unset is None and life.sets:
            last_use = max(life.sets[-1].ms, last_held.get(life.id, 0))
            if last_use + life.ttl_ms + SWEEP_MS < record.read.ms:
                yield Violation(Kind.STILL_ALIVE, f"{life.id} was due at {last_use}")
