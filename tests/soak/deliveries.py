"""
What each connection received, compared with what it had to receive.

While it is bound, a connection receives every event of its session that it is
subscribed to, once and in order: from the cursor that it came with if it was
recovered, or else from the position at which it was bound.
"""

from collections.abc import Iterator, Sequence

from tests.soak.bindings import Binding, Bindings
from tests.soak.record import Entry, Event
from tests.soak.truth import FOR_EVER, Life, Truth
from tests.soak.violations import Kind, Violation


def check_deliveries(truth: Truth, connections: Sequence[Bindings]) -> Iterator[Violation]:
    """Find what was missed, doubled, out of order, wrong, or meant for others."""
    for bindings in connections:
        yield from _check_order(truth, bindings)
        for event, owners in bindings.received:
            yield from _check_event(truth, event, owners)
        received = {
            (event.actor_id, event.cursor) for event, _ in bindings.received if event.cursor
        }
        for binding in bindings.all:
            life = truth.lives.get(binding.session_id)
            if life is not None and not binding.is_refused:
                yield from _check_status(binding, life)
                yield from _check_late(binding)
                yield from _check_missed(truth, binding, life, received)


def _check_order(truth: Truth, bindings: Bindings) -> Iterator[Violation]:
    """Each actor's events come once, in the order of their cursors, whatever it is bound to."""
    newest: dict[str, int] = {}
    seen: set[tuple[str, int]] = set()
    for event, _ in bindings.received:
        if event.cursor is None:
            continue
        last = newest.get(event.actor_id, 0)
        where = f"a connection of {event.actor_id} received {event} after {last}"
        if (event.actor_id, event.cursor) in seen:
            yield Violation(Kind.DOUBLED, where)
        elif event.cursor < last:
            yield Violation(Kind.OUT_OF_ORDER, where)
        seen.add((event.actor_id, event.cursor))
        newest[event.actor_id] = max(last, event.cursor)


def _check_event(truth: Truth, event: Event, owners: list[Binding]) -> Iterator[Violation]:
    """Whether there was such an event, for a session that the connection was bound to."""
    owners = [binding for binding in owners if not binding.is_refused]
    lives = [truth.lives.get(binding.session_id) for binding in owners]
    where = f"{owners[0] if owners else 'an unbound connection'} received {event}"
    if event.cursor is None:
        if not owners:
            yield Violation(Kind.FOREIGN, where)
        return
    entry = truth.entry(event.actor_id, event.cursor)
    if entry is None or not any(life and truth.is_for(life, entry) for life in lives):
        yield Violation(Kind.FOREIGN, where)
    elif not _is_same(truth, event, entry, hears_app=owners[0].connection.hears_app):
        yield Violation(Kind.FOREIGN, f"{where}, not {entry}")
    elif event.name == "session.set" and event.state != entry.state:
        yield Violation(Kind.WRONG_STATE, f"{where}, not {entry.state}")


def _is_same(truth: Truth, event: Event, entry: Entry, *, hears_app: bool) -> bool:
    match event.name:
        case "session.set":
            return entry.kind == "set"
        case "session.unset":
            return entry.kind == "unset"
        case _:
            at = truth.emitted.get(event.number, event.cursor)
            return entry.kind == "app" and hears_app and at == event.cursor


def _check_status(binding: Binding, life: Life) -> Iterator[Violation]:
    """
    Find wrong events without a cursor.

    A restore sends one, before its reply. Any other one fills a gap that the store
    itself cannot fill, or says that a session is over before anybody has ended it.
    """
    opened, is_answered, sets = binding.opened, False, 0
    for event in binding.events:
        is_answered = opened is not None and event.at.order > opened.at.order
        if event.name == "session.unset":
            yield from _check_unset(binding, event, life)
        elif event.name == "session.set" and event.cursor is None:
            sets += 1
            is_restore = binding.command.method == "session.restore"
            if is_answered or not is_restore:
                yield Violation(Kind.MISSED, f"{binding} received {event}")
            elif sets > 1:
                yield Violation(Kind.DOUBLED, f"{binding} received {event}")
            elif opened and event.state != opened.state:
                yield Violation(Kind.WRONG_STATE, f"{binding} received {event}: {opened}")
    if opened and not sets and binding.command.method == "session.restore":
        yield Violation(Kind.MISSED, f"{binding} was not sent the session: {opened}")


def _check_unset(binding: Binding, event: Event, life: Life) -> Iterator[Violation]:
    where = f"{binding} received {event}"
    if life.unset is None:
        yield Violation(Kind.NOBODY_ENDED, where)
    elif event.reason != life.unset.reason:
        yield Violation(Kind.WRONG_REASON, f"{where}, not {life.unset.reason}")
    elif event.cursor is None and event.reason != "expired":
        yield Violation(Kind.MISSED, where)


def _check_late(binding: Binding) -> Iterator[Violation]:
    """What happened before the position of a restore is sent before its reply."""
    opened = binding.opened
    if opened is None or opened.cursor is None:
        return
    in_time = {event.cursor for event in binding.events if event.at.order < opened.at.order}
    for event in binding.events:
        is_old = event.cursor is not None and event.cursor <= opened.cursor
        if is_old and event.cursor not in in_time:
            yield Violation(Kind.OUT_OF_ORDER, f"{binding} received {event} after {opened}")


def _check_missed(
    truth: Truth, binding: Binding, life: Life, received: set[tuple[str, int]]
) -> Iterator[Violation]:
    low, high, opened = _low(binding), _high(binding, life), binding.opened
    replayed = (opened.cursor or 0) if opened and opened.recovered else 0
    for entry in truth.entries(life.actor_id, low, high):
        if (life.actor_id, entry.cursor) in received or not truth.is_for(life, entry):
            continue
        if _is_owed(binding, life, entry):
            kind = Kind.HOLE if entry.cursor <= replayed else Kind.MISSED
            yield Violation(kind, f"{binding} was not sent {entry}")


def _is_owed(binding: Binding, life: Life, entry: Entry) -> bool:
    if entry.kind != "app":
        return True
    # What the actor was sent before the session was opened is not promised to it.
    is_new = bool(life.sets) and entry.cursor > life.sets[0].cursor
    return binding.connection.hears_app and is_new


def _low(binding: Binding) -> int:
    """The cursor after which it had to be sent all."""
    opened, after = binding.opened, binding.command.after
    if opened is None:
        return _low_without_reply(binding)
    if opened.recovered and after is not None:
        return after
    is_login = binding.command.method == "session.login"
    return (opened.cursor or 0) - is_login


def _low_without_reply(binding: Binding) -> int:
    """What came after the session itself, came without a hole."""
    events = iter(binding.events)
    for event in events:
        if event.name == "session.set":
            if event.cursor is not None:
                return event.cursor
            break
    return next((event.cursor for event in events if event.cursor), FOR_EVER)


def _high(binding: Binding, life: Life) -> int:
    """The cursor up to which it had to be sent all."""
    last = max(binding.cursors, default=0)
    opened = binding.opened.cursor if binding.opened else None
    if binding.unset is not None:
        return last
    if binding.is_logged_out:
        return life.unset.cursor if life.unset else FOR_EVER
    if binding.moved_at is not None:
        return max(last, binding.moved_at)
    if binding.closed is None:
        return FOR_EVER
    # All up to the position of the restore come before its reply.
    return max(last, opened or 0)
