"""
Login without proof, for development.
"""

import secrets
from typing import Any

from keystay_protocol.errors import InvalidParams
from keystay_server.gateway.login.authenticators import Identity


class Anonymous:
    """Accepts everybody. `{"actorId": ...}` chooses the actor."""

    async def authenticate(self, credentials: Any) -> Identity:
        match credentials:
            case None:
                return Identity(f"anonymous-{secrets.token_hex(8)}")
            case {"actorId": str(actor_id)}:
                return Identity(actor_id)
            case dict() if "actorId" not in credentials:
                return Identity(f"anonymous-{secrets.token_hex(8)}")
        raise InvalidParams("credentials must be nil or a map with actorId, a string")
