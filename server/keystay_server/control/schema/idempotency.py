"""
Idempotent requests: those with an `Idempotency-Key`.

A retry with the same API key and the same body gets the same response, from any
node, for a day. The header `Idempotent-Replayed` marks it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.requests import Request

from keystay_protocol.errors import InvalidParams
from keystay_server.control.auth.rights import principal_of
from keystay_server.control.http.problems import Problem
from keystay_server.control.schema.json_schema import TEXT, Field
from keystay_server.sessions.idempotency import IdempotencyKey

HEADER = "Idempotency-Key"
MAX_LENGTH = 255
REPLAYED = {"Idempotent-Replayed": "true"}

_FORM = re.compile(r"[!-~]+")

PARAMETER = Field(
    HEADER,
    TEXT.narrowed(minLength=1, maxLength=MAX_LENGTH, pattern=f"^{_FORM.pattern}$"),
    "identifies a retry, for a day",
)


def idempotency_key_of(
    request: Request, body: Mapping[str, Any], *name: str
) -> IdempotencyKey | None:
    """
    Return the idempotency key of the request; None if it has none.

    Args:
        name: Identifies the operation and its target, beside header and actor.

    Raises:
        Problem: If the header cannot be used.
        InvalidParams: If the body is nested too deep for a digest.
    """
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    key, *more = given
    if more or len(key) > MAX_LENGTH or not _FORM.fullmatch(key):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"{HEADER} must be 1 to {MAX_LENGTH} visible ASCII characters, once",
        )
    seed = principal_of(request).seed
    if seed is None:
        raise Problem(HTTPStatus.BAD_REQUEST, f"{HEADER} needs an API key")
    try:
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    except RecursionError:
        raise InvalidParams("the body is nested too deep") from None
    return IdempotencyKey(seed, (*name, key), hashlib.sha256(canonical.encode()).digest())
