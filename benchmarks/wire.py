"""
A client that costs next to nothing: blocking sockets and frames made beforehand.

A benchmark of a server must not wait for its own client, so this is no
WebSocket library: it knows the few forms of a frame that a benchmark meets.
"""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import msgpack

ANSWER_S = 30.0
RECEIVE_BYTES = 65_536
BINARY, TEXT = 0x82, 0x81
_PING, _PONG = 0x89, 0x8A
_MASK = b"\x37\xfa\x21\x3d"


def masked(payload: bytes, head: int = BINARY) -> bytes:
    """One finished WebSocket frame of a client (RFC 6455, 5.2)."""
    length = len(payload)
    assert length < 65536, "no benchmark sends that much at once"
    lengths = (
        bytes((0x80 | length,)) if length < 126 else struct.pack("!BH", 0x80 | 126, length)
    )
    scrambled = bytes(byte ^ _MASK[i % 4] for i, byte in enumerate(payload))
    return bytes((head,)) + lengths + _MASK + scrambled


def command(method: str, *params: Any, id_: int = 7) -> bytes:
    """The frame of a command."""
    return masked(msgpack.packb([0, id_, method, list(params)]))


def pong(payload: bytes) -> bytes:
    """The answer to a ping."""
    return masked(payload, _PONG)


def handshake(host: str, port: int, path: str = "/") -> bytes:
    """The request that opens a WebSocket."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: keystay.v1\r\n\r\n"
    ).encode()


def messages(data: bytes, decode: Callable[[bytes], Any] = msgpack.unpackb) -> list[Any]:
    """Everything in the frames of a server, decoded; the frames must be whole."""
    found = []
    while data:
        frame = split(data)
        assert frame is not None, "half a frame"
        is_ping, payload, data = frame
        assert not is_ping, "a ping that no benchmark expects"
        found.append(decode(payload))
    return found


def split(data: bytes) -> tuple[bool, bytes, bytes] | None:
    """
    Take the first frame of a server; None if it is not whole.

    Returns whether it is a ping, its payload, and what follows it.
    """
    if len(data) < 2:
        return None
    start, length = 2, data[1]
    if length == 126:
        if len(data) < 4:
            return None
        start, (length,) = 4, struct.unpack_from("!H", data, 2)
    assert data[0] in (BINARY, TEXT, _PING), f"a frame no benchmark expects: {data[:2].hex()}"
    if len(data) < start + length:
        return None
    return data[0] == _PING, data[start : start + length], data[start + length :]


class Dialect:
    """How a server encodes messages: as Keystay does, and most peers."""

    path = "/"
    has_sessions = True

    def greet(self, client: "Client") -> None:
        """What a client has to do between the handshake and its first command."""

    def command(self, method: str, *params: Any) -> bytes:
        """The frame of a command."""
        return command(method, *params)

    def decode(self, payload: bytes) -> Any:
        """A reply as `[1, 7, error, result]`, an event as `[2, name, params]`."""
        return msgpack.unpackb(payload)


KEYSTAY = Dialect()


class Client:
    """One WebSocket, ready for commands."""

    def __init__(self, host: str, port: int, dialect: Dialect = KEYSTAY) -> None:
        self.dialect = dialect
        self.socket = socket.create_connection((host, port), timeout=ANSWER_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = b""
        self._open(host, port)
        dialect.greet(self)

    def close(self) -> None:
        """Leave without a close frame."""
        self.socket.close()

    def send(self, frame: bytes) -> None:
        """Send a finished frame."""
        self.socket.sendall(frame)

    def receive(self) -> Any:
        """The next message; a ping that comes first is answered."""
        return self.messages(self._unread_message())[0]

    def receive_payload(self) -> bytes:
        """The next message as it is."""
        [payload] = messages(self._unread_message(), bytes)
        return bytes(payload)

    def messages(self, answer: bytes) -> list[Any]:
        """Everything in these frames, decoded."""
        return messages(answer, self.dialect.decode)

    def receive_up_to_replies(self, count: int) -> bytes:
        """The bytes of all messages up to the next replies, which nothing follows."""
        answer = b""
        while count:
            message = self._unread_message()
            answer += message
            count -= self.messages(message)[0][0] == 1
        assert not self._unread, "more came than was asked for"
        return answer

    def key_of_login(self) -> str:
        """The key of the new session, once `session.login` was sent."""
        event, reply = self.receive(), None
        if event[0] == 2:
            reply = self.receive()
        assert reply is not None, f"the server said {event}"
        session = event[2][0]
        assert (event[1], reply[2], reply[3]["session"]) == ("session.set", None, session)
        return str(session["key"])

    def _open(self, host: str, port: int) -> None:
        self.send(handshake(host, port, self.dialect.path))
        while b"\r\n\r\n" not in self._unread:
            self._read_some()
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head.decode()

    def _unread_message(self) -> bytes:
        """The whole frame of the next message."""
        while True:
            head = self._exactly(2)
            if head[1] == 126:
                head += self._exactly(2)
            length = head[1] if len(head) == 2 else int.from_bytes(head[2:], "big")
            payload = self._exactly(length)
            if head[0] != _PING:
                return head + payload
            self.send(pong(payload))

    def _exactly(self, size: int) -> bytes:
        while len(self._unread) < size:
            self._read_some()
        taken, self._unread = self._unread[:size], self._unread[size:]
        return taken

    def _read_some(self) -> None:
        data = self.socket.recv(RECEIVE_BYTES)
        assert data, "the server hung up"
        self._unread += data


@contextmanager
def logged_in(connect: Callable[[], Client], count: int) -> Iterator[list[tuple[Client, str]]]:
    """Many connections, each bound to a session of its own; with them come their keys."""
    with ExitStack() as cleanup:
        clients = [cleanup.enter_context(closing(connect())) for _ in range(count)]
        # All at once: a store that commits in groups has something to group.
        for client in clients:
            client.send(client.dialect.command("session.login", "anonymous"))
        yield [(client, client.key_of_login()) for client in clients]
