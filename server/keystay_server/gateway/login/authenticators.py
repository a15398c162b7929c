"""
Ways to log in over a connection: credentials in, an actor out.

Off unless configured. A program that embeds the server may register its own:
any object with an `authenticate` method.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from keystay_protocol.errors import InvalidParams


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the credentials belong to, and what the session is to carry."""

    actor_id: str
    meta: Mapping[str, Any] = field(default_factory=dict)
    language: str = "en"


class Authenticator(Protocol):
    """One way to log in."""

    async def authenticate(self, credentials: Any) -> Identity:
        """
        Tell who the credentials belong to.

        Raises:
            LoginFailed: If they are not accepted.
            InvalidParams: If they do not have the form that this way takes.
        """


class Anonymous:
    """Lets everybody in, for development. `{"actorId": ...}` chooses who to be."""

    async def authenticate(self, credentials: Any) -> Identity:
        match credentials:
            case None:
                return Identity(f"anonymous-{secrets.token_hex(8)}")
            case {"actorId": str(actor_id)}:
                return Identity(actor_id)
            case dict() if "actorId" not in credentials:
                return Identity(f"anonymous-{secrets.token_hex(8)}")
        raise InvalidParams("credentials must be nil or a map with actorId, a string")
