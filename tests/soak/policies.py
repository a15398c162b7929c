"""
How many sessions an actor may have, and which of them is replaced by one more.
"""

from collections.abc import Iterator

from tests.soak.record import Entry, Record
from tests.soak.truth import FOR_EVER, Truth
from tests.soak.violations import Kind, Violation


def check_policies(record: Record, truth: Truth) -> Iterator[Violation]:
    """Find sessions that are too many, and such as were replaced without need."""
    for actor_id, entries in record.history.items():
        yield from _check_actor(record, truth, actor_id, entries)


def _check_actor(
    record: Record, truth: Truth, actor_id: str, entries: list[Entry]
) -> Iterator[Violation]:
    policy = record.policy
    limit = FOR_EVER if policy.limit is None else policy.limit
    live: dict[str, None] = {}  # The oldest session first.
    replaced: list[Entry] = []  # Those that have to make room for the next one.
    for entry in entries:
        life = truth.lives.get(entry.session_id)
        is_creation = life is not None and bool(life.sets) and life.sets[0] is entry
        if entry.reason == "replaced":
            is_due = not policy.is_strict and len(live) >= limit
            if not is_due or entry.session_id != next(iter(live), ""):
                yield Violation(Kind.NOBODY_ENDED, f"{actor_id}: {entry}, of {list(live)}")
            replaced.append(entry)
        elif replaced:
            successors = {each.by for each in replaced}
            replaced = []
            if not is_creation or successors != {entry.session_id} or len(live) < limit - 1:
                yield Violation(Kind.NOBODY_ENDED, f"{actor_id}: {successors}, and {entry}")
        if is_creation:
            live[entry.session_id] = None
            if len(live) > limit:
                yield Violation(Kind.OVER_LIMIT, f"{actor_id}: {entry} beside {list(live)}")
        elif entry.kind == "unset":
            live.pop(entry.session_id, None)


def is_limit_reached(
    record: Record, truth: Truth, actor_id: str, since: int, until: int
) -> bool:
    """Whether a session could be refused between two times."""
    policy = record.policy
    if policy.limit is None or not policy.is_strict:
        return False
    return truth.most_live(actor_id, since, until) >= policy.limit
