"""
What can be wrong.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Which promise was broken."""

    MISSED = "event missed"
    DOUBLED = "event doubled"
    OUT_OF_ORDER = "event out of order"
    FOREIGN = "event that was not for it"
    HOLE = "recovered with a hole"
    NOT_RECOVERED = "not recovered without need"
    LOST = "answered change lost"
    STILL_ALIVE = "ended session alive"
    NOBODY_ENDED = "session ended that nobody ended"
    WRONG_REASON = "wrong reason"
    WRONG_STATE = "wrong state"
    OVER_LIMIT = "more sessions than the policy allows"
    REFUSED = "refused without need"
    FAILED = "the server failed"


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise; the text says whose, and where."""

    kind: Kind
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"
