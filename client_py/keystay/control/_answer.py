"""
The response of a server: a document, or a failure.
"""

import json
import math
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

from keystay.errors import (
    Forbidden,
    IdempotencyKeyReused,
    RevisionConflict,
    Unauthorized,
    UnexpectedAnswer,
)
from keystay_protocol.errors import (
    BY_CODE,
    CommandError,
    InternalError,
    InvalidParams,
    KeystayError,
    MalformedFrame,
    RateLimited,
    Timeout,
    Unavailable,
    UnknownCommand,
    session_ended,
)

T = TypeVar("T")

PROBLEM_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete response. The body may contain a key."""

    status: int
    content_type: str = ""
    retry_after: str = ""
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Failure:
    """
    Why a request failed.

    `is_transient`: another attempt may succeed. `is_outcome_unknown`: this attempt may have
    been executed. `is_from_proxy`: the answer is not one of Keystay.
    """

    error: KeystayError
    is_transient: bool = False
    is_outcome_unknown: bool = False
    is_from_proxy: bool = False
    retry_after_s: float = 0.0


def document_of(answer: Answer) -> Any:
    """
    Return the document of a successful answer; None if it is empty.

    Raises:
        UnexpectedAnswer: If it is not JSON.
    """
    if not answer.body:
        return None
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        raise UnexpectedAnswer("the answer is not JSON", status=answer.status) from None


@contextmanager
def as_unexpected_answer() -> Generator[None, None, None]:
    """Raise `UnexpectedAnswer` in place of `MalformedFrame`."""
    try:
        yield
    except MalformedFrame as error:
        raise UnexpectedAnswer(str(error)) from None


def field_of(document: Any, name: str, type_: type[T]) -> T:
    """
    Return a field of exactly this type.

    Raises:
        MalformedFrame: If it is missing, or of another type.
    """
    value = document.get(name) if isinstance(document, dict) else None
    if type(value) is not type_:
        raise MalformedFrame(f"{name} is missing in the answer, or of the wrong type")
    return value


def failure_of(answer: Answer) -> Failure | None:
    """Return why the request failed; None if it succeeded."""
    if 200 <= answer.status < 300:
        return None
    error = _error(answer)
    retry_after_s = error.retry_after_s if isinstance(error, CommandError) else None
    return Failure(
        error,
        is_transient=answer.status in _TRANSIENT or retry_after_s is not None,
        is_outcome_unknown=answer.status != HTTPStatus.TOO_MANY_REQUESTS,
        is_from_proxy=not _is_problem(answer),
        retry_after_s=retry_after_s or 0.0,
    )


_TRANSIENT = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)

_CONTROL_ERRORS: dict[str, type[CommandError]] = {
    cls.code: cls for cls in (Unauthorized, Forbidden, RevisionConflict, IdempotencyKeyReused)
}

# Also sent by proxies, without a code.
_BY_STATUS: dict[int, type[CommandError]] = {
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.FORBIDDEN: Forbidden,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimited,
    HTTPStatus.INTERNAL_SERVER_ERROR: InternalError,
    HTTPStatus.BAD_GATEWAY: Unavailable,
    HTTPStatus.SERVICE_UNAVAILABLE: Unavailable,
    HTTPStatus.GATEWAY_TIMEOUT: Timeout,
}


def _error(answer: Answer) -> KeystayError:
    problem = _problem(answer)
    code = problem.get("code")
    code = code if isinstance(code, str) else ""
    cls = BY_CODE.get(code) or _CONTROL_ERRORS.get(code) or _BY_STATUS.get(answer.status)
    if cls is not None:
        return cls(_detail(problem), retry_after_s=_retry_after_s(problem, answer))
    if code and answer.status == HTTPStatus.GONE:
        return session_ended(code)
    if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED) and problem:
        return UnknownCommand("the server has no such endpoint: it is of another version")
    if 400 <= answer.status < 500 and problem:
        error = InvalidParams(_detail(problem), retry_after_s=_retry_after_s(problem, answer))
        error.code = code or error.code
        return error
    return UnexpectedAnswer(status=answer.status)


def _problem(answer: Answer) -> dict[str, Any]:
    """Return the problem document (RFC 9457); empty if the answer is another document."""
    if not _is_problem(answer):
        return {}
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _is_problem(answer: Answer) -> bool:
    return answer.content_type.partition(";")[0].strip().lower() == PROBLEM_TYPE


def _detail(problem: dict[str, Any]) -> str:
    for name in ("detail", "title"):
        if isinstance(problem.get(name), str):
            return str(problem[name])
    return ""


def _retry_after_s(problem: dict[str, Any], answer: Answer) -> float | None:
    value = problem.get("retryAfter")
    if (type(value) is int or type(value) is float) and 0 <= value < math.inf:
        return float(value)
    # The other form, a date, is not sent by Keystay.
    return float(answer.retry_after) if answer.retry_after.isdecimal() else None
