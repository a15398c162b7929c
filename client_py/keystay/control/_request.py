"""
The requests to a server, before they are sent.
"""

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from keystay_protocol.errors import InvalidParams

MAX_IDEMPOTENCY_KEY_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Request:
    """
    One request. `target` is path and query, percent-encoded.

    `is_repeatable`: sending it twice has the effect of sending it once.
    """

    method: str
    target: str
    is_repeatable: bool
    body: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


def get(path: str, *, query: Iterable[tuple[str, str]] = ()) -> Request:
    """Make a GET request."""
    return Request("GET", path + _query(query), is_repeatable=True)


def delete(path: str, *, query: Iterable[tuple[str, str]] = ()) -> Request:
    """Make a DELETE request, which can be repeated."""
    return Request("DELETE", path + _query(query), is_repeatable=True)


def post(path: str, fields: Mapping[str, Any], idempotency_key: str | None) -> Request:
    """
    Make a POST request that can be repeated, because it has an idempotency key.

    Args:
        idempotency_key: None generates one.

    Raises:
        InvalidParams: If the fields are not JSON, or the key cannot be sent.
    """
    key = secrets.token_urlsafe(16) if idempotency_key is None else _checked(idempotency_key)
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    return Request("POST", path, True, _json(fields), headers)


def post_once(path: str, fields: Mapping[str, Any]) -> Request:
    """
    Make a POST request that must not be repeated.

    Raises:
        InvalidParams: If the fields are not JSON.
    """
    return Request("POST", path, False, _json(fields), {"Content-Type": "application/json"})


def patch(path: str, fields: Mapping[str, Any], *, is_repeatable: bool) -> Request:
    """
    Make a PATCH request.

    Raises:
        InvalidParams: If the fields are not JSON.
    """
    headers = {"Content-Type": "application/json"}
    return Request("PATCH", path, is_repeatable, _json(fields), headers)


def without_none(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not None; the server has defaults for the others."""
    return {name: value for name, value in fields.items() if value is not None}


def _query(items: Iterable[tuple[str, str]]) -> str:
    text = urlencode([*items], quote_via=quote, safe="", errors="surrogatepass")
    return f"?{text}" if text else ""


def _json(fields: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(fields, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):  # The text may contain a value.
        raise InvalidParams("the fields must be JSON values") from None


def _checked(key: str) -> str:
    if not (
        0 < len(key) <= MAX_IDEMPOTENCY_KEY_LENGTH
        and key.isascii()
        and key.isprintable()
        and " " not in key
    ):
        raise InvalidParams(
            "an idempotency key is 1 to "
            f"{MAX_IDEMPOTENCY_KEY_LENGTH} visible ASCII characters without spaces"
        )
    return key
