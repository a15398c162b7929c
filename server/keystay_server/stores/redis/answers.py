"""
What goes into scripts and comes out of them, where it is not a record or an event.
"""

from typing import Any

from keystay_protocol.errors import NoSession, session_ended
from keystay_server.stores.errors import AlreadyApplied, IdempotencyConflict
from keystay_server.stores.events import History
from keystay_server.stores.records import IdempotencyRecord
from keystay_server.stores.redis.encoding import decode_event
from keystay_server.stores.redis.wire import Word


def word(number: int | None) -> Word:
    """A number as the scripts take it, which is nothing where there is none."""
    return "" if number is None else number


def no_such_session() -> NoSession:
    """The error for an id that no live session has."""
    return NoSession("no live session has this id")


def history_page(actor_id: str, answer: Any) -> tuple[History, bool]:
    """What `read_history` in `_history.lua` returned: a page, and whether that is all."""
    is_complete, events, more = answer
    page = History([decode_event(actor_id, event) for event in events], is_complete == 1)
    return page, more == 0


def the_only_one(events: list[bytes] | None) -> bytes:
    """The event of a script that makes one; it returns None if there is no such session."""
    if events is None:
        raise no_such_session()
    [event] = events
    return event


def idempotency_words(idempotency: IdempotencyRecord | None) -> tuple[Word, Word]:
    """What is to be done once, as the scripts take it."""
    return ("", "") if idempotency is None else (idempotency.name, idempotency.content)


def refuse_again(answer: Any) -> None:
    """Raise if a script returned a number: what `done_before` in `_idempotency.lua` said."""
    match answer:
        case 0:
            raise IdempotencyConflict
        case int(cursor):
            raise AlreadyApplied(cursor)


def unless_over(answer: Any) -> list[Any]:
    """Return what a script returned for a live session; raise what it said of another."""
    match answer:
        case None:
            raise NoSession
        case bytes(reason):
            raise session_ended(reason.decode())
        case _:
            return list(answer)
