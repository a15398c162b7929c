"""
What a store raises, beside the protocol's own errors.

    StoreError              it cannot work as configured
      StoreNotReady         it cannot work now, and may be able to later
    NoFeed                  no feed is kept
    RevisionConflict        the session has another revision
    AlreadyApplied          the same request was carried out before
    IdempotencyConflict     another request had this idempotency key
    Unavailable             (of the protocol) the store is out of reach for now
"""

from keystay_protocol.errors import Unavailable


class StoreError(Exception):
    """The store cannot work as configured. The text says what to do, for an operator."""


class StoreNotReady(StoreError):
    """The store cannot work now, and may be able to later, as configured."""


class NoFeed(Exception):
    """This installation keeps no feed."""


class RevisionConflict(Exception):
    """Somebody else changed the session: read it again, and decide anew."""


class AlreadyApplied(Exception):
    """
    The request was carried out before; nothing is changed now.

    `cursor` is that of its event, or 1 where that has been forgotten.
    """

    def __init__(self, cursor: int) -> None:
        super().__init__()
        self.cursor = cursor


class IdempotencyConflict(Exception):
    """Another request was made with this idempotency key. Nothing is changed."""


def out_of_reach(why: str, *, retry_after_s: float = 1.0) -> Unavailable:
    """The error for a store that does not answer; `why` goes to the client, so no details."""
    return Unavailable(why, retry_after_s=retry_after_s)
