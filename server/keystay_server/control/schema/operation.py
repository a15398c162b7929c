"""
One thing that backends can ask for: who answers it, and what there is to know before asking.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from keystay_server.control.auth.rights import Right
from keystay_server.control.schema.json_schema import Field, Shape

Answer = Callable[[Request], Awaitable[Response]]

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is no refusal. Without a shape it has no body, or one of another type."""

    about: str
    shape: Shape | None = None
    media_type: str = JSON


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of the table of paths."""

    name: str
    """What generated clients call it."""
    method: str
    path: str
    answer: Answer
    about: str
    right: Right | None
    """Which of the scopes it takes; None: it is for everybody."""
    replies: Mapping[int, Reply]
    query: tuple[Field, ...] = ()
    body: Shape | None = None
    refusals: tuple[int, ...] = ()
    """Statuses of problems, beside those that every operation of its kind has."""
    is_idempotent: bool = False
    """Whether a POST takes an `Idempotency-Key`."""
    has_deadline: bool = field(default=True, kw_only=True)
    """Whether its answer ends by itself."""
