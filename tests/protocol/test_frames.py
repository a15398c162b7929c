"""The three frames."""

from dataclasses import FrozenInstanceError

import pytest

from keystay_protocol.codec import decode
from keystay_protocol.frames import Command, Event, Frame, Reply

KEY = "player:7:kst_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


@pytest.mark.parametrize(
    "frame",
    [
        Command(1, "session.restore", [KEY]),
        Reply(1, None, {"session": {"key": KEY}}),
        Event("session.set", {"key": KEY}, 5),
    ],
)
def test_a_frame_can_be_logged(frame: Frame) -> None:
    """The repr of a frame shows no key and no token, only what it is about."""
    assert "kst_" not in repr(frame)
    assert type(frame).__name__ in repr(frame)


def test_the_deepest_frame_can_be_logged() -> None:
    """Nesting up to the limit does not break the repr of a frame or of what it carries."""
    frame = decode(bytes.fromhex("940001a16d" + "91" * 14 + "90"))
    assert isinstance(frame, Command)
    assert repr(frame) == "Command(id=1, method='m')"
    assert repr(frame.params) == "[" * 15 + "]" * 15


def test_a_frame_does_not_change() -> None:
    """Frames are values: equal if they carry the same, and never altered."""
    assert Reply(1, None, [1]) == Reply(1, None, [1])
    assert Reply(1, None, [1]) != Reply(1, None, [2])
    with pytest.raises(FrozenInstanceError):
        Reply(1, None, None).id = 2  # type: ignore[misc]
