"""
Frames to bytes and back. The only module that knows msgpack.

The law of this module: whatever bytes come in, `decode` returns a frame that
keeps every limit of SPEC section 2, or raises `MalformedFrame`.
"""

from dataclasses import dataclass
from typing import Any, NoReturn

import msgpack

from keystay_protocol.errors import MalformedFrame
from keystay_protocol.frames import MAX_CALLBACK_ID, Command, Event, Frame, Reply

_COMMAND, _REPLY, _EVENT = 0, 1, 2

# Cursors and timestamps stay exact in a language whose numbers are doubles.
_MAX_EXACT_INTEGER = 2**53 - 1

_packer = msgpack.Packer(autoreset=True, use_bin_type=True)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a peer may send: `size` in bytes a frame, `depth` in nested arrays and maps."""

    size: int = 64 * 1024
    depth: int = 16


DEFAULT_LIMITS = Limits()


def encode(frame: Frame) -> bytes:
    """Write the frame as one MessagePack-RPC message."""
    match frame:
        case Command(id_, method, params):
            return pack([_COMMAND, id_, method, params])
        case Reply(id_, error, result):
            return pack([_REPLY, id_, error, result])
        case Event(name, data, cursor):
            return pack([_EVENT, name, [data, cursor]])


def decode(data: bytes | bytearray, limits: Limits = DEFAULT_LIMITS) -> Frame:
    """
    Read one frame.

    Raises:
        MalformedFrame: If the bytes are not exactly one frame within the limits.
    """
    message = unpack(data, limits)
    if type(message) is not list or not message:
        raise MalformedFrame("a frame is an array that is not empty")
    match message:
        case [type_, id_, str(method), list(params)] if type_ is _COMMAND:
            return Command(_callback_id(id_), method, params)
        case [type_, id_, None | str() as error, result] if type_ is _REPLY:
            return Reply(_callback_id(id_), error, result)
        case [type_, str(name), [data_, cursor]] if type_ is _EVENT:
            return Event(name, data_, _cursor(cursor))
    raise MalformedFrame("the array is neither a command nor a reply nor an event")


def decode_command(data: bytes | bytearray, limits: Limits = DEFAULT_LIMITS) -> Command:
    """
    Read one frame from a client, which may send nothing but commands.

    Raises:
        MalformedFrame: If the bytes are not exactly one command within the limits.
    """
    frame = decode(data, limits)
    if type(frame) is not Command:
        raise MalformedFrame("a client sends commands only")
    return frame


def pack(value: object) -> bytes:
    """Write plain data (None, bool, int, float, str, bytes, lists, maps) as MessagePack."""
    return _packer.pack(value)


def unpack(data: bytes | bytearray, limits: Limits = DEFAULT_LIMITS) -> Any:
    """
    Read plain data, under the limits that hold for a whole frame.

    Raises:
        MalformedFrame: If the bytes are not exactly one value within the limits.
    """
    if len(data) > limits.size:
        raise MalformedFrame(f"{len(data)} bytes, at most {limits.size} are allowed")
    try:
        value = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            object_pairs_hook=_map_with_string_keys,
            ext_hook=_refuse_ext,
        )
    except MalformedFrame:
        raise
    except Exception as error:
        # msgpack raises ValueErrors, its own errors, and on some bytes a TypeError or an
        # OverflowError. Its text may quote what was sent: only the kind of error is passed on.
        raise MalformedFrame(f"not MessagePack ({type(error).__name__})") from None
    if type(value) is list or type(value) is dict:
        _check_depth(value, limits.depth)
    return value


def _callback_id(value: object) -> int:
    # `type() is` everywhere here: True is an int to isinstance.
    if type(value) is not int or not 0 <= value <= MAX_CALLBACK_ID:
        raise MalformedFrame("a callback id is an unsigned 32-bit integer")
    return value


def _cursor(value: object) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= _MAX_EXACT_INTEGER:
        raise MalformedFrame("a cursor is nil or an unsigned 53-bit integer")
    return value


def _check_depth(value: list[Any] | dict[str, Any], levels_left: int) -> None:
    if not levels_left:
        raise MalformedFrame("arrays and maps are nested too deep")
    for item in value.values() if type(value) is dict else value:
        if type(item) is list or type(item) is dict:
            _check_depth(item, levels_left - 1)


def _map_with_string_keys(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise MalformedFrame("a map has the same key twice")
    for key in result:
        if type(key) is not str:
            raise MalformedFrame("a map key is not a string")
    return result


def _refuse_ext(code: int, data: bytes) -> NoReturn:
    # The timestamp, ext -1, is decoded by msgpack itself and never gets here.
    raise MalformedFrame("ext types other than the timestamp are not allowed")
