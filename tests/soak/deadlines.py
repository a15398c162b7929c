"""
Sessions that live on though their time is over and nobody holds them.
"""

from collections.abc import Iterator, Sequence

from tests.soak.absences import Absences
from tests.soak.bindings import Bindings
from tests.soak.record import Record
from tests.soak.requests import SWEEP_MS
from tests.soak.truth import Truth
from tests.soak.violations import Kind, Violation


def check_deadlines(
    record: Record, truth: Truth, connections: Sequence[Bindings], absences: Absences
) -> Iterator[Violation]:
    """Find sessions that should have expired before the record was read."""
    if record.read is None:
        return
    used = _last_uses(connections)
    for life in truth.lives.values():
        if life.unset is None and life.sets:
            last_use = max(life.sets[0].ms, used.get(life.id, 0))
            # What was away could not extend it before it was back, nor end it.
            due = absences.quiet_after(last_use, 0) + life.ttl_ms
            if absences.quiet_after(due, SWEEP_MS) < record.read.ms:
                yield Violation(Kind.STILL_ALIVE, f"{life.id} was last used at {last_use}")


def _last_uses(connections: Sequence[Bindings]) -> dict[str, float]:
    """When each session may have been extended for the last time, by its id."""
    last: dict[str, float] = {}
    for bindings in connections:
        for binding in bindings.all:
            closed = float("inf") if binding.closed is None else binding.closed.ms
            last[binding.session_id] = max(closed, last.get(binding.session_id, 0))
    return last
