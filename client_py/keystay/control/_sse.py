"""
Server-sent events, from bytes to messages (WHATWG HTML, section 9.2), without I/O.
"""

from dataclasses import dataclass

from keystay_protocol.errors import MalformedFrame

MAX_MESSAGE_BYTES = 256 * 1024
"""The longest message accepted: an event contains one session, with 4 KiB of meta at most."""

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Message:
    """One message, and the last event id after it."""

    event: str
    data: str
    last_id: str | None


class Messages:
    """
    Parses one stream of bytes.

    `last_id` is the position after the messages returned so far, None at the beginning.
    `retry_s` is the delay before reconnecting that the server asked for.
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
        Return the messages completed by these bytes.

        Raises:
            MalformedFrame: If a message is too long, or not UTF-8.
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
                self._id = value  # Others cannot be sent in a header.
            case "retry" if value.isdecimal():
                self.retry_s = int(value) / 1000
            case "":  # Comments keep the connection alive, and do not add up.
                self._size = sum(map(len, self._data))

    def _end(self) -> Message | None:
        # An id without data counts too: it is the position before the first event.
        self.last_id = self._id
        data, event = self._data, self._event or "message"
        self._data, self._event, self._size = [], "", 0
        return Message(event, "\n".join(data), self.last_id) if data else None
