"""
A session as backends see it: with its revision.
"""

from dataclasses import dataclass, field, fields
from typing import Any

from keystay_protocol.errors import MalformedFrame
from keystay_protocol.session import Session


@dataclass(frozen=True, slots=True)
class ControlSession(Session):
    """
    A `Session` with its revision, which counts changes.

    `revision` is for `Control.update_session`. `key` is None except in the answer that
    creates the session.
    """

    revision: int = field(kw_only=True)

    @classmethod
    def from_wire(cls, wire: Any) -> "ControlSession":
        """
        Parse a session of the HTTP API. Unknown fields are ignored.

        Raises:
            MalformedFrame: If a field is missing or of the wrong type.
        """
        session = Session.from_wire(wire)
        revision = wire.get("revision")
        if type(revision) is not int:
            raise MalformedFrame("a session lacks its revision")
        known = {entry.name: getattr(session, entry.name) for entry in fields(session)}
        return cls(**known, revision=revision)
