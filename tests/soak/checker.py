"""
Finds every broken promise in the record of a run. Pure: nothing is read but the record.

Five accounts are compared with each other: the store's history, what was
answered, what each connection received, what the feed had, and who was live in
the end.
"""

from collections.abc import Iterator

from tests.soak.absences import Absences
from tests.soak.bindings import bindings_of
from tests.soak.deadlines import check_deadlines
from tests.soak.deliveries import check_deliveries
from tests.soak.ends import check_ends
from tests.soak.feeds import check_feeds
from tests.soak.policies import check_policies
from tests.soak.record import Entry, Record
from tests.soak.recoveries import check_recoveries
from tests.soak.replies import Replies, check_logouts
from tests.soak.requests import Answers
from tests.soak.truth import Truth
from tests.soak.violations import Kind, Violation


def check(record: Record) -> list[Violation]:
    """Return all that is wrong."""
    truth, absences = Truth(record), Absences(record)
    answers = Answers(record, truth, absences)
    connections = [bindings_of(connection) for connection in record.connections]
    return [
        *_check_history(record),
        *_check_live(record, truth),
        *check_deadlines(record, truth, connections, absences),
        *answers.check(),
        *Replies(record, truth, absences, answers).check(),
        *check_logouts(record, truth),
        *check_ends(record, truth, connections, absences),
        *check_policies(record, truth),
        *check_deliveries(truth, connections),
        *check_recoveries(record, truth, connections),
        *check_feeds(record),
    ]


def _check_history(record: Record) -> Iterator[Violation]:
    """Find breaks in the chains of events, and sessions that were changed after their end."""
    for actor_id, entries in record.history.items():
        last, ended = 0, set[str]()
        revisions: dict[str, int] = {}
        for entry in entries:
            where = f"{actor_id}: {entry}"
            if entry.previous != last or entry.cursor <= last:
                yield Violation(Kind.OUT_OF_ORDER, f"{where} after {last}")
            last = entry.cursor
            if entry.kind != "app" and entry.session_id in ended:
                yield Violation(_after_the_end(entry), where)
            if entry.kind == "unset":
                ended.add(entry.session_id)
            if entry.kind == "set":
                revision = revisions.get(entry.session_id, 0) + 1
                if entry.revision != revision:
                    yield Violation(Kind.WRONG_STATE, f"{where} has not revision {revision}")
                revisions[entry.session_id] = revision


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
