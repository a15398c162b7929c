"""
The golden vectors of the protocol, and sessions like those in them.
"""

import json
from typing import Any

from keystay_protocol.codec import encode
from keystay_protocol.frames import Event, Reply
from keystay_protocol.session import Session
from tests.support.paths import ROOT

VECTORS = ROOT / "protocol" / "vectors"

KEY = "player:7:kst_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
OTHER_KEY = "player:7:kst_BBECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
CURSOR = 1_802_240_000_000_000
AFTER = {"cursor": CURSOR}
"""What a client tells that heard all up to `CURSOR`."""


def vector(file: str, name: str) -> bytes:
    """The bytes of the vector with this name."""
    vectors = json.loads((VECTORS / file).read_text())["vectors"]
    (found,) = [v["hex"] for v in vectors if v["name"] == name]
    return bytes.fromhex(found)


def wire_session(**changes: Any) -> dict[str, Any]:
    """The session of the vectors, as it is on the wire."""
    session: dict[str, Any] = {
        "key": KEY,
        "actorId": "player:7",
        "meta": {},
        "id": "cGxheWVyOjc.Vt0mQ1yXc2nP8aLk",
        "language": "en",
        "version": None,
        "createdAt": 1760000000000,
        "expiresAt": 1760001800000,
        "endsAt": None,
    }
    return session | changes


SESSION = Session.from_wire(wire_session())


def session_set(cursor: int | None = CURSOR, **changes: Any) -> bytes:
    """A `session.set` event."""
    return encode(Event("session.set", wire_session(**changes), cursor))


def session_unset(reason: str, cursor: int | None, **changes: Any) -> bytes:
    """A `session.unset` event of the same session."""
    return encode(
        Event("session.unset", {"reason": reason, "id": wire_session(**changes)["id"]}, cursor)
    )


def bound(
    id_: int, cursor: int | None = CURSOR, *, recovered: bool = False, **changes: Any
) -> bytes:
    """The reply to a restore or a login."""
    result = {
        "session": wire_session(**changes),
        "cursor": cursor,
        "recovered": recovered,
    }
    return encode(Reply(id_, None, result))


def done(id_: int, result: Any = None) -> bytes:
    """The reply to a command that succeeded."""
    return encode(Reply(id_, None, result))


def refused(id_: int, code: str, **details: Any) -> bytes:
    """The reply to a command that was refused."""
    return encode(Reply(id_, code, details or None))
