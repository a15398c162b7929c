"""
What was answered must be so: in the history, and in every later answer.
"""

from collections.abc import Iterator

from tests.soak.ends import Logout, logouts_of
from tests.soak.record import Answered, Asked, Connection, Heard, Record, Request
from tests.soak.truth import Life, Truth
from tests.soak.violations import Kind, Violation

PASSING = ("unavailable", "timeout")
"""Refusals after which it is unknown what happened, and nobody is to blame."""

PATIENCE_MS = 30_000
"""How long a reply may take: a command takes ten seconds at most, and machines are busy."""

SWEEP_MS = 5000
"""How long an expired session may lie there before the history tells of its end."""


def check_requests(record: Record, truth: Truth) -> Iterator[Violation]:
    """Find what a backend was answered and is not so."""
    for request in record.requests:
        if request.answered is None:
            continue
        life = truth.lives.get(request.session_id)
        wrong = _unlike(request, life, truth)
        if wrong is not None:
            yield Violation(wrong, str(request))


def _unlike(request: Request, life: Life | None, truth: Truth) -> Kind | None:
    """What is wrong with the answer to a request, by what really happened."""
    match request.kind, request.status:
        case "open", 201:
            is_so = life is not None
        case "end", 204:
            unset = life.unset if life else None
            is_so = unset is not None and unset.reason == request.reason
        case "endAll", 200:
            is_so = _all_ended(request, truth)
        case "emit" | "emitAll", 201:
            assert request.cursor is not None
            entries = truth.entries(request.actor_id, request.cursor - 1, request.cursor)
            is_so = [entry.kind for entry in entries] == ["app"]
        case "end" | "emit", 404 | 410:
            assert request.answered is not None
            is_alive = life is None or life.lived_at(request.answered.ms + SWEEP_MS)
            return Kind.NOBODY_ENDED if is_alive else None
        case _, 503 | 504:
            return None
        case _:
            return Kind.FAILED
    return None if is_so else Kind.LOST


def _all_ended(request: Request, truth: Truth) -> bool:
    """Tell whether the request ended as many as it said, and left none of the older ones."""
    assert request.answered is not None
    lives = truth.of_actor[request.actor_id]
    ended = [life for life in lives if life.unset and life.unset.reason == request.reason]
    older = [life for life in lives if life.sets and life.sets[0].ms < request.at.ms]
    return len(ended) == request.ended and not any(
        life.lived_at(request.answered.ms + SWEEP_MS) for life in older
    )


def check_commands(record: Record, truth: Truth) -> Iterator[Violation]:
    """Find what a client was answered and is not so."""
    known_ends = _known_ends(record, truth)
    for connection in record.connections:
        unanswered: Asked | None = None
        for item in connection.log:
            match item:
                case Asked():
                    unanswered = item
                case Answered():
                    unanswered = None
                    yield from _check_answer(item, connection, truth, known_ends)
        closed = connection.closed or record.read
        if unanswered and closed and closed.ms - unanswered.at.ms >= PATIENCE_MS:
            yield Violation(Kind.FAILED, f"{connection.actor_id}: no reply to {unanswered}")


def check_logouts(record: Record, truth: Truth) -> Iterator[Violation]:
    """Find sessions that outlived a logout that was granted."""
    for actor_id, logouts in logouts_of(record).items():
        for logout in logouts:
            if logout.granted is None:
                continue
            for life in truth.of_actor[actor_id]:
                outlived = life.lived_at(logout.granted.ms + SWEEP_MS)
                if outlived and _has_ended(logout, life, truth, logouts):
                    yield Violation(Kind.LOST, f"{life.id} outlived {logout}")


def _has_ended(logout: Logout, life: Life, truth: Truth, all_: list[Logout]) -> bool:
    """Tell whether a granted logout must have ended the session, if nothing did before."""
    asked = logout.asked
    if life.id == asked.session_id:
        return asked.scope != "others"
    asking = truth.lives.get(asked.session_id)
    is_older = bool(life.sets) and life.sets[0].ms < asked.at.ms
    if asking is None or logout.granted is None or not is_older or not logout.names(life):
        return False
    # A session that has ended already can end no others: was it live then, for certain?
    if asking.lived_at(logout.granted.ms):
        return True
    return [other for other in all_ if other.may_have_ended(asking)] == [logout]


def _known_ends(record: Record, truth: Truth) -> dict[str, int]:
    """From which moment of the run on each session was known to have ended."""
    known: dict[str, int] = {}
    for session_id, order in (*_ended_by_requests(record, truth), *_ended_for_clients(record)):
        known[session_id] = min(order, known.get(session_id, order))
    return known


def _ended_by_requests(record: Record, truth: Truth) -> Iterator[tuple[str, int]]:
    for request in record.requests:
        if request.answered is not None and request.status in (200, 204):
            for life in truth.of_actor[request.actor_id]:
                if life.unset is not None and life.unset.reason == request.reason:
                    yield life.id, request.answered.order


def _ended_for_clients(record: Record) -> Iterator[tuple[str, int]]:
    for connection in record.connections:
        for item in connection.log:
            match item:
                case Heard(name="session.unset"):
                    yield item.session_id, item.at.order
                case Answered(error=None, asked=Asked(scope="this" | "all")):
                    yield item.asked.session_id, item.at.order


def _check_answer(
    item: Answered, connection: Connection, truth: Truth, known_ends: dict[str, int]
) -> Iterator[Violation]:
    told = f"a connection of {connection.actor_id} was told {item}"
    session_id = item.session_id or item.asked.session_id
    life = truth.lives.get(session_id)
    if item.error in PASSING:
        return
    match item.asked.method, item.error:
        case "session.login" | "session.restore" | "session.isValid", None:
            sets = life.sets if life else ()
            if item.cursor and not any(entry.cursor == item.cursor for entry in sets):
                yield Violation(Kind.LOST, told)
            sent = item.asked.at.order
            if known_ends.get(session_id, sent) < sent:
                yield Violation(Kind.STILL_ALIVE, told)
        case "session.isValid" | "session.restore", str(error):
            yield from _check_refusal(error, life, told)
        case "session.list", None:
            yield from _check_list(item, connection, truth, known_ends)
        case "session.list", "noSession":
            if life is None or life.lived_at(item.at.ms):
                yield Violation(Kind.NOBODY_ENDED, told)
        case _, str():
            yield Violation(Kind.FAILED, told)


def _check_refusal(error: str, life: Life | None, told: str) -> Iterator[Violation]:
    if error in ("internal", "invalidParams", "invalidSessionKey", "unknownCommand"):
        yield Violation(Kind.FAILED, told)
    elif error == "noSession" or life is None:
        yield Violation(Kind.LOST, told)
    elif life.unset is None:
        yield Violation(Kind.NOBODY_ENDED, told)
    elif error != life.unset.reason:
        yield Violation(Kind.WRONG_REASON, f"{told}, not {life.unset.reason}")


def _check_list(
    item: Answered, connection: Connection, truth: Truth, known_ends: dict[str, int]
) -> Iterator[Violation]:
    sent = item.asked.at
    told = f"a connection of {connection.actor_id} was listed"
    for session_id in item.listed:
        if known_ends.get(session_id, sent.order) < sent.order:
            yield Violation(Kind.STILL_ALIVE, f"{told} {session_id}")
    for life in truth.of_actor[connection.actor_id]:
        is_older = bool(life.sets) and life.sets[0].ms < sent.ms
        if is_older and life.lived_at(item.at.ms + SWEEP_MS) and life.id not in item.listed:
            yield Violation(Kind.NOBODY_ENDED, f"{told} all but {life.id}")
