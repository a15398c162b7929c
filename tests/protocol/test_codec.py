"""Bytes to frames and back, by example; the golden vectors and the fuzz tests say more."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from keystay_protocol.codec import (
    DEFAULT_LIMITS,
    FROM_SERVER,
    Limits,
    decode,
    decode_command,
    encode,
    pack,
    unpack,
)
from keystay_protocol.errors import MalformedFrame
from keystay_protocol.frames import Command, Event, Frame, Reply

KIB = 1024
MIB = 1024 * KIB


@pytest.mark.parametrize(
    "frame",
    [
        Command(1, "time.now", []),
        Command(2**32 - 1, "session.restore", ["key", {"cursor": 2**53 - 1}]),
        Reply(0, None, None),
        Reply(7, "unavailable", {"retryAfter": 0.5}),
        Event("session.set", {"meta": {"name": "Zoë"}}, 1_802_240_000_000_000),
        Event("server.draining", {"reconnectAfter": 1840}, None),
    ],
)
def test_a_frame_survives_the_wire(frame: Frame) -> None:
    """What was encoded is decoded to the same frame."""
    assert decode(encode(frame)) == frame


@pytest.mark.parametrize(
    "message",
    [[2, "e", [None, True]], [1, True, None, None], [False, 1, "m", []], [0, 1.0, "m", []]],
)
def test_booleans_and_floats_are_no_integers(message: list[Any]) -> None:
    """True is not 1, and 1.0 is not 1, wherever the protocol wants an integer."""
    with pytest.raises(MalformedFrame):
        decode(pack(message))


def test_a_bytearray_is_read_like_bytes() -> None:
    """A message that was put together from fragments needs no copy, whatever its size."""
    for size in (1, 2 * KIB):
        command = Command(1, "m", ["x" * size])
        assert decode_command(bytearray(encode(command))) == command


def test_one_map_one_key() -> None:
    """Equal keys are refused even where the last one would win; so are keys of other types."""
    with pytest.raises(MalformedFrame, match="same key twice"):
        unpack(bytes.fromhex("82a16101a16102"))
    with pytest.raises(MalformedFrame, match="not a string"):
        unpack(bytes.fromhex("81c4016101"))


class TestLimits:
    """What a peer may send at most."""

    def test_the_defaults_are_those_of_the_spec(self, section: Callable[[int], str]) -> None:
        """SPEC section 2.3 and the code name the same limits."""
        assert Limits() == DEFAULT_LIMITS
        assert f"64 KiB ({DEFAULT_LIMITS.size:,} bytes) | 1 MiB |" in section(2)
        assert FROM_SERVER.size == MIB
        assert f"| {DEFAULT_LIMITS.depth} | {FROM_SERVER.depth} |" in section(2)

    def test_size_counts_the_whole_frame(self) -> None:
        """A frame of just the allowed size passes, one byte more does not."""
        data = encode(Command(1, "m", ["x"]))
        assert decode(data, Limits(size=len(data)))
        with pytest.raises(MalformedFrame, match=f"{len(data)} bytes"):
            decode(data, Limits(size=len(data) - 1))

    def test_depth_counts_the_frame_itself(self) -> None:
        """The frame's own array is the first level."""
        data = encode(Command(1, "m", [{"a": []}]))
        assert decode(data, Limits(depth=4))
        with pytest.raises(MalformedFrame, match="nested"):
            decode(data, Limits(depth=3))

    def test_plain_values_have_the_same_limits(self) -> None:
        """`unpack` keeps the limits without a frame around the value."""
        assert unpack(pack({"a": 1}), Limits(depth=1)) == {"a": 1}
        with pytest.raises(MalformedFrame):
            unpack(pack({"a": []}), Limits(depth=1))
        assert unpack(pack(5), Limits(depth=0)) == 5


class TestMessages:
    """What an error says."""

    @pytest.mark.parametrize(
        "data",
        [
            b"\x94\x00\x01\xa1m\x91\xaasecret\xff\xff\xff\xff",
            b"\x94\x00\x01\xa6secret",
            b"\x94\x00\x01\x91\xa6secret\x90",
            b"\x81\xa6secret",
        ],
    )
    def test_nothing_of_the_bytes_is_quoted(self, data: bytes) -> None:
        """The text of an error may be logged and sent: it holds nothing that was received."""
        with pytest.raises(MalformedFrame) as caught:
            decode(data)
        error: BaseException | None = caught.value
        assert "secret" not in str(error)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None

    def test_the_reason_fits_a_close_frame(self) -> None:
        """A close frame has room for 123 bytes of reason (RFC 6455 section 5.5)."""
        for data in (b"", b"\x90", b"\x94\x02\x01\xa0\x90", bytes(10**7), b"\x91" * 500):
            with pytest.raises(MalformedFrame) as caught:
                decode(data)
            assert len(str(caught.value).encode()) <= 123


class TestPack:
    """Writing what cannot be written."""

    @pytest.mark.parametrize("value", [object(), 2**64, "\ud800", {"a": {1, 2}}])
    def test_a_failure_leaves_nothing_behind(self, value: object) -> None:
        """What failed half-way does not leak into the next message."""
        with pytest.raises((TypeError, OverflowError, ValueError)):
            pack(["the beginning", value])
        assert pack(5) == b"\x05"


def filled(start: str, item: str, size: int = 64 * KIB) -> bytes:
    """As many items as fit into the size, after what they start with."""
    head, body = bytes.fromhex(start), bytes.fromhex(item)
    return head + body * ((size - len(head)) // len(body))


def command_with_items(item: str) -> bytes:
    count = (64 * KIB - 9) // len(bytes.fromhex(item))
    return filled(f"940001a16d91dc{count:04x}", item)


HEAVY = {
    "empty maps": command_with_items("80"),
    "empty arrays": command_with_items("90"),
    "maps of one": command_with_items("81a0c0"),
    "maps of two": command_with_items("82a0c0a16100"),
    "arrays of one": command_with_items("9100"),
    "short strings": command_with_items("a2d0b0"),
    "short binaries": command_with_items("c4020000"),
    "floats": command_with_items("ca00000000"),
    "timestamps": command_with_items("d6ff00000001"),
    "arrays that announce more than there is": filled("", "dcff00"),
    "maps that announce more than there is": filled("", "de7f00a0"),
    "announcements in 64 KiB of nil": filled("", "dcff00", 3 * KIB).ljust(64 * KIB, b"\xc0"),
    "announcements in 8 KiB": filled("", "dc1f00", 8 * KIB),
    "announcements in 1 KiB": filled("", "dc0400", KIB),
    "arrays within each other": filled("", "91"),
    "maps within each other": filled("", "81a161"),
}


@pytest.mark.parametrize("data", HEAVY.values(), ids=HEAVY.keys())
def test_64_kib_never_cost_much_memory(data: bytes) -> None:
    """The worst that fits into a message takes less than 16 MiB to read or to refuse."""
    tracemalloc.start()
    try:
        decode(data)
    except MalformedFrame:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 16 * MIB


def test_deep_nesting_is_refused_not_survived() -> None:
    """No depth of nesting ends in a RecursionError, here or in whoever logs the frame."""
    for depth in (17, 100, 1_000, 10_000, 60_000):
        with pytest.raises(MalformedFrame):
            unpack(b"\x91" * depth + b"\xc0")
