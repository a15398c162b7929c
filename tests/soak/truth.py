"""
The store's history, ready to be queried: the one account of what happened.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, field

from tests.soak.record import Entry, Event, Record

FOR_ALL = ""
FOR_EVER = 2**53


@dataclass(slots=True)
class Life:
    """One session in the history."""

    id: str
    actor_id: str
    sets: list[Entry] = field(default_factory=list)
    """Its creation, and then its changes."""
    unset: Entry | None = None

    @property
    def ttl_ms(self) -> int:
        """How long it lives without being extended."""
        return self.sets[0].ttl_ms if self.sets else 0

    def lived_at(self, ms: float) -> bool:
        """Whether it had not ended by then."""
        return self.unset is None or self.unset.ms > ms

    def was_over(self, ms: float, swept_by: float) -> bool:
        """
        Whether it could be taken for over: it had ended, or was overdue.

        An overdue session ends as expired, by `swept_by`.
        """
        if self.unset is None:
            return False
        is_overdue = self.unset.reason == "expired" and self.unset.ms <= swept_by
        return self.unset.ms <= ms or is_overdue

    def opened_before(self, ms: float) -> bool:
        """Whether it was created before that time."""
        return bool(self.sets) and self.sets[0].ms < ms

    def state_at(self, cursor: int) -> str:
        """What its meta and language were at a position of its actor."""
        states = [entry.state for entry in self.sets if entry.cursor <= cursor]
        return states[-1] if states else ""

    def revision_at(self, ms: int) -> int:
        """Its revision at that time; 0 before its creation."""
        return sum(entry.ms <= ms for entry in self.sets)


class Truth:
    """The sessions and events of a record, by what they are looked up by."""

    def __init__(self, record: Record) -> None:
        self.lives: dict[str, Life] = {}
        self.of_actor: defaultdict[str, list[Life]] = defaultdict(list)
        self.emitted = {
            request.number: request.cursor for request in record.requests if request.cursor
        }
        self._entries = record.history
        self._cursors = {
            actor_id: [entry.cursor for entry in entries]
            for actor_id, entries in record.history.items()
        }
        self._targets = _targets(record)
        for actor_id, entries in record.history.items():
            for entry in entries:
                if entry.kind != "app":
                    self._note(actor_id, entry)

    def _note(self, actor_id: str, entry: Entry) -> None:
        life = self.lives.get(entry.session_id)
        if life is None:
            life = self.lives[entry.session_id] = Life(entry.session_id, actor_id)
            self.of_actor[actor_id].append(life)
        if entry.kind == "set":
            life.sets.append(entry)
        elif life.unset is None:
            life.unset = entry

    def entry(self, actor_id: str, cursor: int) -> Entry | None:
        """The actor's event with this cursor."""
        cursors = self._cursors.get(actor_id, [])
        index = bisect_left(cursors, cursor)
        is_there = index < len(cursors) and cursors[index] == cursor
        return self._entries[actor_id][index] if is_there else None

    def entries(self, actor_id: str, after: int, until: int) -> list[Entry]:
        """The actor's events with after < cursor <= until, in order."""
        cursors = self._cursors.get(actor_id, [])
        start, end = bisect_right(cursors, after), bisect_right(cursors, until)
        return self._entries[actor_id][start:end] if start < end else []

    def is_for(self, life: Life, entry: Entry) -> bool:
        """Whether this event of the actor was for the session."""
        if entry.kind == "app":
            target = self._targets.get((life.actor_id, entry.cursor))
            return target in (FOR_ALL, life.id)
        return entry.session_id == life.id

    def most_live(self, actor_id: str, since: int, until: int) -> int:
        """How many sessions the actor had at most between two times."""
        live = most = 0
        for entry in self._entries.get(actor_id, ()):
            if entry.ms > until:
                break
            most = 0 if entry.ms < since else max(most, live)
            life = self.lives.get(entry.session_id)
            if life and life.sets and life.sets[0] is entry:
                live += 1
            elif life and life.unset is entry:
                live -= 1
        return max(most, live)


def _targets(record: Record) -> dict[tuple[str, int], str]:
    """
    The session that each of the application's events was for, by actor and cursor.

    One whose emission was not answered is known once any client received it.
    """
    emissions = {
        request.number: request
        for request in record.requests
        if request.kind in ("emit", "emitAll")
    }
    targets = {
        (request.actor_id, request.cursor): request.session_id
        for request in emissions.values()
        if request.cursor is not None
    }
    for connection in record.connections:
        for item in connection.log:
            if isinstance(item, Event) and item.number in emissions and item.cursor:
                emission = emissions[item.number]
                targets.setdefault((emission.actor_id, item.cursor), emission.session_id)
    return targets
