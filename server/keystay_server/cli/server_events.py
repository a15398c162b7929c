"""
Server-sent events, from lines to events (HTML, 9.2.6): pure.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event; `position` is what to resume from, as far as the server has told."""

    name: str
    data: str
    position: str


class EventReader:
    """
    Reads the lines of a stream.

    `position` outlives a connection: it is what `Last-Event-ID` is to be.
    """

    def __init__(self) -> None:
        self.position = ""
        self._name = ""
        self._data: list[str] = []

    def restart(self) -> None:
        """Forget what was half read: the stream begins anew."""
        self._name = ""
        self._data.clear()

    def read(self, line: str) -> ServerEvent | None:
        """Take a line, without its end; return the event that it completes, if it does."""
        if not line:
            return self._completed()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "event":
                self._name = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self.position = value
        return None  # A line that begins with a colon is a sign of life.

    def _completed(self) -> ServerEvent | None:
        name, data = self._name or "message", "\n".join(self._data)
        is_event = bool(self._data)
        self.restart()
        return ServerEvent(name, data, self.position) if is_event else None
