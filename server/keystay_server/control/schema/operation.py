"""
One operation of the API: its handler, and everything its description needs.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from keystay_server.control.auth.rights import Right
from keystay_server.control.schema.json_schema import Field, Shape

Handler = Callable[[Request], Awaitable[Response]]

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class ResponseSpec:
    """A successful response. Without a shape it has no body, or one of another media type."""

    description: str
    shape: Shape | None = None
    media_type: str = JSON


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of the table of operations."""

    id: str
    """The OpenAPI operation id: generated clients name a method after it."""
    method: str
    path: str
    handler: Handler
    summary: str
    right: Right | None
    """The scope that a key needs; None: no API key is needed."""
    responses: Mapping[int, ResponseSpec]
    query: tuple[Field, ...] = ()
    body: Shape | None = None
    error_statuses: tuple[int, ...] = ()
    """Statuses of problems beside those that every operation of its kind has."""
    is_idempotent: bool = False
    """Whether it accepts an `Idempotency-Key`."""
    has_deadline: bool = field(default=True, kw_only=True)
    """False for a response that goes on until the client leaves."""
