"""
What a restore or login was answered: the session as it is, and where its actor stands.
"""

from collections.abc import Iterator, Sequence

from tests.soak.bindings import Binding, Bindings
from tests.soak.record import Record, Reply
from tests.soak.truth import Life, Truth
from tests.soak.violations import Kind, Violation

SLACK = 16
"""How many events less than it should a store may remember."""

MAX_ACTORS = 8
"""Of how many actors a connection may forget nothing that it was sent."""


def check_recoveries(
    record: Record, truth: Truth, connections: Sequence[Bindings]
) -> Iterator[Violation]:
    """Find positions and sessions that are wrong, and recoveries that were denied."""
    for bindings in connections:
        actors = {binding.actor_id for binding in bindings.all}
        for number, binding in enumerate(bindings.all):
            life = truth.lives.get(binding.session_id)
            if binding.opened is None or life is None:
                continue
            yield from _check_position(truth, binding, binding.opened, life)
            has_moved = any(each.actor_id == binding.actor_id for each in bindings.all[:number])
            if len(actors) <= MAX_ACTORS:
                yield from _check_recovered(record, truth, binding, binding.opened, has_moved)


def _check_position(
    truth: Truth, binding: Binding, opened: Reply, life: Life
) -> Iterator[Violation]:
    cursor = opened.cursor or 0
    if truth.entry(life.actor_id, cursor) is None:
        yield Violation(Kind.LOST, f"{binding}: there is no event with the cursor of {opened}")
    elif opened.state != life.state_at(cursor):
        yield Violation(Kind.WRONG_STATE, f"{binding}: {opened}, not {life.state_at(cursor)}")
    elif binding.command.method == "session.login":
        if life.sets and life.sets[0].cursor != cursor:
            yield Violation(Kind.WRONG_STATE, f"{binding}: {opened} is not its creation")
    else:
        later = truth.entries(life.actor_id, cursor, binding.command.at.ms * 1024 - 1)
        if later or cursor // 1024 > opened.at.ms:
            yield Violation(Kind.WRONG_STATE, f"{binding}: {opened}, although {later[-1:]}")


def _check_recovered(
    record: Record, truth: Truth, binding: Binding, opened: Reply, has_moved: bool
) -> Iterator[Violation]:
    after, cursor = binding.command.after, opened.cursor or 0
    if after is None:
        if opened.recovered:
            yield Violation(Kind.HOLE, f"{binding} came without a cursor: {opened}")
        return
    count = len(truth.entries(binding.actor_id, after, cursor))
    if has_moved and count:
        return  # An event that it did not subscribe to may have moved it beyond some of these.
    is_remembered = 0 < after <= cursor and count < record.history_events - SLACK
    if is_remembered and after >= binding.newest and not opened.recovered:
        yield Violation(Kind.NOT_RECOVERED, f"{binding} came with {after}: {opened}")
