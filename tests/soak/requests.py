"""
What a backend was answered must be so: in the history, and in every later answer.
"""

from collections.abc import Iterator

from tests.soak.absences import Absences
from tests.soak.policies import is_limit_reached
from tests.soak.record import Record, Request
from tests.soak.truth import Life, Truth
from tests.soak.violations import Kind, Violation

SWEEP_MS = 5000
"""How long an expired session may lie there before the history has its end."""


class Answers:
    """The requests of backends, and whether what they were answered is so."""

    def __init__(self, record: Record, truth: Truth, absences: Absences) -> None:
        self._record = record
        self._truth = truth
        self._absences = absences
        self._reassigned: set[str] = set()

    def check(self) -> Iterator[Violation]:
        """Find what a backend was answered and is not so."""
        for request in self._record.requests:
            if request.answered is not None:
                wrong = self._wrong(request, request.answered.ms)
                if wrong is not None:
                    yield Violation(wrong, str(request))

    def _wrong(self, request: Request, at: int) -> Kind | None:
        """What is wrong with the answer to a request, by what really happened."""
        life = self._truth.lives.get(request.session_id)
        match request.kind, request.status:
            case _, (503 | 504):
                return None
            case _, (200 | 201 | 204):
                return self._wrong_success(request, at, life)
            case "change", 409:
                return self._wrong_conflict(request, at, life)
            case (("open" | "reassign"), 409):
                actor_id = request.target or request.actor_id
                is_right = is_limit_reached(
                    self._record, self._truth, actor_id, request.at.ms, at
                )
                return None if is_right else Kind.REFUSED
            case (("end" | "emit" | "change" | "reassign"), (404 | 410)):
                return None if self.was_over(life, at) else Kind.NOBODY_ENDED
            case _:
                return Kind.FAILED

    def _wrong_success(self, request: Request, at: int, life: Life | None) -> Kind | None:
        match request.kind:
            case "open":
                opened = self._truth.lives.get(request.opened_id)
                is_so = opened is not None and bool(opened.sets)
            case "end":
                unset = life.unset if life else None
                is_so = unset is not None and unset.reason == request.reason
            case "endAll":
                is_so = self._all_ended(request, at)
            case "change":
                return _wrong_change(request, life)
            case "reassign":
                return self._wrong_reassignment(request, life)
            case _:
                entry = self._truth.entry(request.actor_id, request.cursor or 0)
                is_so = entry is not None and entry.kind == "app"
        return None if is_so else Kind.LOST

    def was_over(self, life: Life | None, ms: int) -> bool:
        """Whether a session could be taken for over at a time."""
        swept_by = self._absences.quiet_after(ms, SWEEP_MS)
        return life is not None and life.was_over(ms, swept_by)

    def _all_ended(self, request: Request, at: int) -> bool:
        """Whether the request ended as many as it said, and left none of the older ones."""
        lives = self._truth.of_actor[request.actor_id]
        ended = [life for life in lives if life.unset and life.unset.reason == request.reason]
        older = [life for life in lives if life.opened_before(request.at.ms)]
        return len(ended) == request.ended and not any(life.lived_at(at) for life in older)

    def _wrong_conflict(self, request: Request, at: int, life: Life | None) -> Kind | None:
        """A change is refused only if its revision was not the newest one all the time."""
        if life is None or request.revision is None:
            return Kind.REFUSED
        revisions = {life.revision_at(request.at.ms), life.revision_at(at)}
        return Kind.REFUSED if revisions == {request.revision} else None

    def _wrong_reassignment(self, request: Request, old: Life | None) -> Kind | None:
        new = self._truth.lives.get(request.opened_id)
        if new is None or not new.sets or old is None or old.unset is None:
            return Kind.LOST
        if request.session_id in self._reassigned:
            return Kind.DOUBLED
        self._reassigned.add(request.session_id)
        if new.actor_id != request.target or old.unset.reason != "reassigned":
            return Kind.LOST
        is_alike = new.ttl_ms == old.ttl_ms and new.sets[0].state in {
            entry.state for entry in old.sets
        }
        return None if is_alike else Kind.WRONG_STATE


def _wrong_change(request: Request, life: Life | None) -> Kind | None:
    revisions = {entry.revision: entry for entry in life.sets} if life else {}
    entry = revisions.get(request.new_revision)
    if entry is None:
        return Kind.LOST
    is_next = request.revision is None or entry.revision == request.revision + 1
    return None if is_next and entry.state == request.state else Kind.WRONG_STATE
