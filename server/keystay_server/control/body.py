"""
What a request carries: its path, its query, and its body, one JSON object of bounded size.
"""

import json
from collections.abc import Collection
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar
from urllib.parse import unquote

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from keystay_protocol.errors import InvalidParams

T = TypeVar("T")

MAX_BODY_BYTES = 64 * 1024


async def read_object(request: Request, allowed: Collection[str]) -> dict[str, Any]:
    """
    Read the body, an object with no other fields than those allowed.

    Raises:
        HTTPException: If it is longer than 64 KiB, or never arrives.
        InvalidParams: If it is anything but such an object.
    """
    text = await _read(request)
    try:
        value = json.loads(
            text.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError):  # Its text may quote what was sent.
        raise InvalidParams("the body must be JSON (RFC 8259)") from None
    if not isinstance(value, dict):
        raise InvalidParams("the body must be a JSON object")
    _refuse_unknown("field", value, allowed)
    return value


def read_query(request: Request, allowed: Collection[str]) -> dict[str, str]:
    """
    Read the query, with no other parameters than those allowed, each once at most.

    Raises:
        InvalidParams: If there are others.
    """
    items = request.query_params.multi_items()
    query = dict(items)
    _refuse_unknown("query parameter", query, allowed)
    if len(query) != len(items):
        raise InvalidParams("a query parameter is there twice")
    return query


def field(body: dict[str, Any], name: str, type_: type[T], words: str) -> T | None:
    """
    Take a field of exactly this type; None if it is left out, or null, which is the same.

    Raises:
        InvalidParams: If it is of another type; `words` say which it must be.
    """
    value = body.get(name)
    if value is None or type(value) is type_:
        return value
    raise InvalidParams(f"{name} must be {words}")


def seconds(body: dict[str, Any], name: str) -> float | None:
    """
    Take a field that is a number of seconds; None if it is left out or null.

    Raises:
        InvalidParams: If it is no number.
    """
    value = body.get(name)
    if value is None or type(value) is int or type(value) is float:
        return value
    raise InvalidParams(f"{name} must be a number of seconds")


def from_path(request: Request, name: str) -> str:
    """The part of the path as it was before it was percent-encoded (RFC 3986, 2.1)."""
    try:
        return unquote(request.path_params[name], errors="strict")
    except UnicodeDecodeError:
        raise InvalidParams(f"{name} must be UTF-8, percent-encoded") from None


async def _read(request: Request) -> bytearray:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise HTTPException(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    f"a body may have {MAX_BODY_BYTES} bytes",
                    # Whatever else of it is on its way is not going to be read.
                    {"Connection": "close"},
                )
    except ClientDisconnect:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body broke off") from None
    return body


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a field is there twice")
    return value


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _refuse_unknown(kind: str, given: Collection[str], allowed: Collection[str]) -> None:
    for name in given:
        if name not in allowed:
            raise InvalidParams(f"there is no {kind} {json.dumps(name[:64])}")
