"""
A peer that speaks WebSocket byte by byte, and can break every rule of it.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import msgpack

WAIT_S = 5.0

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

NO_MASK = bytes(4)

HANDSHAKE = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered to a handshake."""

    status: int
    headers: dict[str, str]
    body: str


def request(path: str = "/", **headers: str | list[str] | None) -> bytes:
    """A handshake; a header is named with `_` for `-`, and None leaves it out."""
    named: dict[str, Any] = {**HANDSHAKE}
    for name, value in headers.items():
        named[name.replace("_", "-")] = value
    lines = [f"GET {path} HTTP/1.1"]
    for name, value in named.items():
        values = value if isinstance(value, list) else [] if value is None else [value]
        lines += [f"{name}: {each}" for each in values]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes = NO_MASK
) -> bytes:
    """A WebSocket frame as a client sends it."""
    length = len(payload)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 65536:
        head += struct.pack("!BH", 0x80 | 126, length)
    else:
        head += struct.pack("!BQ", 0x80 | 127, length)
    if mask != NO_MASK:
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return head + mask + payload


def command(id_: int, method: str, *params: Any) -> bytes:
    """A command, as the payload of a frame."""
    packed: bytes = msgpack.packb([0, id_, method, list(params)])
    return packed


class RawPeer:
    """The client's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *data: bytes) -> None:
        """Send bytes, all in one go."""
        self.writer.write(b"".join(data))

    async def handshake(self, data: bytes | None = None) -> Answer:
        """Send a handshake, and read the answer."""
        self.send(request() if data is None else data)
        async with asyncio.timeout(WAIT_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.rstrip().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Answer(int(status.split()[1]), headers, body.decode())

    async def receive(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload."""
        async with asyncio.timeout(WAIT_S):
            first, length = await self.reader.readexactly(2)
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
            assert first & 0xF0 == 0x80, "a server sends whole messages, uncompressed"
            return first & 0x0F, await self.reader.readexactly(length)

    async def message(self) -> Any:
        """The next message, as MessagePack reads it."""
        opcode, payload = await self.receive()
        assert opcode == BINARY, (opcode, payload)
        return msgpack.unpackb(payload)

    async def call(self, method: str, *params: Any) -> tuple[str | None, Any]:
        """Send a command, pass over events, return error and result of the reply."""
        self.send(frame(BINARY, command(1, method, *params)))
        while (message := await self.message())[0] != 1:
            pass
        return message[2], message[3]

    async def ask_for_4_kib(self, times: int) -> None:
        """Send commands with such a reply each, and read none of them."""
        paths = [f"{number:0>126}" for number in range(32)]
        self.send(frame(BINARY, command(0, "events.subscribe", paths)))
        for id_ in range(1, times):
            self.send(frame(BINARY, command(id_, "events.subscribe", [])))
        async with asyncio.timeout(WAIT_S):
            await self.writer.drain()

    async def close_frame(self) -> tuple[int, str]:
        """Pass over everything up to the close frame; return its code and reason."""
        while (received := await self.receive())[0] != CLOSE:
            pass
        (code,) = struct.unpack("!H", received[1][:2])
        return code, received[1][2:].decode()

    async def end(self) -> bytes:
        """Wait until the server has ended the connection; return what came until then."""
        async with asyncio.timeout(WAIT_S):
            with suppress(ConnectionError):
                return await self.reader.read()
        return b""


@asynccontextmanager
async def dialled(host: str, port: int, **options: Any) -> AsyncIterator[RawPeer]:
    """Open a TCP connection, without a handshake; drop it at the end."""
    reader, writer = await asyncio.open_connection(host, port, **options)
    try:
        yield RawPeer(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def dialled_narrowly(host: str, port: int) -> AsyncIterator[RawPeer]:
    """As `dialled`, with a peer whose system takes a few KiB for it, and no more."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    narrow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(narrow, (host, port))
    reader, writer = await asyncio.open_connection(sock=narrow, limit=1024)
    try:
        yield RawPeer(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
