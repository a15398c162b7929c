"""
The wire as an AsyncAPI 3 document, made from the command table: `make asyncapi`.

`protocol/SPEC.md` is what holds. This is the same for programs: who generates types or a
client, or draws a picture. A message is one MessagePack value; its payload is described as
the JSON that has the same form.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from keystay_protocol import SUBPROTOCOL, __version__
from keystay_protocol.commands import CommandName, LogoutScope
from keystay_protocol.errors import BY_CODE
from keystay_protocol.events import (
    MAX_PATH_BYTES,
    MAX_PATHS,
    SERVER_DRAINING,
    SESSION_SET,
    SESSION_UNSET,
)
from keystay_server.gateway.commands import COMMANDS
from keystay_server.gateway.commands.signature import Param, Row

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
CURSOR: Schema = {"type": ["integer", "null"], "minimum": 0}
NIL: Schema = {"type": "null"}
PATHS: Schema = {
    "type": "array",
    "items": {"type": "string", "maxLength": MAX_PATH_BYTES},
    "maxItems": MAX_PATHS,
}

_TYPES: Mapping[type | None, Schema] = {
    str: TEXT,
    list: {"type": "array"},
    dict: {"type": "object"},
    None: {},
}

# What a type alone does not say (SPEC section 3).
_PARAMS: Mapping[str, Schema] = {
    "session.restore options": {
        "type": ["object", "null"],
        "properties": {"cursor": {"type": "integer", "minimum": 0}, "version": TEXT},
    },
    "session.logout options": {
        "type": ["object", "null"],
        "properties": {"scope": {"enum": [str(scope) for scope in LogoutScope]}},
    },
    "events.subscribe paths": PATHS,
    "events.unsubscribe paths": PATHS,
}

_BOUND: Schema = {
    "type": "object",
    "required": ["session", "cursor", "recovered"],
    "properties": {
        "session": {"$ref": "#/components/schemas/Session"},
        "cursor": CURSOR,
        "recovered": {"type": "boolean"},
    },
}

_RESULTS: Mapping[CommandName, Schema] = {
    CommandName.IS_VALID: NIL,
    CommandName.RESTORE: _BOUND,
    CommandName.LOGIN: _BOUND,
    CommandName.LOGOUT: NIL,
    CommandName.LIST: {"type": "array", "items": {"$ref": "#/components/schemas/Session"}},
    CommandName.SUBSCRIBE: PATHS,
    CommandName.UNSUBSCRIBE: PATHS,
    CommandName.NOW: NUMBER,
}

_SUMMARIES: Mapping[CommandName, str] = {
    CommandName.IS_VALID: "Ask whether a key opens a live session; changes nothing.",
    CommandName.RESTORE: "Bind the connection to the session that a key opens.",
    CommandName.LOGIN: "Open a session, and bind the connection to it.",
    CommandName.LOGOUT: "End this session, the actor's others, or all.",
    CommandName.LIST: "List the live sessions of the actor.",
    CommandName.SUBSCRIBE: "Subscribe to event paths.",
    CommandName.UNSUBSCRIBE: "Unsubscribe from event paths.",
    CommandName.NOW: "Read the server's clock.",
}

_SESSION: Schema = {
    "type": "object",
    "description": "A session (SPEC section 4). Times are Unix milliseconds.",
    "required": [
        *("actorId", "meta", "id", "language", "version", "createdAt", "expiresAt", "endsAt"),
    ],
    "properties": {
        "key": {"type": "string", "description": "The secret; only for its own connection."},
        "actorId": {"type": "string", "minLength": 1, "maxLength": 128},
        "meta": {"type": "object"},
        "id": TEXT,
        "language": TEXT,
        "version": {"type": ["string", "null"]},
        "createdAt": NUMBER,
        "expiresAt": NUMBER,
        "endsAt": {"type": ["integer", "null"]},
        "current": {"type": "boolean"},
    },
}

_ERROR_CODE: Schema = {
    "type": "string",
    "description": "A code of SPEC section 6, or the reason a backend ended the session with.",
    "examples": sorted(BY_CODE),
}

_ERROR_DETAILS: Schema = {
    "type": ["object", "null"],
    "properties": {
        "message": {"type": "string", "description": "For people."},
        "retryAfter": {"type": "number", "description": "Seconds to wait before another try."},
    },
}

_REFUSAL: Schema = {"$ref": "#/components/schemas/ErrorCode"}
_DETAILS: Schema = {"$ref": "#/components/schemas/ErrorDetails"}

_SUCCESSOR: Schema = {
    "type": "object",
    "required": ["id", "createdAt"],
    "properties": {"id": TEXT, "createdAt": NUMBER},
}

# Name of the message, name of the event (None: any of a backend's), its data, when it is sent.
_EVENTS: tuple[tuple[str, str | None, Schema, str], ...] = (
    (
        "sessionSet",
        SESSION_SET,
        {"$ref": "#/components/schemas/Session"},
        "The session was opened, restored or changed.",
    ),
    (
        "sessionUnset",
        SESSION_UNSET,
        {
            "type": "object",
            "required": ["reason", "id"],
            "properties": {"reason": TEXT, "id": TEXT, "by": _SUCCESSOR},
        },
        "The session ended.",
    ),
    (
        "serverDraining",
        SERVER_DRAINING,
        {
            "type": "object",
            "required": ["reconnectAfter"],
            "properties": {"reconnectAfter": {"type": "integer", "minimum": 0}},
        },
        "The node is going away.",
    ),
    ("applicationEvent", None, {}, "A backend sent it to a session, an actor or everybody."),
)


def document() -> Schema:
    """Describe the wire from the server's side."""
    commands = {message_name(name): (name, row) for name, row in _rows()}
    messages = {
        **{name: _command(method, row) for name, (method, row) in commands.items()},
        **{f"{name}Reply": _reply(method) for name, (method, _) in commands.items()},
        **{name: _event(path, data, when) for name, path, data, when in _EVENTS},
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Keystay",
            "version": __version__,
            "description": "Sessions over a WebSocket: protocol/SPEC.md as a document.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/msgpack",
        "servers": {
            "local": {
                "host": "127.0.0.1:8330",
                "protocol": "ws",
                "description": f"`keystay serve`; the subprotocol is {SUBPROTOCOL}.",
            }
        },
        "channels": {
            "connection": {
                "address": "/",
                "description": "One WebSocket: commands in, replies and events out.",
                "messages": {n: {"$ref": f"#/components/messages/{n}"} for n in messages},
            }
        },
        "operations": {
            **{name: _request(name, method) for name, (method, _) in commands.items()},
            "sendEvents": {
                "action": "send",
                "channel": {"$ref": "#/channels/connection"},
                "summary": "Push events to the connections that are subscribed to them.",
                "messages": _refs(name for name, *_ in _EVENTS),
            },
        },
        "components": {
            "messages": messages,
            "schemas": {
                "Session": _SESSION,
                "ErrorCode": _ERROR_CODE,
                "ErrorDetails": _ERROR_DETAILS,
            },
        },
    }


def message_name(method: str) -> str:
    """The name of a command in the document: `session.isValid` is `sessionIsValid`."""
    group, _, verb = method.partition(".")
    return group + verb[0].upper() + verb[1:]


def page() -> str:
    """The document as it is in protocol/asyncapi.json."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _rows() -> Iterable[tuple[CommandName, Row]]:
    return ((CommandName(name), row) for name, row in COMMANDS.items())


def _refs(names: Iterable[str]) -> list[Schema]:
    return [{"$ref": f"#/channels/connection/messages/{name}"} for name in names]


def _request(name: str, method: CommandName) -> Schema:
    channel = {"$ref": "#/channels/connection"}
    return {
        "action": "receive",
        "channel": channel,
        "summary": _SUMMARIES[method],
        "messages": _refs([name]),
        "reply": {"channel": channel, "messages": _refs([f"{name}Reply"])},
    }


def _command(method: CommandName, row: Row) -> Schema:
    params = [_param(method, param) for param in row.params]
    required = sum(not param.optional for param in row.params)
    frame: list[Schema] = [
        {"const": 0},
        {"type": "integer", "minimum": 0},
        {"const": str(method)},
    ]
    return {
        "title": str(method),
        "summary": _SUMMARIES[method],
        "payload": _tuple(*frame, _tuple(*params, least=required)),
        "correlationId": {"location": "$message.payload#/1"},
    }


def _param(method: CommandName, param: Param) -> Schema:
    schema = _PARAMS.get(f"{method} {param.name}") or dict(_TYPES[param.type])
    if param.optional and isinstance(schema.get("type"), str):
        schema = {**schema, "type": [schema["type"], "null"]}
    return {**schema, "title": param.name}


def _reply(method: CommandName) -> Schema:
    frame: list[Schema] = [{"const": 1}, {"type": "integer", "minimum": 0}]
    success = _tuple(*frame, NIL, _RESULTS[method])
    refusal = _tuple(*frame, _REFUSAL, _DETAILS)
    return {
        "title": f"reply to {method}",
        "payload": {"oneOf": [success, refusal]},
        "correlationId": {"location": "$message.payload#/1"},
    }


def _event(name: str | None, data: Schema, when: str) -> Schema:
    named = {"const": name} if name else {"type": "string", "pattern": r"^[A-Za-z0-9_.-]+$"}
    return {
        "title": name or "an event of a backend",
        "summary": when,
        "payload": _tuple({"const": 2}, named, _tuple(data, CURSOR)),
    }


def _tuple(*items: Schema, least: int | None = None) -> Schema:
    """An array of these, of which the first `least` must be there; None: all."""
    form: Schema = {
        "type": "array",
        "minItems": len(items) if least is None else least,
        "maxItems": len(items),
    }
    return {**form, "items": list(items)} if items else form


if __name__ == "__main__":
    sys.stdout.write(page())
