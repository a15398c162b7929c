"""
An example of every shape, for the OpenAPI document.
"""

from collections.abc import Mapping
from typing import Any

_SESSION: Mapping[str, Any] = {
    "id": "cGxheWVyOjc.Vt0mQ1yXc2nP8aLk",
    "actorId": "player:7",
    "meta": {"name": "Zoë", "role": "captain"},
    "language": "en",
    "version": None,
    "createdAt": 1760000000000,
    "expiresAt": 1760001800000,
    "endsAt": None,
    "revision": 1,
}
_NODE: Mapping[str, Any] = {
    "id": "5f2c9a0e41d7",
    "version": "0.1.0",
    "listen": "ws://10.0.0.5:8330",
    "startedAt": 1760000000000,
    "seenAt": 1760000600000,
    "draining": False,
    "connections": 1204,
    "bound": 1198,
    "commands": 88210,
    "commandsFailed": 12,
    "events": 40117,
    "recovered": 310,
    "slowClients": 1,
    "p50Ms": 0.02,
    "p99Ms": 0.4,
}
_CONNECTION: Mapping[str, Any] = {
    "node": _NODE["id"],
    "sessionId": _SESSION["id"],
    "address": "203.0.113.7",
    "since": 1760000000000,
}
_PAST_EVENT: Mapping[str, Any] = {
    "cursor": 1802240000002048,
    "at": 1760000000002,
    "name": "inventory.added",
    "sessionId": None,
    "data": {"item": "sword", "count": 1},
}

EXAMPLES: Mapping[str, Any] = {
    "SessionRequest": {"actorId": "player:7", "meta": {"name": "Zoë", "role": "captain"}},
    "SessionUpdate": {"meta": {"name": "Zoë", "role": "goalkeeper"}, "revision": 1},
    "Reassignment": {"actorId": "player:8"},
    "Event": {"name": "inventory.added", "data": {"item": "sword", "count": 1}},
    "ActorEvent": {"actorId": "player:7", "name": "inventory.added", "data": {"item": "sword"}},
    "Session": _SESSION,
    "SessionWithKey": {
        "key": "player:7:kst_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        **_SESSION,
    },
    "Sessions": {"sessions": [_SESSION], "next": None},
    "Revoked": {"ended": 3},
    "Emitted": {"cursor": 1802240000002048},
    "Status": {"status": "ok"},
    "Node": _NODE,
    "Stats": {"node": _NODE["id"], "nodes": [_NODE]},
    "Connection": _CONNECTION,
    "Connections": {"connections": [_CONNECTION]},
    "PastEvent": _PAST_EVENT,
    "PastEvents": {"events": [_PAST_EVENT]},
    "Actors": {"actors": ["player:7", "player:70"]},
    "Problem": {
        "title": "Not Found",
        "status": 404,
        "detail": "no live session has this id",
        "code": "noSession",
    },
}
"""By the name of the shape in the document."""
