"""
The OpenAPI 3.1 document, made from the table of operations.
"""

import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus

from keystay_protocol import __version__
from keystay_server.control.http.problems import MEDIA_TYPE
from keystay_server.control.schema.examples import EXAMPLES
from keystay_server.control.schema.idempotency import PARAMETER
from keystay_server.control.schema.json_schema import NUMBER, TEXT, WHOLE, Field, Schema, Shape
from keystay_server.control.schema.operation import Operation, ResponseSpec

PROBLEM = Shape(
    "Problem",
    (
        Field("title", TEXT, "the phrase of the status", required=True),
        Field("status", WHOLE, "the HTTP status", required=True),
        Field("detail", TEXT, "what was wrong, as text"),
        Field("code", TEXT, "what was wrong, as a code of the wire protocol, or "
              "revisionConflict, idempotencyKeyReused, insufficientScope"),
        Field("retryAfter", NUMBER, "when to retry, in seconds"),
    ),
)  # fmt: skip

_ALWAYS = (400, 401, 403, 429, 500, 503, 504)
_PATH_PARAMETERS = {
    "id": "the id of a session",
    "actorId": "the id of an actor, percent-encoded, slashes too",
}


def describe(operations: Iterable[Operation]) -> Schema:
    """Make the document."""
    paths: Schema = {}
    shapes: dict[str, Schema] = {PROBLEM.name: PROBLEM.response_schema()}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
        if operation.body is not None:
            shapes[operation.body.name] = operation.body.request_schema()
        for spec in operation.responses.values():
            if spec.shape is not None:
                shapes[spec.shape.name] = spec.shape.response_schema()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Keystay control plane",
            "version": __version__,
            "description": "The HTTP API for backends: sessions, events, the feed.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": {
                name: {**schema, "examples": [EXAMPLES[name]]} if name in EXAMPLES else schema
                for name, schema in shapes.items()
            },
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key; each operation names the scope that it needs.",
                }
            },
        },
    }


def _operation(operation: Operation) -> Schema:
    described: Schema = {
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": list(_parameters(operation)),
        "responses": dict(_responses(operation)),
        "security": [],
    }
    if operation.right is not None:
        # OpenAPI 3.1 allows the names of roles for bearer schemes.
        described["security"] = [{"apiKey": [str(operation.right)]}]
    if operation.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": operation.body.reference}},
        }
    return described


def _parameters(operation: Operation) -> Iterator[Schema]:
    for name in re.findall(r"{(\w+)}", operation.path):
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_PARAMETERS[name],
            "schema": {"type": "string", "minLength": 1},
        }
    for known in operation.query:
        yield _parameter("query", known)
    if operation.is_idempotent:
        yield _parameter("header", PARAMETER)


def _parameter(place: str, known: Field) -> Schema:
    return {
        "name": known.name,
        "in": place,
        "required": known.required,
        "description": known.description,
        "schema": known.kind.schema,
    }


def _responses(operation: Operation) -> Iterator[tuple[str, Schema]]:
    for status, spec in operation.responses.items():
        yield str(status), _response(spec)
    statuses = set(operation.error_statuses)
    if operation.right is not None:
        statuses.update(_ALWAYS)
    if operation.body is not None:
        statuses.add(413)
    if "{id}" in operation.path:
        statuses.add(404)
    if operation.is_idempotent:
        statuses.add(422)
    for status in sorted(statuses):
        yield (
            str(status),
            {
                "description": HTTPStatus(status).phrase,
                "content": {MEDIA_TYPE: {"schema": PROBLEM.reference}},
            },
        )


def _response(spec: ResponseSpec) -> Schema:
    described: Schema = {"description": spec.description}
    if spec.shape is not None:
        described["content"] = {spec.media_type: {"schema": spec.shape.reference}}
    elif spec.media_type != "application/json":
        described["content"] = {spec.media_type: {"schema": {"type": "string"}}}
    return described
