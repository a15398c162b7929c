"""
Evicts idle connections when the control port is full.

Anybody can connect without a key and stay idle. A new connection replaces the oldest idle one:
first one that never had a response, else one that waits between two requests. A connection
with a request is never closed for another one.
"""

import logging
from collections import OrderedDict
from typing import Protocol

from keystay_server.telemetry.throttled_log import ThrottledLog

log = logging.getLogger("keystay.control")


class IdleConnection(Protocol):
    """A connection without a complete request."""

    def evict(self) -> str:
        """Close the connection; return its remote address."""


class IdleConnections:
    """
    The idle connections, oldest first.

    Args:
        max_connections: The limit for all connections, idle or not.
    """

    def __init__(self, max_connections: int) -> None:
        self.max_connections = max_connections
        self._unused: OrderedDict[IdleConnection, None] = OrderedDict()
        self._used: OrderedDict[IdleConnection, None] = OrderedDict()
        self._log = ThrottledLog(log)

    def add(self, connection: IdleConnection, *, was_used: bool) -> None:
        """The connection became idle; `was_used` if it had a response before."""
        self.discard(connection)
        (self._used if was_used else self._unused)[connection] = None

    def discard(self, connection: IdleConnection) -> None:
        """The connection has a request, or is closed."""
        self._unused.pop(connection, None)
        self._used.pop(connection, None)

    def evict_idle(self) -> None:
        """Close the oldest idle connection, if there is one."""
        idle = self._unused or self._used
        if idle:
            connection, _ = idle.popitem(last=False)
            address = connection.evict()
            self._log.warning(
                f"the control port is full: closed an idle connection of {address}"
            )
