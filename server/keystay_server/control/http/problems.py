"""
Errors as problem documents (RFC 9457), the same for all paths.

`code` is a code of the wire protocol (SPEC section 6) where there is one.
`revisionConflict`, `idempotencyKeyReused` and `insufficientScope` exist on the control port
only. `retryAfter` is in seconds, as on the wire.
"""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ExceptionHandler

from keystay_protocol.errors import (
    CommandError,
    InternalError,
    InvalidParams,
    NoSession,
    RateLimited,
    SessionEnded,
    SessionLimit,
    Timeout,
    Unavailable,
)
from keystay_server.stores.errors import IdempotencyConflict, RevisionConflict

MEDIA_TYPE = "application/problem+json"

_STATUS: dict[type[CommandError], HTTPStatus] = {
    InvalidParams: HTTPStatus.BAD_REQUEST,
    NoSession: HTTPStatus.NOT_FOUND,
    SessionEnded: HTTPStatus.GONE,
    SessionLimit: HTTPStatus.CONFLICT,
    RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    Timeout: HTTPStatus.GATEWAY_TIMEOUT,
}


class Problem(HTTPException):
    """An error of the control port; `extensions` are further members of the document."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        super().__init__(status, detail, headers)
        self.extensions = extensions


def status_of(error: CommandError) -> HTTPStatus:
    """Return the HTTP status for an error of the wire protocol."""
    for cls in type(error).__mro__:
        if cls in _STATUS:
            return _STATUS[cls]
    return HTTPStatus.INTERNAL_SERVER_ERROR


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, CommandError)
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    details = error.details() or {}
    return problem_response(
        status_of(error),
        details.get("message", ""),
        headers,
        code=error.code,
        **{name: value for name, value in details.items() if name != "message"},
    )


async def _conflicted(_: Request, __: Exception) -> Response:
    return problem_response(
        HTTPStatus.CONFLICT,
        "the session has another revision: get it again",
        {},
        code="revisionConflict",
    )


async def _reused(_: Request, __: Exception) -> Response:
    return problem_response(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "another request was sent with this Idempotency-Key",
        {},
        code="idempotencyKeyReused",
    )


async def _not_served(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    extensions = error.extensions if isinstance(error, Problem) else {}
    headers = dict(error.headers or {})
    return problem_response(HTTPStatus(error.status_code), error.detail, headers, **extensions)


async def _failed(_: Request, error: Exception) -> Response:
    # Starlette raises the error again once this is sent, and uvicorn logs it.
    return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, "", {}, code=InternalError.code)


def problem_response(
    status: HTTPStatus, detail: str, headers: dict[str, str], **extensions: Any
) -> Response:
    """Make the response."""
    document = {"title": status.phrase, "status": status.value, **extensions}
    if detail and detail != status.phrase:
        document["detail"] = detail
    return JSONResponse(document, status, headers, MEDIA_TYPE)


HANDLERS: dict[Any, ExceptionHandler] = {
    CommandError: _refused,
    RevisionConflict: _conflicted,
    IdempotencyConflict: _reused,
    HTTPException: _not_served,
    Exception: _failed,
}
"""For Starlette's `exception_handlers`."""
