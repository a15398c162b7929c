"""
Who makes room when the control port is full: nobody who is being served.

Anybody can connect and say nothing, or ask for `/livez` and stay. One who comes gets the place
of one who waits: of those who never had an answer, or else of those between two requests, the
one that has waited for the longest.
"""

from collections import OrderedDict
from typing import Protocol

from keystay_server.telemetry.throttled_log import ThrottledLog


class Waiting(Protocol):
    """A connection that is not being served."""

    def give_way(self) -> str:
        """Close; return the address of the other side."""


class Room:
    """
    The connections that wait, in the order in which they began to.

    Args:
        most: How many connections there may be, those that are being served too.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._silent: OrderedDict[Waiting, None] = OrderedDict()
        self._answered: OrderedDict[Waiting, None] = OrderedDict()
        self._line = ThrottledLog()

    def wait(self, connection: Waiting, *, was_answered: bool) -> None:
        """It is not being served from now on."""
        self.leave(connection)
        (self._answered if was_answered else self._silent)[connection] = None

    def leave(self, connection: Waiting) -> None:
        """It is being served, or gone."""
        self._silent.pop(connection, None)
        self._answered.pop(connection, None)

    def make(self) -> None:
        """Close one that waits, if there is one."""
        waiting = self._silent or self._answered
        if waiting:
            connection, _ = waiting.popitem(last=False)
            address = connection.give_way()
            self._line.warn(f"the control port is full: closed an idle connection of {address}")
