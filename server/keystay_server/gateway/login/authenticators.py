"""
The interface of a way to log in: credentials in, an identity out.

A program that embeds the server can register its own: any object with an `authenticate` method.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Identity:
    """The actor that credentials belong to, and the fields of its new session."""

    actor_id: str
    meta: Mapping[str, Any] = field(default_factory=dict)
    language: str = "en"


class Authenticator(Protocol):
    """One way to log in."""

    async def authenticate(self, credentials: Any) -> Identity:
        """
        Return the identity that the credentials belong to.

        Raises:
            LoginFailed: If they are not accepted.
            InvalidParams: If they do not have the form of this way to log in.
        """
