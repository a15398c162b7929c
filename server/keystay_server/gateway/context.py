"""
What a command handler can use.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from keystay_server.delivery.bindings import Peer
from keystay_server.delivery.hub import Hub
from keystay_server.gateway.login.authenticators import Authenticator
from keystay_server.sessions.service import Sessions


@dataclass(frozen=True, slots=True)
class Services:
    """What all connections of this node share."""

    sessions: Sessions
    hub: Hub
    authenticators: Mapping[str, Authenticator]


@dataclass(frozen=True, slots=True)
class Context:
    """One connection as its commands see it."""

    services: Services
    peer: Peer
