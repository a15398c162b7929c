"""
Tickets: signed cookies that stand for an API key for 12 hours. No I/O and no state.

A ticket is `v1.<until>.<name of the key>.<signature>`, signed with a secret derived from its
API key: it survives a restart, is valid on every node, and ends with its key. It does not
reveal the key. The CSRF token is a second signature, of the ticket.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

VALID_S = 12 * 60 * 60
MAX_TICKET_LENGTH = 512

_VERSION = "v1"


class Keyring(Protocol):
    """The API keys of this installation."""

    def name_of(self, key: str, /) -> str | None:
        """Return the name of the key, in constant time; None if it is unknown."""

    def digest_of(self, name: str, /) -> bytes | None:
        """Return a digest of the key with this name; None if there is none."""


@dataclass(frozen=True, slots=True)
class _Ticket:
    """What a signed ticket says; `until` is Unix time in seconds."""

    name: str
    until: int


class Tickets:
    """
    Issues and verifies tickets.

    Args:
        clock: Unix time in seconds.
    """

    def __init__(self, keyring: Keyring, clock: Callable[[], float]) -> None:
        self._keyring = keyring
        self._clock = clock

    def issue(self, key: str) -> str | None:
        """Return a ticket for this API key; None if the key is unknown."""
        name = self._keyring.name_of(key)
        if name is None:
            return None
        until = int(self._clock()) + VALID_S
        claim = f"{_VERSION}.{until}.{urlsafe_b64encode(name.encode()).decode()}"
        return f"{claim}.{self._signature(name, 'ticket', claim)}"

    def name_of(self, ticket: str) -> str | None:
        """Return the name of the API key of the ticket; None if the ticket is invalid."""
        read = self._read(ticket)
        return read.name if read is not None and self._clock() < read.until else None

    def is_forged(self, ticket: str) -> bool:
        """Return whether it was never issued with a present key; it may be expired."""
        return self._read(ticket) is None

    def _read(self, ticket: str) -> "_Ticket | None":
        claim, _, signature = ticket[:MAX_TICKET_LENGTH].rpartition(".")
        match claim.split("."):
            case [version, until, encoded] if version == _VERSION:
                name = _decoded(encoded)
            case _:
                return None
        if name is None or not self._is_signed(name, claim, signature):
            return None
        read = _Ticket(name, int(until))
        # None was issued that is valid for longer.
        return read if read.until <= self._clock() + VALID_S else None

    def token_of(self, ticket: str) -> str:
        """Return the CSRF token of this valid ticket."""
        return self._signature(self.name_of(ticket) or "", "token", ticket)

    def _is_signed(self, name: str, claim: str, signature: str) -> bool:
        expected = self._signature(name, "ticket", claim)
        return bool(expected) and hmac.compare_digest(signature.encode(), expected.encode())

    def _signature(self, name: str, purpose: str, text: str) -> str:
        """Return a signature by the key with this name; empty if there is none."""
        digest = self._keyring.digest_of(name)
        if digest is None:
            return ""
        secret = hmac.digest(digest, b"keystay dashboard", hashlib.sha256)
        signature = hmac.digest(secret, f"{purpose}\n{text}".encode(), hashlib.sha256)
        return urlsafe_b64encode(signature).rstrip(b"=").decode()


def _decoded(text: str) -> str | None:
    try:
        return urlsafe_b64decode(text.encode("ascii")).decode()
    except ValueError:
        return None
