"""
Server-sent events, from bytes to messages (WHATWG HTML, section 9.2), without I/O.
"""

from dataclasses import dataclass

from keystay_protocol.errors import MalformedFrame

MAX_MESSAGE_BYTES = 256 * 1024
"""The longest message taken: one event has a session in it, whose meta is 4 KiB at most."""

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Message:
    """One message, and the id in force after it."""

    event: str
    data: str
    last_id: str | None


class Messages:
    """
    Takes one stream of bytes apart.

    `last_id` is where to go on after the messages returned so far, None at the
    beginning. `retry_s` is how long the server asks to wait before coming back.
    """

    def __init__(self, last_id: str | None = None) -> None:
        self.last_id = last_id
        self.retry_s: float | None = None
        self._id = last_id
        self._event = ""
        self._data: list[str] = []
        self._size = 0
        self._rest = b""
        self._after_cr = False
        self._is_first_line = True

    def receive(self, data: bytes) -> list[Message]:
        """
        Return the messages that these bytes complete.

        Raises:
            MalformedFrame: If one is too long, or not UTF-8.
        """
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
        if not data:
            return []
        self._after_cr = data.endswith(b"\r")
        lines = (self._rest + data).splitlines(keepends=True)
        self._rest = b"" if lines[-1].endswith((b"\r", b"\n")) else lines.pop()
        if self._size + len(self._rest) > MAX_MESSAGE_BYTES:
            raise MalformedFrame("a message of the feed is too long")
        return [message for line in lines if (message := self._line(line)) is not None]

    def _line(self, line: bytes) -> Message | None:
        if self._is_first_line:
            line = line.removeprefix(_BOM)
            self._is_first_line = False
        self._size += len(line)
        if self._size > MAX_MESSAGE_BYTES:
            raise MalformedFrame("a message of the feed is too long")
        try:
            text = line.rstrip(b"\r\n").decode()
        except UnicodeDecodeError:
            raise MalformedFrame("the feed is not UTF-8") from None
        if not text:
            return self._end()
        name, _, value = text.partition(":")
        self._field(name, value.removeprefix(" "))
        return None

    def _field(self, name: str, value: str) -> None:
        match name:
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
            case "id" if value.isascii() and value.isprintable():
                self._id = value  # Any other could not be sent back in a header.
            case "retry" if value.isdecimal():
                self.retry_s = int(value) / 1000
            case "":  # A comment keeps the line alive, and may come for hours.
                self._size = sum(map(len, self._data))

    def _end(self) -> Message | None:
        # An id without data counts too: it says where to go on before anything happened.
        self.last_id = self._id
        data, event = self._data, self._event or "message"
        self._data, self._event, self._size = [], "", 0
        return Message(event, "\n".join(data), self.last_id) if data else None
