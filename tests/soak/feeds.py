"""
The feed of all sessions, compared with the histories: each creation, change and end once.
"""

from collections.abc import Iterator

from tests.soak.record import FeedItem, Record
from tests.soak.violations import Kind, Violation


def check_feeds(record: Record) -> Iterator[Violation]:
    """Find entries that are missing, doubled, or out of the order of their actor."""
    if record.feeds_lost:
        yield Violation(Kind.MISSED, f"the feed was lost {record.feeds_lost} times")
    expected = {
        (actor_id, entry.cursor)
        for actor_id, entries in record.history.items()
        for entry in entries
        if entry.kind != "app"
    }
    for number, items in enumerate(record.feeds):
        yield from _check_feed(f"reader {number} of the feed", items, expected)


def _check_feed(
    reader: str, items: list[FeedItem], expected: set[tuple[str, int]]
) -> Iterator[Violation]:
    newest: dict[str, int] = {}
    seen: set[tuple[str, int]] = set()
    for item in items:
        at, last = (item.actor_id, item.cursor), newest.get(item.actor_id, 0)
        if at in seen:
            yield Violation(Kind.DOUBLED, f"{reader} received {item}")
        elif item.cursor < last:
            yield Violation(Kind.OUT_OF_ORDER, f"{reader} received {item} after {last}")
        elif at not in expected:
            yield Violation(Kind.FOREIGN, f"{reader} received {item}")
        seen.add(at)
        newest[item.actor_id] = max(last, item.cursor)
    for actor_id, cursor in expected - seen:
        yield Violation(Kind.MISSED, f"{reader} was not sent {cursor} of {actor_id}")
