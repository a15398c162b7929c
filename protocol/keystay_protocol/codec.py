"""
Encoding and decoding of frames. The only module that imports msgpack.

Invariant: for any bytes, `decode` returns a frame within all limits of SPEC section 2, or
raises `MalformedFrame`.
"""

from dataclasses import dataclass
from typing import Any, NoReturn

import msgpack

from keystay_protocol.errors import MalformedFrame
from keystay_protocol.frames import MAX_CALLBACK_ID, MAX_CURSOR, Command, Event, Frame, Reply

# Compared with `is`: False and 0.0 are equal to 0, but are not types of a frame.
_COMMAND, _REPLY, _EVENT = 0, 1, 2

_PLAIN = frozenset({str, int, float, bool, type(None)})

# Up to this size msgpack reserves at most 3 MB; see `_check_complete`.
_SMALL = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a frame: `size` in bytes, `depth` in levels of arrays and maps."""

    size: int = 64 * 1024
    depth: int = 16


DEFAULT_LIMITS = Limits()
"""The default limits of a server for frames of clients."""

FROM_SERVER = Limits(size=1024 * 1024)
"""The limits of a client for frames of a server: a reply may list many sessions."""


def encode(frame: Frame) -> bytes:
    """Encode the frame as one MessagePack-RPC message."""
    match frame:
        case Command(id_, method, params):
            return pack([_COMMAND, id_, method, params])
        case Reply(id_, error, result):
            return encode_reply(id_, error, result)
        case Event(name, data, cursor):
            return pack([_EVENT, name, [data, cursor]])


def encode_reply(callback_id: int, error: str | None, result: object) -> bytes:
    """Encode a reply without a `Reply` object: nothing is encoded more often."""
    return pack([_REPLY, callback_id, error, result])


def decode(data: bytes | bytearray, limits: Limits = DEFAULT_LIMITS) -> Frame:
    """
    Decode one frame.

    Raises:
        MalformedFrame: If the bytes are not exactly one frame within the limits.
    """
    message = unpack(data, limits)
    match message:
        case [type_, *_] if type_ is _COMMAND:
            return _command(message)
        case [type_, id_, None | str() as error, result] if type_ is _REPLY:
            return Reply(_callback_id(id_), error, result)
        case [type_, str(name), [data_, cursor]] if type_ is _EVENT:
            return Event(name, data_, _cursor(cursor))
    raise MalformedFrame("this is neither a command nor a reply nor an event")


def decode_command(data: bytes | bytearray, limits: Limits = DEFAULT_LIMITS) -> Command:
    """
    Decode one frame of a client, which may only send commands.

    Raises:
        MalformedFrame: If the bytes are not exactly one command within the limits.
    """
    # Nearly all are small, with strings, numbers and nil as params. They need none of the
    # checks for maps, nesting and ext types, which take half of the time.
    if len(data) <= _SMALL and len(data) <= limits.size and limits.depth >= 2:
        try:
            type_, id_, method, params = msgpack.unpackb(data)
        except Exception:  # The general way reports what is wrong.
            return _command(unpack(data, limits))
        if (
            type_ is _COMMAND
            and (type(id_) is int and 0 <= id_ <= MAX_CALLBACK_ID)
            and (type(method) is str and type(params) is list)
            and _PLAIN.issuperset(map(type, params))
        ):
            return Command(id_, method, params)
    return _command(unpack(data, limits))


def _command(message: Any) -> Command:
    # Called for every command of a server. Class patterns, `case [_, _, str(), list()]`, take a
    # microsecond more than these comparisons, as long as everything else here.
    if type(message) is list and len(message) == 4:
        type_, id_, method, params = message
        if type_ is _COMMAND and type(method) is str and type(params) is list:
            return Command(_callback_id(id_), method, params)
    raise MalformedFrame("a command is [0, id, method, params]")


pack = msgpack.Packer(autoreset=True, use_bin_type=True).pack
"""Encode plain data (None, bool, int, float, str, bytes, lists, maps) as MessagePack."""


def unpack(data: bytes | bytearray, limits: Limits = DEFAULT_LIMITS) -> Any:
    """
    Decode plain data, within the limits of a whole frame.

    A timestamp, the only ext type allowed, becomes msgpack's `Timestamp`.

    Raises:
        MalformedFrame: If the bytes are not exactly one value within the limits.
    """
    if len(data) > limits.size:
        raise MalformedFrame(f"{len(data)} bytes, at most {limits.size} are allowed")
    try:
        if len(data) > _SMALL:
            _check_complete(data)
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
        # msgpack raises ValueErrors, its own errors, and for some bytes a TypeError or an
        # OverflowError. The text may contain what was sent: only the type is passed on.
        raise MalformedFrame(f"not MessagePack ({type(error).__name__})") from None
    if type(value) is list or type(value) is dict:
        _check_depth(value, limits.depth)
    return value


def _check_complete(data: bytes | bytearray) -> None:
    # msgpack reserves memory for the number of items in a header before it has read one: 3 KB
    # of nested headers cost 80 MB and 40 ms. Skipping allocates nothing, takes at most
    # 0.25 ms, and fails if items are missing; after that the numbers are true.
    walker = msgpack.Unpacker(max_buffer_size=len(data))
    walker.feed(data)
    walker.skip()


def _callback_id(value: object) -> int:
    # `type() is` everywhere here: True is an int to isinstance.
    if type(value) is not int or not 0 <= value <= MAX_CALLBACK_ID:
        raise MalformedFrame("a callback id is an unsigned 32-bit integer")
    return value


def _cursor(value: object) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= MAX_CURSOR:
        raise MalformedFrame("a cursor is nil or an unsigned 53-bit integer")
    return value


def _check_depth(value: list[Any] | dict[str, Any], levels_left: int) -> None:
    if not levels_left:
        raise MalformedFrame("arrays and maps are nested too deep")
    for item in value.values() if type(value) is dict else value:
        # Where there are thousands, most are empty, and a call is expensive.
        if (type(item) is list or type(item) is dict) and (item or levels_left == 1):
            _check_depth(item, levels_left - 1)


def _map_with_string_keys(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    if not pairs:
        return {}
    result = dict(pairs)
    if len(result) != len(pairs):
        raise MalformedFrame("a map has the same key twice")
    for key in result:
        if type(key) is not str:
            raise MalformedFrame("a map key is not a string")
    return result


def _refuse_ext(code: int, data: bytes) -> NoReturn:
    # msgpack decodes the timestamp, ext -1, itself.
    raise MalformedFrame("ext types other than the timestamp are not allowed")
