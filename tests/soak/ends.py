"""
Why each session ended: somebody asked for it, or its time was over.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tests.soak.record import Answered, Asked, Moment, Record, Request
from tests.soak.stays import Stay
from tests.soak.truth import FOR_EVER, Life, Truth
from tests.soak.violations import Kind, Violation


@dataclass(frozen=True, slots=True)
class Logout:
    """A client's wish to end sessions of its actor, and when it was granted."""

    asked: Asked
    actor_id: str
    granted: Moment | None

    def names(self, life: Life) -> bool:
        """Tell whether it would end this session."""
        if self.asked.scope == "others":
            return life.id != self.asked.session_id
        return self.asked.scope == "all" or life.id == self.asked.session_id

    def may_have_ended(self, life: Life) -> bool:
        """Tell whether it was this that ended the session."""
        if life.unset is None or life.unset.reason != "loggedOut" or not self.names(life):
            return False
        until = FOR_EVER if self.granted is None else self.granted.ms
        return self.asked.at.ms <= life.unset.ms <= until


def logouts_of(record: Record) -> dict[str, list[Logout]]:
    """Every logout that may have been carried out, by actor."""
    found: defaultdict[str, list[Logout]] = defaultdict(list)
    for connection in record.connections:
        answers = {
            id(item.asked): item for item in connection.log if isinstance(item, Answered)
        }
        for item in connection.log:
            if isinstance(item, Asked) and item.method == "session.logout":
                answer = answers.get(id(item))
                granted = answer.at if answer is not None and answer.error is None else None
                found[connection.actor_id].append(Logout(item, connection.actor_id, granted))
    return found


def check_ends(record: Record, truth: Truth, stays: list[Stay]) -> Iterator[Violation]:
    """Find sessions that ended though nobody ended them and their time was not over."""
    logouts = logouts_of(record)
    requests = {request.reason: request for request in record.requests if request.reason}
    held = _held(stays)
    for life in truth.lives.values():
        if life.unset is None:
            continue
        match life.unset.reason:
            case "loggedOut":
                wishes = logouts.get(life.actor_id, ())
                is_explained = any(logout.may_have_ended(life) for logout in wishes)
            case "expired":
                is_explained = _was_over(life, held[life.id])
            case reason:
                is_explained = _asked_for(requests.get(reason), life)
        if not is_explained:
            yield Violation(Kind.NOBODY_ENDED, f"{life.id}: {life.unset}")


def _held(stays: list[Stay]) -> defaultdict[str, list[tuple[int, float]]]:
    """From when to when each session was held, by its id: once for each stay."""
    held: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    for stay in stays:
        if stay.opened is not None:
            closed = float("inf") if stay.closed is None else stay.closed.ms
            held[stay.session_id].append((stay.opened.at.ms, closed))
    return held


def _was_over(life: Life, held: list[tuple[int, float]]) -> bool:
    """Tell whether it had its ttl since it was restored, and nobody held it for so long."""
    assert life.unset is not None
    if not life.sets or life.unset.ms < life.sets[-1].ms + life.ttl_ms:
        return False
    since, until = life.unset.ms - life.ttl_ms, life.unset.ms
    return not any(start <= since and until <= end for start, end in held)


def _asked_for(request: Request | None, life: Life) -> bool:
    if request is None or request.actor_id != life.actor_id:
        return False
    return request.kind == "endAll" or request.session_id == life.id
