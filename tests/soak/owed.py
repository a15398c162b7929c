"""
What each connection heard, against what it was owed.

During a stay the connection is owed every event of the session that it is
subscribed to, from the cursor that it came with, or else from its own opening
on, once and in order.
"""

from collections.abc import Collection, Iterator

from tests.soak.record import Entry, Record
from tests.soak.stays import Stay
from tests.soak.truth import FOR_EVER, Life, Truth
from tests.soak.violations import Kind, Violation

SLACK = 16
"""Events that may come between a restore and its reading of the history."""


def check_stays(record: Record, truth: Truth, stays: list[Stay]) -> Iterator[Violation]:
    """Find what was missed, doubled, out of order, or meant for others."""
    for stay in stays:
        life = truth.lives.get(stay.session_id)
        if life is not None and not stay.is_refused:
            yield from _check_stay(record, truth, stay, life)
        elif stay.heard:
            yield Violation(Kind.NOT_ITS_OWN, f"{stay} heard {stay.heard[0]}")


def _check_stay(record: Record, truth: Truth, stay: Stay, life: Life) -> Iterator[Violation]:
    yield from _check_recovery(record, truth, stay, life)
    yield from _check_words(stay, life, truth)
    heard = [event.cursor for event in stay.heard if event.cursor is not None]
    low = _low(record, truth, stay, life)
    high = _high(stay, life, heard)
    own = {
        entry.cursor: entry
        for entry in truth.entries(life.actor_id, low, max([high, *heard]))
        if truth.is_for(life, entry)
    }
    yield from _check_order(stay, heard, low, own)
    opened = stay.opened
    for cursor in own.keys() - {*stay.shared, *heard}:
        if cursor <= high and _is_owed(stay, life, own[cursor]):
            is_replay = opened and opened.recovered and cursor < (opened.cursor or 0)
            kind = Kind.HOLE if is_replay else Kind.MISSED
            yield Violation(kind, f"{stay} was not sent {own[cursor]}")


def _is_owed(stay: Stay, life: Life, entry: Entry) -> bool:
    if entry.kind != "app":
        return True
    # What the actor was told before the session was opened is not promised to it.
    is_new = entry.cursor > life.sets[0].cursor and entry.cursor not in stay.told
    return stay.connection.hears_app and is_new


def _high(stay: Stay, life: Life, heard: list[int]) -> int:
    """The cursor up to which all events are owed."""
    if stay.closed is None:
        return FOR_EVER
    if stay.is_logged_out and life.unset is not None:
        return life.unset.cursor
    # The reply tells of its own event, which comes first.
    opening = stay.opened.cursor if stay.opened else None
    return max([*heard, opening or 0])


def _low(record: Record, truth: Truth, stay: Stay, life: Life) -> int:
    """The cursor after which all events are owed."""
    after, opened = stay.opening.after, stay.opened
    first = min((event.cursor for event in stay.heard if event.cursor), default=0)
    if opened is None or opened.cursor is None:
        can_be_replayed = after is not None and after >= stay.newest
        is_recovered = can_be_replayed and _is_remembered(
            record, truth, life, after or 0, first
        )
    else:
        is_recovered, first = opened.recovered, opened.cursor
    return after if is_recovered and after is not None else first - 1


def _is_remembered(record: Record, truth: Truth, life: Life, after: int, until: int) -> bool:
    count = truth.count(life.actor_id, after, until)
    return after > 0 and count < record.history_events - SLACK


def _check_recovery(
    record: Record, truth: Truth, stay: Stay, life: Life
) -> Iterator[Violation]:
    after, opened = stay.opening.after, stay.opened
    if opened is None or opened.cursor is None or after is None or opened.recovered:
        return
    if after >= stay.newest and _is_remembered(record, truth, life, after, opened.cursor):
        yield Violation(Kind.NOT_RECOVERED, f"{stay} came with {after}: {opened}")


def _check_order(
    stay: Stay, heard: list[int], low: int, own: Collection[int]
) -> Iterator[Violation]:
    seen: set[int] = set()
    last = low
    for cursor in heard:
        where = f"{stay} heard {cursor} after {last}"
        if cursor in seen or cursor <= low:
            yield Violation(Kind.DOUBLED, where)
        elif cursor not in own:
            yield Violation(Kind.NOT_ITS_OWN, where)
        elif cursor < last:
            yield Violation(Kind.OUT_OF_ORDER, where)
        seen.add(cursor)
        last = max(last, cursor)
    for cursor in {each for each in stay.shared if stay.shared.count(each) > 1}:
        yield Violation(Kind.DOUBLED, f"{stay} heard {cursor} while it moved")


def _check_words(stay: Stay, life: Life, truth: Truth) -> Iterator[Violation]:
    """Look at what the events said."""
    for event in stay.heard:
        kind: Kind | None = None
        if event.number is not None:
            at = truth.emitted.get(event.number, event.cursor)
            is_its_own = stay.connection.hears_app and at == event.cursor
            kind = None if is_its_own else Kind.NOT_ITS_OWN
        elif event.session_id != life.id:
            kind = Kind.NOT_ITS_OWN
        elif event.name == "session.set":
            # Without a cursor it fills a hole that the store itself has forgotten.
            kind = Kind.MISSED if event.cursor is None else None
        elif life.unset is None:
            kind = Kind.NOBODY_ENDED
        elif event.reason != life.unset.reason:
            kind = Kind.WRONG_REASON
        if kind is not None:
            yield Violation(kind, f"{stay} heard {event}")
