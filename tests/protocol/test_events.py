"""The events of the protocol, and who hears them."""

import re
from collections.abc import Callable

import pytest

from keystay_protocol import events
from keystay_protocol.events import DEFAULT_PATHS, is_subscribed, matches


def rows(text: str) -> list[list[str]]:
    """The rows of all tables in the text, as their cells."""
    return [
        line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")
    ]


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_events_are_those_of_the_spec(section: Callable[[int], str]) -> None:
    """SPEC section 5 lists the events that the server sends by itself."""
    table = section(5).partition("### 5.1")[0]
    names = re.findall(r"^\| `(\w+\.\w+)`", table, re.MULTILINE)
    assert names == [events.SESSION_SET, events.SESSION_UNSET, events.SERVER_DRAINING]


def test_the_limits_are_those_of_the_spec(section: Callable[[int], str]) -> None:
    """SPEC section 3.8 says how many paths there may be, and how long."""
    text = " ".join(section(3).split())
    assert f"More than {events.MAX_PATHS} in all" in text
    assert f"at most {events.MAX_PATH_BYTES} bytes long" in text


def test_paths_match_as_the_spec_says(section: Callable[[int], str]) -> None:
    """Each example in the table of SPEC section 5.1 holds."""
    table = section(5).partition("### 5.1")[2].partition("### 5.2")[0]
    examples = [row for row in rows(table) if row[0].startswith("`")]
    assert len(examples) >= 2
    for path, hears, does_not_hear in examples:
        (path,) = words(path)
        assert all(matches(path, name) for name in words(hears))
        assert not any(matches(path, name) for name in words(does_not_hear))


@pytest.mark.parametrize(
    ("path", "name", "is_heard"),
    [
        ("", "session.set", True),
        ("", "", True),
        ("chat", "chat", True),
        ("chat", "chat.room.4", True),
        ("chat.room", "chat.room.4", True),
        ("chat.room", "chat", False),
        ("chat", "chats", False),
        ("chat", "Chat", False),
        ("chat.", "chat", False),
        ("chat.", "chat.room", False),
        ("chat*", "chats", False),
        (".", "chat", False),
        ("é", "e\u0301", False),
    ],
)
def test_a_path_hears_itself_and_all_below(path: str, name: str, is_heard: bool) -> None:
    """Levels are divided by dots; there are no wildcards and no other equalities."""
    assert matches(path, name) is is_heard


def test_one_of_the_paths_is_enough() -> None:
    """A connection hears an event if any of its subscriptions does."""
    assert is_subscribed(
        (
            "chat",
            "session",
        ),
        "session.set",
    )
    assert not is_subscribed(
        (
            "chat",
            "inventory",
        ),
        "session.set",
    )
    assert not is_subscribed((), "session.set")


def test_everybody_hears_the_server() -> None:
    """`server.` events reach a connection that has unsubscribed from everything."""
    assert is_subscribed((), "server.draining")
    assert is_subscribed(("chat",), "server.notice")
    assert not is_subscribed((), "servers.full")


def test_a_new_connection_hears_of_its_session() -> None:
    """Nobody has to subscribe to learn that the session ended."""
    assert is_subscribed(DEFAULT_PATHS, "session.set")
    assert is_subscribed(DEFAULT_PATHS, "session.unset")
    assert not is_subscribed(DEFAULT_PATHS, "chat.message")
