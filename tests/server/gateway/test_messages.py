"""
Messages over a real socket: how they may arrive, and what ends the connection.
"""

import asyncio
import os
from random import Random
from typing import Any

import msgpack
import pytest

from keystay_protocol.codec import Limits
from tests.support.server.gateway import Gateway, listening
from tests.support.server.raw_peer import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    RawPeer,
    command,
    frame,
)

NOW = command(7, "time.now")


async def test_a_command_is_answered(gateway: Gateway) -> None:
    """A binary message, masked as RFC 6455 has it, and a reply."""
    async with gateway.connected() as peer:
        for mask in (bytes(4), b"\x01\x02\x03\x04", b"\x82\x85\x82\x85", b"\xff\xff\xff\xff"):
            peer.send(frame(BINARY, NOW, mask=mask))
            assert (await peer.message())[:3] == [1, 7, None]


async def test_many_commands_in_one_segment(gateway: Gateway) -> None:
    """They are answered in order."""
    async with gateway.connected() as peer:
        peer.send(*(frame(BINARY, command(number, "time.now")) for number in range(500)))
        assert [(await peer.message())[1] for _ in range(500)] == list(range(500))


async def test_commands_of_every_kind_in_one_segment(gateway: Gateway) -> None:
    """Some wait for the store, some do not, some are large: replies keep their order."""
    async with gateway.connected() as peer:
        peer.send(frame(BINARY, command(0, "session.login", "anonymous")))
        peer.send(frame(BINARY, command(1, "session.isValid", "x" * 40_000)))
        peer.send(frame(BINARY, command(2, "time.now")))
        peer.send(frame(BINARY, command(3, "session.logout")))
        peer.send(frame(BINARY, command(4, "session.list")))
        replies: list[tuple[int, str | None]] = []
        while len(replies) < 5:
            message = await peer.message()
            if message[0] == 1:
                replies.append((message[1], message[2]))
        assert replies == [
            (0, None),
            (1, "invalidSessionKey"),
            (2, None),
            (3, None),
            (4, "noSession"),
        ]


@pytest.mark.parametrize("mask", [bytes(4), b"\x82\x85\x01\x02", b"\x82\x80\x82\x80"])
async def test_a_segment_may_end_anywhere(gateway: Gateway, mask: bytes) -> None:
    """Three commands, cut at each byte in turn, with masks that look like frame heads."""
    data = b"".join(
        frame(BINARY, command(number, "time.now"), mask=mask) for number in range(3)
    )
    async with gateway.connected() as peer:
        for cut in range(1, len(data)):
            peer.send(data[:cut])
            await turns()
            peer.send(data[cut:])
            assert [(await peer.message())[1] for _ in range(3)] == [0, 1, 2]


async def test_a_command_may_arrive_byte_by_byte(gateway: Gateway) -> None:
    """It is one command all the same."""
    async with gateway.connected() as peer:
        for byte in frame(BINARY, NOW, mask=os.urandom(4)):
            peer.send(bytes([byte]))
            await turns()
        assert (await peer.message())[:3] == [1, 7, None]


async def test_fragments_make_one_message(gateway: Gateway) -> None:
    """Of one byte, of none, with pings and pongs between them; then a whole message."""
    pieces = [b"", *(bytes([byte]) for byte in NOW), b""]
    async with gateway.connected() as peer:
        for _ in range(2):
            peer.send(frame(BINARY, b"", fin=False))
            for piece in pieces:
                peer.send(frame(PING, piece), frame(PONG), frame(CONT, piece, fin=False))
            peer.send(frame(CONT, b""), frame(BINARY, command(8, "time.now")))
            replies, pongs = await sorted_out(peer, len(pieces) + 2)
            assert ([reply[1] for reply in replies], pongs) == ([7, 8], pieces)


async def test_a_message_may_be_as_large_as_the_limit(gateway: Gateway) -> None:
    """64 KiB in one piece or in several; the connection stays open."""
    padding = 65_536 - len(command(7, "session.isValid", "x" * 60_000)) + 60_000
    largest = command(7, "session.isValid", "x" * padding)
    assert len(largest) == 65_536
    async with gateway.connected() as peer:
        for data in (
            frame(BINARY, largest),
            frame(BINARY, largest[:30_000], fin=False) + frame(CONT, largest[30_000:]),
        ):
            peer.send(data)
            assert (await peer.message())[2] == "invalidSessionKey"


@pytest.mark.parametrize(
    "data",
    [
        frame(BINARY, bytes(65_537)),
        frame(BINARY, bytes(40_000), fin=False) + frame(CONT, bytes(25_537)),
        frame(BINARY, b"", fin=False) + frame(CONT, b"", fin=False) * 4096,
        frame(BINARY, b"")[:1] + b"\xff\x7f" + b"\xff" * 7 + bytes(4),
    ],
    ids=["in one piece", "in two", "in too many", "as announced"],
)
async def test_a_message_beyond_the_limit_is_1009(gateway: Gateway, data: bytes) -> None:
    """Before it has arrived in whole: nothing of it is kept."""
    async with gateway.connected() as peer:
        peer.send(data)
        assert (await peer.close_frame())[0] == 1009


async def test_a_message_may_have_4096_fragments(gateway: Gateway) -> None:
    """That is the limit."""
    async with gateway.connected() as peer:
        peer.send(
            frame(BINARY, NOW, fin=False), frame(CONT, b"", fin=False) * 4094, frame(CONT)
        )
        assert (await peer.message())[:3] == [1, 7, None]


async def test_the_limits_can_be_set() -> None:
    """Size and depth of a message."""
    async with listening(messages=Limits(size=1024, depth=3)) as gateway:
        async with gateway.connected() as peer:
            peer.send(frame(BINARY, bytes(1025)))
            assert (await peer.close_frame())[0] == 1009
        async with gateway.connected() as peer:
            peer.send(frame(BINARY, msgpack.packb([0, 1, "time.now", [[[]]]])))
            assert (await peer.close_frame())[0] == 4500


@pytest.mark.parametrize("data", [frame(TEXT, b"{}"), frame(TEXT, b"", fin=False)])
async def test_a_text_message_is_1003(gateway: Gateway, data: bytes) -> None:
    """Binary only, and this is known from the first fragment."""
    async with gateway.connected() as peer:
        peer.send(data)
        assert (await peer.close_frame())[0] == 1003


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        b"not a command",
        NOW + b"\x00",
        NOW[:-1],
        msgpack.packb([1, 7, None, None]),
        msgpack.packb([2, "session.set", [None, None]]),
        b"\x91" * 60_000,
    ],
)
async def test_a_malformed_message_is_4500(gateway: Gateway, message: bytes) -> None:
    """The close frame has the reason, without repeating what was sent; there is no reply."""
    async with gateway.connected() as peer:
        peer.send(frame(BINARY, message))
        code, reason = await peer.close_frame()
        assert (code, bool(reason)) == (4500, True)


async def test_what_comes_before_a_malformed_message_is_answered(gateway: Gateway) -> None:
    """What comes after it is not."""
    async with gateway.connected() as peer:
        peer.send(frame(BINARY, NOW), frame(BINARY, b"\xc1"), frame(BINARY, NOW))
        assert (await peer.message())[:3] == [1, 7, None]
        opcode, payload = await peer.receive()
        assert (opcode, payload[:2]) == (CLOSE, (4500).to_bytes(2))


@pytest.mark.parametrize(
    "data",
    [
        frame(BINARY, NOW, rsv=0b100),
        frame(BINARY, NOW, rsv=0b001),
        frame(0x3, NOW),
        frame(0xB),
        frame(PING, bytes(126)),
        frame(PING, b"", fin=False),
        frame(CONT, NOW),
        frame(BINARY, NOW, fin=False) + frame(BINARY, NOW),
        b"\x82\x03" + NOW,
        frame(CLOSE, b"\x00"),
        frame(CLOSE, b"\x03\xe7"),
        frame(CLOSE, b"\x03\xed"),
    ],
    ids=[
        "compressed",
        "reserved bit",
        "reserved opcode",
        "reserved control opcode",
        "long ping",
        "fragmented ping",
        "nothing to continue",
        "not continued",
        "unmasked",
        "half a close code",
        "close code 999",
        "close code 1005",
    ],
)
async def test_a_frame_against_rfc_6455_is_1002(gateway: Gateway, data: bytes) -> None:
    """Compression is one case, since none was negotiated."""
    async with gateway.connected() as peer:
        peer.send(data)
        assert (await peer.close_frame())[0] == 1002


async def test_a_close_reason_that_is_not_text_is_1007(gateway: Gateway) -> None:
    """The only text that the WebSocket layer checks."""
    async with gateway.connected() as peer:
        peer.send(frame(CLOSE, b"\x03\xe8\xff"))
        assert (await peer.close_frame())[0] == 1007


async def test_a_ping_is_answered_with_its_own_payload(gateway: Gateway) -> None:
    """At any time, between commands."""
    async with gateway.connected() as peer:
        peer.send(frame(PING, b"are you there?"), frame(BINARY, NOW), frame(PING))
        replies, pongs = await sorted_out(peer, 3)
        assert ([reply[1] for reply in replies], pongs) == ([7], [b"are you there?", b""])


async def test_an_unsolicited_pong_is_ignored(gateway: Gateway) -> None:
    """RFC 6455, 5.5.3: no answer is expected."""
    async with gateway.connected() as peer:
        peer.send(frame(PONG, b"hello"), frame(BINARY, NOW))
        assert (await peer.message())[1] == 7


@pytest.mark.parametrize("seed", range(20))
async def test_no_input_stops_the_server(gateway: Gateway, seed: int) -> None:
    """Noise, and frames with a byte changed: an answer or a close frame, never a crash."""
    random = Random(seed)
    good = frame(BINARY, NOW) + frame(PING, b"x") + frame(BINARY, b"", fin=False) + frame(CONT)
    async with gateway.connected() as peer:
        for _ in range(20):
            data = bytearray(good * 3)
            data[random.randrange(len(data))] = random.randrange(256)
            peer.send(bytes(data), random.randbytes(random.randrange(8)))
        peer.writer.write_eof()
        await peer.end()
    async with gateway.connected() as peer:
        assert (await peer.call("time.now"))[0] is None


async def sorted_out(peer: RawPeer, number: int) -> tuple[list[Any], list[bytes]]:
    """The next frames: the messages among them, and the payloads of the pongs."""
    received = [await peer.receive() for _ in range(number)]
    messages = [msgpack.unpackb(payload) for opcode, payload in received if opcode == BINARY]
    return messages, [payload for opcode, payload in received if opcode == PONG]


async def turns() -> None:
    """Let the server read the bytes sent so far."""
    for _ in range(3):
        await asyncio.sleep(0)
