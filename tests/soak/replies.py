"""
What a client was answered must be so: in the history, and in every later answer.
"""

from collections.abc import Iterator

from tests.soak.absences import Absences
from tests.soak.ends import Logout, logouts_of
from tests.soak.policies import is_limit_reached
from tests.soak.record import Command, Connection, Event, Record, Reply
from tests.soak.requests import Answers
from tests.soak.truth import Life, Truth
from tests.soak.violations import Kind, Violation

PASSING = ("unavailable", "timeout")
"""Refusals after which it is unknown what happened, and nobody is to blame."""

PATIENCE_MS = 30_000
"""How long a reply may take: a command takes ten seconds at most, and machines are busy."""


class Replies:
    """The commands of clients, and whether what they were answered is so."""

    def __init__(
        self, record: Record, truth: Truth, absences: Absences, answers: Answers
    ) -> None:
        self._record = record
        self._truth = truth
        self._absences = absences
        self._answers = answers
        self._known_ends = _known_ends(record, truth)

    def check(self) -> Iterator[Violation]:
        """Find what a client was answered and is not so."""
        for connection in self._record.connections:
            unanswered: Command | None = None
            for item in connection.log:
                match item:
                    case Command():
                        unanswered = item
                    case Reply():
                        unanswered = None
                        yield from self._check_reply(item)
            if unanswered is not None:
                yield from self._check_silence(connection, unanswered)

    def _check_silence(self, connection: Connection, command: Command) -> Iterator[Violation]:
        closed = connection.closed or self._record.read
        if closed is not None:
            waited = closed.ms - command.at.ms
            waited -= self._absences.overlap(command.at.ms, closed.ms)
            if waited >= PATIENCE_MS:
                yield Violation(Kind.FAILED, f"no reply to {command}")

    def _check_reply(self, item: Reply) -> Iterator[Violation]:
        where = f"a connection received {item}"
        life = self._truth.lives.get(item.session_id or item.command.session_id)
        if item.error in PASSING:
            return
        match item.command.method, item.error:
            case (("session.login" | "session.restore" | "session.isValid"), None):
                yield from self._check_live(item, life, where)
            case (("session.isValid" | "session.restore"), str(error)):
                yield from _check_refusal(error, life, where)
            case "session.list", None:
                yield from self._check_list(item)
            case _, str(error):
                wrong = self._wrong_refusal(item, error, life)
                if wrong is not None:
                    yield Violation(wrong, where)

    def _wrong_refusal(self, item: Reply, error: str, life: Life | None) -> Kind | None:
        command = item.command
        match command.method, error:
            case "session.login", "sessionLimit":
                is_right = is_limit_reached(
                    self._record, self._truth, command.actor_id, command.at.ms, item.at.ms
                )
                return None if is_right else Kind.REFUSED
            case (("session.list" | "session.logout"), "noSession") if command.scope != "this":
                was_over = self._answers.was_over(life, item.at.ms)
                return None if was_over else Kind.NOBODY_ENDED
            case _:
                return Kind.FAILED

    def _check_live(self, item: Reply, life: Life | None, where: str) -> Iterator[Violation]:
        if life is None or not life.sets:
            yield Violation(Kind.LOST, where)
        elif self._known_ends.get(life.id, item.command.at.order) < item.command.at.order:
            yield Violation(Kind.STILL_ALIVE, where)

    def _check_list(self, item: Reply) -> Iterator[Violation]:
        sent = item.command.at
        where = f"a connection of {item.command.actor_id} was listed"
        for session_id in item.listed:
            if self._known_ends.get(session_id, sent.order) < sent.order:
                yield Violation(Kind.STILL_ALIVE, f"{where} {session_id}")
        for life in self._truth.of_actor[item.command.actor_id]:
            is_live = not self._answers.was_over(life, item.at.ms)
            if life.opened_before(sent.ms) and is_live and life.id not in item.listed:
                yield Violation(Kind.NOBODY_ENDED, f"{where} all but {life.id}")


def check_logouts(record: Record, truth: Truth) -> Iterator[Violation]:
    """Find sessions that outlived a logout that was granted."""
    for actor_id, logouts in logouts_of(record).items():
        for logout in logouts:
            for life in truth.of_actor[actor_id]:
                if _must_have_ended(logout, life):
                    yield Violation(Kind.LOST, f"{life.id} outlived {logout}")


def _must_have_ended(logout: Logout, life: Life) -> bool:
    """Whether a session lived on that had to end with a logout that was granted."""
    if logout.granted is None or not logout.names(life):
        return False
    return life.opened_before(logout.command.at.ms) and life.lived_at(logout.granted.ms)


def _known_ends(record: Record, truth: Truth) -> dict[str, int]:
    """From which moment of the run on each session was known to have ended."""
    known: dict[str, int] = {}
    ends = (
        *_ended_by_requests(record, truth),
        *_ended_for_clients(record),
        *_replaced(record, truth),
    )
    for session_id, order in ends:
        known[session_id] = min(order, known.get(session_id, order))
    return known


def _ended_by_requests(record: Record, truth: Truth) -> Iterator[tuple[str, int]]:
    for request in record.requests:
        if request.answered is None:
            continue
        if request.kind == "reassign" and request.status == 201:
            yield request.session_id, request.answered.order
        if request.status in (200, 204) and request.reason:
            for life in truth.of_actor[request.actor_id]:
                if life.unset is not None and life.unset.reason == request.reason:
                    yield life.id, request.answered.order


def _ended_for_clients(record: Record) -> Iterator[tuple[str, int]]:
    for connection in record.connections:
        for item in connection.log:
            match item:
                case Event(name="session.unset"):
                    yield item.session_id, item.at.order
                case Reply(error=None, command=Command(scope="this" | "all")):
                    yield item.command.session_id, item.at.order


def _replaced(record: Record, truth: Truth) -> Iterator[tuple[str, int]]:
    """A session has ended when it is known that there is the one that replaced it."""
    opened = {
        request.opened_id: request.answered.order
        for request in record.requests
        if request.answered is not None
    }
    for connection in record.connections:
        for item in connection.log:
            if isinstance(item, Reply) and item.command.method == "session.login":
                opened[item.session_id] = item.at.order
    for life in truth.lives.values():
        if life.unset is not None and life.unset.by and life.unset.by in opened:
            yield life.id, opened[life.unset.by]


def _check_refusal(error: str, life: Life | None, where: str) -> Iterator[Violation]:
    if error in ("internal", "invalidParams", "invalidSessionKey", "unknownCommand"):
        yield Violation(Kind.FAILED, where)
    elif error == "noSession" or life is None:
        yield Violation(Kind.LOST, where)
    elif life.unset is None:
        yield Violation(Kind.NOBODY_ENDED, where)
    elif error != life.unset.reason:
        yield Violation(Kind.WRONG_REASON, f"{where}, not {life.unset.reason}")
