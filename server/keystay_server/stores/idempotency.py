"""
What may be asked twice and is done once.
"""

from dataclasses import dataclass

IDEMPOTENCY_MS = 24 * 60 * 60 * 1000
"""How long it is remembered what was done under a name of `IdempotencyRecord`."""


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """What makes one request the same as another: its second coming changes nothing."""

    name: str
    """What it is called, among all that is asked about the actor."""
    content: str
    """What is asked; the same name with another content is a mistake."""


class AlreadyApplied(Exception):
    """It was done before, and nothing is changed now. `cursor` is that of its event, or 1."""

    def __init__(self, cursor: int) -> None:
        super().__init__()
        self.cursor = cursor


class IdempotencyConflict(Exception):
    """Something else was done under this name. Nothing is changed."""
