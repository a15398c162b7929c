"""
Reads a request: path parameters, query, and a body of bounded size.
"""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import unquote, unquote_to_bytes

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from keystay_protocol.errors import InvalidParams
from keystay_server.control.schema.json_schema import Field, Shape, refuse_unknown
from keystay_server.control.schema.shapes import ACTOR

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
    items = query_items(request)
    query = dict(items)
    refuse_unknown("query parameter", query, [known.name for known in allowed])
    if len(query) != len(items):
        raise InvalidParams("a query parameter is repeated")
    for known in allowed:
        if known.required and known.name not in query:
            raise InvalidParams(f"the query parameter {known.name} is missing")
    return {
        known.name: known.read_text(query[known.name])
        for known in allowed
        if known.name in query
    }


def query_items(request: Request) -> list[tuple[str, str]]:
    """
    Return the names and values of the query, percent-decoded.

    Raises:
        InvalidParams: If it is not UTF-8.
    """
    try:
        unquote_to_bytes(request.scope["query_string"]).decode()
    except UnicodeDecodeError:
        raise InvalidParams("the query must be UTF-8, percent-encoded") from None
    return request.query_params.multi_items()


def read_actor_query(request: Request, *allowed: Field) -> tuple[str, dict[str, Any]]:
    """
    Read the actor id, from the path or else from the query, and the rest of the query.

    Raises:
        InvalidParams: If a parameter is missing, invalid, or not allowed.
    """
    if ACTOR.name in request.path_params:
        return path_parameter(request, ACTOR.name), read_query(request, allowed)
    query = read_query(request, (ACTOR, *allowed))
    return query.pop(ACTOR.name), query


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
