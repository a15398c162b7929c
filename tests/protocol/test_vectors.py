"""The golden vectors: each is one test, for what it says of itself."""

import json
import struct
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest

from keystay_protocol.codec import FROM_SERVER, decode, decode_command, encode, unpack
from keystay_protocol.errors import MalformedFrame
from keystay_protocol.frames import Command, Event, Frame, Reply
from tests.support.paths import ROOT

FOLDER = ROOT / "protocol" / "vectors"

Vector = dict[str, Any]


def vectors_in(file: Path) -> list[Vector]:
    vectors: list[Vector] = json.loads(file.read_text(encoding="utf-8"))["vectors"]
    return vectors


def read(*names: str, only: str = "name") -> list[Any]:
    """The vectors of these files that have the field, as parameters named `file: vector`."""
    return [
        pytest.param(vector, id=f"{name}: {vector['name']}")
        for name in names
        for vector in vectors_in(FOLDER / f"{name}.json")
        if only in vector
    ]


def bytes_of(vector: Vector) -> bytes:
    pieces = vector["hex"]
    if isinstance(pieces, str):
        return bytes.fromhex(pieces)
    return b"".join(bytes.fromhex(piece) * times for piece, times in pieces)


def frame_of(vector: Vector) -> Frame:
    match value_of(vector["frame"]):
        case {"type": "command", "id": id_, "method": method, "params": params}:
            return Command(id_, method, params)
        case {"type": "reply", "id": id_, "error": error, "result": result}:
            return Reply(id_, error, result)
        case {"type": "event", "name": name, "data": data, "cursor": cursor}:
            return Event(name, data, cursor)
    raise AssertionError(vector["frame"])


def value_of(json_value: Any) -> Any:
    match json_value:
        case {"$bytes": digits}:
            return bytes.fromhex(digits)
        case {"$integer": digits}:
            return int(digits)
        case {"$float": digits}:
            return float(digits)
        case {"$timestamp": [seconds, nanoseconds]}:
            return unpack(b"\xc7\x0c\xff" + struct.pack("!Iq", nanoseconds, seconds))
        case {"$repeat": [value, times]}:
            return value_of(value) * times
        case dict():
            return {key: value_of(value) for key, value in json_value.items()}
        case list():
            return [value_of(value) for value in json_value]
    return json_value


def exactly(frame: Frame) -> str:
    """A text that tells apart what `==` does not: 1, 1.0 and true; also the order of maps."""
    return f"{type(frame).__name__}{astuple(frame)!r}"


@pytest.mark.parametrize("vector", read("commands"))
def test_a_server_reads_every_command(vector: Vector) -> None:
    """A server understands each command vector within its default limits."""
    assert exactly(decode_command(bytes_of(vector))) == exactly(frame_of(vector))


@pytest.mark.parametrize("vector", read("replies", "events", "values"))
def test_a_client_reads_everything_a_server_sends(vector: Vector) -> None:
    """A client understands each reply and event vector."""
    assert exactly(decode(bytes_of(vector), FROM_SERVER)) == exactly(frame_of(vector))


@pytest.mark.parametrize(
    "vector", read("commands", "replies", "events", "values", only="canonical")
)
def test_frames_are_written_in_their_canonical_form(vector: Vector) -> None:
    """What is sent is the canonical form of a frame, byte for byte."""
    assert encode(frame_of(vector)) == bytes_of(vector)


@pytest.mark.parametrize("vector", read("malformed"))
def test_what_is_malformed_is_refused(vector: Vector) -> None:
    """A message that breaks the protocol is refused, whoever reads it."""
    with pytest.raises(MalformedFrame):
        decode_command(bytes_of(vector))
    with pytest.raises(MalformedFrame):
        decode(bytes_of(vector))


@pytest.mark.parametrize("vector", read("replies", "events"))
def test_a_server_takes_nothing_but_commands(vector: Vector) -> None:
    """A client that sends a reply or an event breaks the protocol."""
    with pytest.raises(MalformedFrame):
        decode_command(bytes_of(vector))


def test_the_files_keep_their_format() -> None:
    """Names are unique within a file, and a vector has no fields but those of the README."""
    files = sorted(FOLDER.glob("*.json"))
    assert [file.stem for file in files] == [
        "commands",
        "events",
        "malformed",
        "replies",
        "values",
    ]
    for file in files:
        vectors = vectors_in(file)
        assert len({vector["name"] for vector in vectors}) == len(vectors)
        for vector in vectors:
            kind = {"malformed", "strict"} if "malformed" in vector else {"frame", "canonical"}
            assert vector.keys() <= {"name", "hex"} | kind


def test_the_readme_shows_each_file() -> None:
    """The README of the vectors names each file."""
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"`{file.name}`" in readme for file in FOLDER.glob("*.json"))
