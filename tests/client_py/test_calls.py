"""The table of unanswered commands: bounded, in order, and each of them accounted for."""

from typing import Any

import pytest

from keystay._calls import Call, Calls
from keystay.errors import QueueFull
from keystay_protocol.codec import decode_command
from keystay_protocol.commands import CommandName
from keystay_protocol.errors import InvalidParams
from tests.support.client_py.golden import KEY


def drain(calls: Calls) -> list[Call]:
    """Send everything that may be sent."""
    sent = []
    while (call := calls.next_to_send()) is not None:
        sent.append(call)
    return sent


def test_commands_go_out_in_the_order_they_were_given() -> None:
    """Ids count up from one, and the bytes say what the call says."""
    calls = Calls(10)
    calls.add(CommandName.NOW, [])
    calls.add(CommandName.IS_VALID, [KEY])
    frames = [decode_command(call.message) for call in drain(calls)]
    assert [(f.id, f.method, f.params) for f in frames] == [
        (1, "time.now", []),
        (2, "session.isValid", [KEY]),
    ]


def test_the_links_own_commands_come_first_and_hold_back_the_others() -> None:
    """While the link takes the conversation up again, no command of the program goes out."""
    calls = Calls(10)
    program = calls.add(CommandName.LIST, [])
    own = calls.add(CommandName.RESTORE, [KEY], is_internal=True)
    assert drain(calls) == [own]
    assert calls.has_internal
    calls.answered(own)
    assert not calls.has_internal
    assert drain(calls) == [program]


def test_more_commands_than_allowed_are_refused() -> None:
    """Waiting and sent commands count alike; an answer makes room."""
    calls = Calls(2)
    sent = calls.add(CommandName.NOW, [])
    drain(calls)
    calls.add(CommandName.NOW, [])
    with pytest.raises(QueueFull):
        calls.add(CommandName.NOW, [])
    calls.answered(sent)
    calls.add(CommandName.NOW, [])


def test_the_links_own_commands_always_find_room() -> None:
    """A full queue cannot keep the session from being restored."""
    calls = Calls(1)
    calls.add(CommandName.NOW, [])
    calls.add(CommandName.RESTORE, [KEY], is_internal=True)


def test_after_a_lost_line_what_is_safe_is_sent_again() -> None:
    """Sent again, in the old order, before what was never sent; the rest is handed back."""
    calls = Calls(10)
    methods = [
        CommandName.IS_VALID,
        CommandName.LOGOUT,
        CommandName.SUBSCRIBE,
        CommandName.LOGIN,
        CommandName.LIST,
    ]
    for method in methods:
        calls.add(method, [])
    drain(calls)
    calls.add(CommandName.NOW, [])
    assert [call.method for call in calls.transport_lost()] == [
        CommandName.LOGOUT,
        CommandName.LOGIN,
    ]
    assert [call.method for call in drain(calls)] == [
        CommandName.IS_VALID,
        CommandName.SUBSCRIBE,
        CommandName.LIST,
        CommandName.NOW,
    ]


def test_a_login_that_was_never_sent_survives_a_lost_line() -> None:
    """What surely did not run need not fail."""
    calls = Calls(10)
    login = calls.add(CommandName.LOGIN, ["anonymous"])
    assert calls.transport_lost() == []
    assert drain(calls) == [login]


def test_an_abandoned_command_is_not_sent() -> None:
    """A command that timed out while it waited never runs."""
    calls = Calls(1)
    calls.abandon(calls.add(CommandName.LOGOUT, []))
    assert drain(calls) == []
    calls.add(CommandName.NOW, [])


def test_an_abandoned_command_on_its_way_is_not_sent_again() -> None:
    """Its reply is still expected on this line, and forgotten with it."""
    calls = Calls(10)
    call = calls.add(CommandName.LIST, [])
    drain(calls)
    calls.abandon(call)
    assert not calls.in_flight
    assert calls.find(call.id) is call
    assert calls.transport_lost() == []
    assert drain(calls) == []


@pytest.mark.parametrize(
    "params",
    [[{1, 2}], ["\ud800"], [2**70], [object()]],
    ids=["a set", "a lone surrogate", "a huge integer", "an object"],
)
def test_params_that_cannot_be_written_are_refused_here(params: list[Any]) -> None:
    """They would never reach the server; the error does not quote them."""
    with pytest.raises(InvalidParams) as refused:
        Calls(10).add(CommandName.LOGIN, ["jwt", *params])
    assert "surrogate" not in str(refused.value)


def test_a_command_too_big_is_refused_here() -> None:
    """The server would close the connection on it, again and again."""
    with pytest.raises(InvalidParams, match="65536 bytes"):
        Calls(10).add(CommandName.IS_VALID, ["x" * 65536])


def test_ids_start_over_without_meeting_one_in_use() -> None:
    """After 2^32 - 1 comes 1, or the next that no unanswered command has."""
    calls = Calls(10)
    first = calls.add(CommandName.NOW, [])
    drain(calls)
    setattr(calls, "_last_id", 2**32 - 2)  # noqa: B010  # Four billion commands later.
    assert calls.add(CommandName.NOW, []).id == 2**32 - 1
    assert calls.add(CommandName.NOW, []).id == first.id + 1


def test_a_call_does_not_show_its_params() -> None:
    """A call can be logged: the key in it is not part of the repr."""
    assert "kst_" not in repr(Calls(10).add(CommandName.IS_VALID, [KEY]))
