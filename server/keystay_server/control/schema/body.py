"""
Reads a request: path parameters, query, and a body of bounded size.
"""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import unquote

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from keystay_protocol.errors import InvalidParams
from keystay_server.control.schema.json_schema import Field, Shape, refuse_unknown

MAX_BODY_BYTES = 64 * 1024


async def read_object(request: Request, shape: Shape) -> dict[str, Any]:
    """
    Read the body, an object of this shape; missing fields are None.

    Raises:
        HTTPException: If it is longer than 64 KiB, or incomplete.
        InvalidParams: If it is not such an object.
    """
    text = await read_bytes(request)
    try:
        value = json.loads(
            text.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError):  # The error quotes the input.
        raise InvalidParams("the body must be JSON (RFC 8259)") from None
    if not isinstance(value, dict):
        raise InvalidParams("the body must be a JSON object")
    return shape.read(value)


def read_query(request: Request, allowed: Sequence[Field] = ()) -> dict[str, Any]:
    """
    Read the query: only these parameters, each at most once.

    Raises:
        InvalidParams: If there are others, or a value is invalid.
    """
    items = request.query_params.multi_items()
    query = dict(items)
    refuse_unknown("query parameter", query, [known.name for known in allowed])
    if len(query) != len(items):
        raise InvalidParams("a query parameter is repeated")
    return {
        known.name: known.read_text(query[known.name])
        for known in allowed
        if known.name in query
    }


def path_parameter(request: Request, name: str) -> str:
    """Return a path parameter, percent-decoded (RFC 3986, section 2.1)."""
    try:
        return unquote(request.path_params[name], errors="strict")
    except UnicodeDecodeError:
        raise InvalidParams(f"{name} must be UTF-8, percent-encoded") from None


async def read_bytes(request: Request) -> bytearray:
    """
    Read the body as bytes.

    Raises:
        HTTPException: If it is longer than 64 KiB, or incomplete.
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise HTTPException(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    f"a body may have {MAX_BODY_BYTES} bytes",
                    # The rest of the body is not read.
                    {"Connection": "close"},
                )
    except ClientDisconnect:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body is incomplete") from None
    return body


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a field is repeated")
    return value


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")
