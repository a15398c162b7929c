"""The conversation without I/O: bytes in, meaning out, bytes out."""

from dataclasses import replace
from typing import Any

import pytest

from keystay._conversation import Answer, Conversation
from keystay.errors import ClientClosed
from keystay_protocol.codec import encode
from keystay_protocol.commands import CommandName
from keystay_protocol.errors import (
    LoginFailed,
    MalformedFrame,
)
from keystay_protocol.frames import Command, Event
from tests.support.client_py.conversations import bound_conversation, open_conversation, sent
from tests.support.client_py.golden import (
    CURSOR,
    KEY,
    SESSION,
    bound,
    done,
    refused,
    session_set,
    vector,
    wire_session,
)


class TestCommands:
    """Commands and their answers."""

    def test_the_conversationof_the_specification_byte_by_byte(self) -> None:
        """What SPEC section 10 shows is what this client sends and understands."""
        conversation = open_conversation()
        conversation.command(CommandName.RESTORE, [KEY])
        conversation.command(CommandName.NOW, [])
        assert conversation.next_message() == bytes.fromhex(
            "940001af73657373696f6e2e726573746f726591d938706c617965723a373a6b73745f41414543417751"
            "464267634943516f4c4441304f4478415245684d554652595847426b6147787764486838"
        )
        assert conversation.next_message() == bytes.fromhex("940002a874696d652e6e6f7790")
        assert conversation.next_message() is None
        assert conversation.receive(vector("events.json", "session.set")) == [
            Event("session.set", SESSION, CURSOR)
        ]
        assert conversation.receive(vector("replies.json", "session.restore")) == [
            Answer(1, None, SESSION)
        ]
        assert conversation.receive(bytes.fromhex("940102c0cf00000199c82daa71")) == [
            Answer(2, None, 1760000060017)
        ]
        assert conversation.session == SESSION

    def test_a_refusal_is_an_error_of_its_own_class(self) -> None:
        """The code of the reply becomes a typed error, with what the server said."""
        conversation = open_conversation()
        conversation.command(CommandName.LOGIN, ["jwt", "x"])
        sent(conversation)
        (answer,) = conversation.receive(refused(1, "loginFailed", message="bad signature"))
        assert isinstance(answer, Answer)
        assert isinstance(answer.error, LoginFailed)
        assert str(answer.error) == "bad signature"

    @pytest.mark.parametrize(
        ("method", "wire", "result"),
        [
            (CommandName.IS_VALID, None, None),
            (CommandName.LOGOUT, None, None),
            (CommandName.NOW, 1760000000000, 1760000000000),
            (CommandName.SUBSCRIBE, ["session", "chat"], ("session", "chat")),
            (CommandName.UNSUBSCRIBE, [], ()),
            (CommandName.LIST, [wire_session(current=True)], [replace(SESSION, current=True)]),
        ],
    )
    def test_results(self, method: CommandName, wire: Any, result: Any) -> None:
        """Each command has a result of its own shape."""
        conversation = open_conversation()
        conversation.command(method, [])
        sent(conversation)
        assert conversation.receive(done(1, wire)) == [Answer(1, None, result)]

    @pytest.mark.parametrize(
        ("method", "wire"),
        [
            (CommandName.NOW, "noon"),
            (CommandName.LIST, None),
            (CommandName.LIST, [{"id": 7}]),
            (CommandName.RESTORE, {"session": {}, "cursor": None}),
            (CommandName.RESTORE, {"session": wire_session(), "cursor": "x"}),
            (CommandName.LOGIN, None),
            (CommandName.SUBSCRIBE, {"session": True}),
            (CommandName.UNSUBSCRIBE, ["session", 7]),
            (CommandName.IS_VALID, True),
        ],
    )
    def test_a_result_of_the_wrong_shape_breaks_the_protocol(
        self, method: CommandName, wire: Any
    ) -> None:
        """The line is given up, and the command is not left without an answer."""
        conversation = open_conversation()
        conversation.command(method, [])
        sent(conversation)
        with pytest.raises(MalformedFrame):
            conversation.receive(done(1, wire))
        conversation.transport_lost()
        assert len(conversation.close(ClientClosed())) == (
            0 if method is CommandName.LOGIN else 1
        )

    def test_an_abandoned_command_still_teaches(self) -> None:
        """Nobody waits for the login any more, but the session it opened is there."""
        conversation = open_conversation()
        call = conversation.command(CommandName.LOGIN, ["anonymous"])
        sent(conversation)
        conversation.abandon(call)
        assert conversation.receive(bound(1)) == []
        assert conversation.session == SESSION

    @pytest.mark.parametrize(
        "message",
        [b"", b"\xc1", done(99), encode(Command(1, "time.now", [])), b"\x93\x02\xa1x\x90"],
        ids=["nothing", "no msgpack", "reply to nothing", "a command", "half an event"],
    )
    def test_a_server_that_breaks_the_protocol_is_noticed(self, message: bytes) -> None:
        """Anything but a reply that is due or an event is a reason to hang up."""
        with pytest.raises(MalformedFrame):
            open_conversation().receive(message)


class TestCursors:
    """What was heard is not heard again."""

    def test_an_event_heard_already_is_dropped(self) -> None:
        """For one actor, a cursor that is not greater than the last is a repetition."""
        conversation = bound_conversation(cursor=10)
        assert conversation.receive(encode(Event("chat", "a", 12))) == [Event("chat", "a", 12)]
        assert conversation.receive(encode(Event("chat", "a", 12))) == []
        assert conversation.receive(encode(Event("chat", "b", 11))) == []
        assert conversation.receive(encode(Event("chat", "c", 13))) == [Event("chat", "c", 13)]
        assert conversation.cursor == 13

    def test_an_event_without_a_place_in_the_order_always_counts(self) -> None:
        """A nil cursor leaves the kept one as it is."""
        conversation = bound_conversation(cursor=10)
        for _ in range(2):
            assert conversation.receive(encode(Event("news", 1, None))) == [
                Event("news", 1, None)
            ]
        assert conversation.cursor == 10

    def test_an_old_session_set_does_not_bring_back_an_old_session(self) -> None:
        """A repetition changes nothing."""
        conversation = bound_conversation(cursor=10)
        conversation.receive(session_set(12, language="fr"))
        assert conversation.receive(session_set(11)) == []
        assert conversation.session is not None
        assert conversation.session.language == "fr"

    def test_another_actor_has_cursors_of_its_own(self) -> None:
        """Moving to another actor forgets what was kept."""
        conversation = bound_conversation(cursor=10)
        (event,) = conversation.receive(session_set(3, actorId="player:8", id="other", key="k"))
        assert isinstance(event, Event)
        assert conversation.cursor == 3

    def test_cursors_survive_a_lost_line(self) -> None:
        """What was heard on the old line is not heard again on the new one."""
        conversation = bound_conversation(cursor=10)
        conversation.transport_lost()
        conversation.transport_opened()
        assert conversation.receive(encode(Event("chat", "a", 10))) == []


def test_business() -> None:
    """There is a reason to have a line: a session to restore, or a command to send."""
    conversation = Conversation()
    assert not conversation.has_work
    call = conversation.command(CommandName.NOW, [])
    assert conversation.has_work
    conversation.abandon(call)
    assert not conversation.has_work
    conversation.use_key(KEY)
    assert conversation.has_work
