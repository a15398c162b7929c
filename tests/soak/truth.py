"""
The store's history, ready to be asked: the one account of what happened.
"""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field

from tests.soak.record import Entry, Heard, Record

FOR_ALL = ""
FOR_EVER = 2**53


@dataclass(slots=True)
class Life:
    """One session in the history."""

    id: str
    actor_id: str
    sets: list[Entry] = field(default_factory=list)
    unset: Entry | None = None

    @property
    def ttl_ms(self) -> int:
        """How long it lives without being extended."""
        return self.sets[0].ttl_ms if self.sets else 0

    def lived_at(self, ms: int) -> bool:
        """Tell whether it had not ended by then."""
        return self.unset is None or self.unset.ms > ms


class Truth:
    """The sessions and events of a record, by what they are looked up by."""

    def __init__(self, record: Record) -> None:
        self.lives: dict[str, Life] = {}
        self.of_actor: defaultdict[str, list[Life]] = defaultdict(list)
        self._entries = record.history
        self._cursors = {
            actor_id: [entry.cursor for entry in entries]
            for actor_id, entries in record.history.items()
        }
        self._targets = _targets(record)
        self.emitted = {
            request.number: request.cursor for request in record.requests if request.cursor
        }
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

    def count(self, actor_id: str, after: int, until: int) -> int:
        """How many events the actor has with after < cursor <= until."""
        return len(self.entries(actor_id, after, until))

    def entries(self, actor_id: str, after: int, until: int) -> list[Entry]:
        """The actor's events with after < cursor <= until, in order."""
        cursors = self._cursors.get(actor_id, [])
        start, end = bisect_right(cursors, after), bisect_right(cursors, until)
        return self._entries[actor_id][start:end] if start < end else []

    def is_for(self, life: Life, entry: Entry) -> bool:
        """Tell whether this event of the actor was for the session."""
        if entry.kind == "app":
            target = self._targets.get((life.actor_id, entry.cursor))
            return target in (FOR_ALL, life.id)
        return entry.session_id == life.id


def _targets(record: Record) -> dict[tuple[str, int], str]:
    """
    The session that each of the application's events was for, by actor and cursor.

    One whose emission was not answered is known once any client heard it.
    """
    emissions = {request.number: request for request in record.requests if request.number}
    targets = {
        (request.actor_id, request.cursor): request.session_id
        for request in emissions.values()
        if request.cursor is not None
    }
    for connection in record.connections:
        for item in connection.log:
            if isinstance(item, Heard) and item.number in emissions and item.cursor:
                emission = emissions[item.number]
                targets.setdefault((connection.actor_id, item.cursor), emission.session_id)
    return targets
