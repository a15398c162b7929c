"""
What is asked of a server, before it is sent.
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

    `is_repeatable` says that to send it twice is as good as to send it once.
    """

    method: str
    target: str
    is_repeatable: bool
    body: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


def get(path: str, *, query: Iterable[tuple[str, str]] = ()) -> Request:
    """Ask for something."""
    return Request("GET", path + _query(query), is_repeatable=True)


def delete(path: str, *, query: Iterable[tuple[str, str]] = ()) -> Request:
    """End something: it is not more than ended, however often that is asked."""
    return Request("DELETE", path + _query(query), is_repeatable=True)


def post(path: str, fields: Mapping[str, Any], idempotency_key: str | None) -> Request:
    """
    Have something done, once: the server knows a repetition by its idempotency key.

    Args:
        idempotency_key: None makes a new one.

    Raises:
        InvalidParams: If the fields are not JSON, or the key cannot be sent.
    """
    key = secrets.token_urlsafe(16) if idempotency_key is None else _checked(idempotency_key)
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    return Request("POST", path, True, _json(fields), headers)


def post_once(path: str, fields: Mapping[str, Any]) -> Request:
    """
    Have something done that the server does again if it is asked again.

    Raises:
        InvalidParams: If the fields are not JSON.
    """
    return Request("POST", path, False, _json(fields), {"Content-Type": "application/json"})


def patch(path: str, fields: Mapping[str, Any], *, is_repeatable: bool) -> Request:
    """
    Change something.

    Raises:
        InvalidParams: If the fields are not JSON.
    """
    headers = {"Content-Type": "application/json"}
    return Request("PATCH", path, is_repeatable, _json(fields), headers)


def segment(text: str) -> str:
    """
    One part of a path, whatever is in it: an actor id may hold slashes, or be `..`.

    Raises:
        InvalidParams: If it is empty: without it, it would be another path.
    """
    if not text:
        raise InvalidParams("the id of a session or of an actor must not be empty")
    if text in (".", ".."):  # Dots are not encoded, and such a part means another path.
        return text.replace(".", "%2E")
    # A lone surrogate is sent as what it is, for the server to refuse.
    return quote(text, safe="", errors="surrogatepass")


def given(**fields: Any) -> dict[str, Any]:
    """The fields that are not None, which means to leave them to the server."""
    return {name: value for name, value in fields.items() if value is not None}


def _query(items: Iterable[tuple[str, str]]) -> str:
    text = urlencode([*items], quote_via=quote, safe="", errors="surrogatepass")
    return f"?{text}" if text else ""


def _json(fields: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(fields, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):  # Its text may quote what was given.
        raise InvalidParams("the fields must be plain data, as JSON has it") from None


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
