"""The law of the codec, on bytes that nobody thought of."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystay_protocol.codec import Limits, decode, decode_command, encode, pack, unpack
from keystay_protocol.errors import MalformedFrame
from keystay_protocol.frames import MAX_CALLBACK_ID, Command, Event, Frame, Reply

pytestmark = pytest.mark.long

# The same examples on every run: a failure here is never somebody else's bad luck.
thorough = settings(derandomize=True, deadline=None, max_examples=400)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.binary(max_size=40)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)
ids = st.integers(0, MAX_CALLBACK_ID)
commands = st.builds(Command, ids, st.text(), st.lists(values, max_size=4))
replies = st.builds(Reply, ids, st.none() | st.text(), values)
events = st.builds(Event, st.text(), values, st.none() | st.integers(0, 2**53 - 1))
frames = commands | replies | events


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A frame of which some bytes were changed, taken out, put in or cut off."""
    data = bytearray(encode(draw(frames)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["change", "take", "put", "cut"])):
            case "change":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "take":
                del data[at : at + draw(st.integers(1, 8))]
            case "put":
                data[at:at] = draw(st.binary(max_size=8))
            case "cut":
                del data[at:]
    return bytes(data)


def keeps_the_rules(value: Any, levels_left: int) -> bool:
    """Whether a value could be part of a frame: SPEC sections 2.2 and 2.3."""
    match value:
        case list():
            return levels_left > 0 and all(keeps_the_rules(v, levels_left - 1) for v in value)
        case dict():
            return (
                levels_left > 0
                and all(type(key) is str for key in value)
                and all(keeps_the_rules(v, levels_left - 1) for v in value.values())
            )
        case str():
            return value.isprintable() or value.encode().decode() == value
        case None | bool() | int() | float() | bytes():
            return True
    return type(value).__name__ == "Timestamp"


def check_law(data: bytes) -> None:
    """`decode` returns a frame that keeps the rules, or raises MalformedFrame."""
    try:
        frame = decode(data)
    except MalformedFrame:
        return
    assert len(repr(frame)) < 8 * len(data) + 200
    match frame:
        case Command(id_, method, params):
            assert type(id_) is int
            assert 0 <= id_ <= MAX_CALLBACK_ID
            assert type(method) is str
            assert type(params) is list
            assert keeps_the_rules(params, 15)
        case Reply(id_, error, result):
            assert type(id_) is int
            assert 0 <= id_ <= MAX_CALLBACK_ID
            assert error is None or type(error) is str
            assert keeps_the_rules(result, 15)
        case Event(name, data_, cursor):
            assert type(name) is str
            assert keeps_the_rules(data_, 14)
            assert cursor is None or (type(cursor) is int and 0 <= cursor < 2**53)


@thorough
@given(frames)
def test_every_frame_survives_the_wire(frame: Frame) -> None:
    """Whatever a frame carries, it arrives as it was."""
    assert decode(encode(frame)) == frame


@thorough
@given(commands)
def test_a_server_reads_every_command_as_any_reader_does(command: Command) -> None:
    """The reader that takes commands only agrees with the one that takes all frames."""
    assert decode_command(encode(command)) == command


@thorough
@given(values)
def test_every_value_survives_packing(value: Any) -> None:
    """Plain data is packed and unpacked without loss."""
    assert unpack(pack(value)) == value


@thorough
@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_malformed(data: bytes) -> None:
    """No bytes make the decoder fail in another way."""
    check_law(data)


@thorough
@given(st.sampled_from([3, 4]), st.integers(0, 2), st.binary(max_size=200))
def test_any_bytes_after_a_good_beginning_are_a_frame_or_malformed(
    count: int, type_: int, rest: bytes
) -> None:
    """Nor do bytes that begin like a frame."""
    check_law(bytes((0x90 + count, type_)) + rest)


@settings(thorough, max_examples=1000)
@given(damaged())
def test_a_damaged_frame_is_a_frame_or_malformed(data: bytes) -> None:
    """Nor does a real frame that was damaged on its way."""
    check_law(data)


@thorough
@given(damaged(), st.integers(1025, 4096))
def test_a_damaged_frame_in_a_large_message(data: bytes, size: int) -> None:
    """Nor do messages that are large enough to be looked through before they are read."""
    check_law(data.ljust(size, b"\xc0"))
    check_law(b"\x94\x00\x01\xa1m\x92\xc5" + size.to_bytes(2) + bytes(size) + data)


@thorough
@given(frames, st.integers(0, 200), st.integers(0, 16))
def test_limits_hold_whatever_they_are(frame: Frame, size: int, depth: int) -> None:
    """A frame passes configured limits if, and only if, it is within them."""
    data = encode(frame)
    is_within = len(data) <= size and depth_of(unpack(data)) <= depth
    try:
        decode(data, Limits(size=size, depth=depth))
    except MalformedFrame:
        assert not is_within
    else:
        assert is_within


def depth_of(value: Any) -> int:
    match value:
        case list():
            return 1 + max(map(depth_of, value), default=0)
        case dict():
            return 1 + max(map(depth_of, value.values()), default=0)
    return 0


def test_not_a_number_survives_too() -> None:
    """NaN equals nothing, so it has a test of its own."""
    assert math.isnan(unpack(pack(math.nan)))
