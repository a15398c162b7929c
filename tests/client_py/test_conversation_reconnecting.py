"""A link takes up on a new line what the old one left."""

import pytest

from keystay._conversation import Conversation
from keystay.errors import ClientClosed, ConnectionLost
from keystay_protocol.commands import CommandName
from keystay_protocol.errors import (
    InvalidParams,
    Unavailable,
    UnknownRefusal,
)
from keystay_protocol.frames import Event
from tests.support.client_py.conversations import (
    bound_conversation,
    lines,
    open_conversation,
    sent,
)
from tests.support.client_py.golden import (
    AFTER,
    CURSOR,
    KEY,
    SESSION,
    bound,
    done,
    refused,
    session_set,
)


class TestReconnecting:
    """A new line takes up what the old one left."""

    def test_the_session_comes_before_anything_else(self) -> None:
        """Other commands go out only when the restore was answered."""
        conversation = bound_conversation()
        conversation.transport_lost()
        conversation.command(CommandName.LIST, [])
        assert lines(conversation) == []
        conversation.transport_opened()
        assert not conversation.is_open
        assert lines(conversation) == [(3, "session.restore", [KEY, AFTER])]
        conversation.receive(session_set(None))
        assert lines(conversation) == []
        assert [type(news) for news in conversation.receive(bound(3, CURSOR + 1))] == [Event]
        assert conversation.is_open
        assert lines(conversation) == [(2, "session.list", [])]

    def test_subscriptions_come_before_the_session(self) -> None:
        """So that nothing the restore brings is missed; the default is not asked for."""
        conversation = bound_conversation()
        conversation.command(CommandName.SUBSCRIBE, [["chat", "inventory"]])
        conversation.command(CommandName.UNSUBSCRIBE, [["session"]])
        sent(conversation)
        conversation.receive(done(2, ["session", "chat", "inventory"]))
        conversation.receive(done(3, ["chat", "inventory"]))
        conversation.transport_lost()
        conversation.transport_opened()
        assert lines(conversation) == [
            (4, "events.subscribe", [["chat", "inventory"]]),
            (5, "events.unsubscribe", [["session"]]),
            (6, "session.restore", [KEY, AFTER]),
        ]

    def test_a_line_that_breaks_halfway_changes_nothing_of_what_is_wanted(self) -> None:
        """The next attempt asks for all of it again."""
        conversation = bound_conversation()
        conversation.command(CommandName.SUBSCRIBE, [["chat"]])
        conversation.command(CommandName.UNSUBSCRIBE, [["session"]])
        sent(conversation)
        conversation.receive(done(2, ["session", "chat"]))
        conversation.receive(done(3, ["chat"]))
        for _ in range(2):
            conversation.transport_lost()
            conversation.transport_opened()
            first, *_ = sent(conversation)
            assert first.params == [["chat"]]
            conversation.receive(done(first.id, ["session", "chat"]))
        assert conversation.paths == ("chat",)

    def test_the_applications_version_is_told_with_every_restore(self) -> None:
        """By the program's own restore and by the link's."""
        conversation = Conversation(version="2.1.0")
        assert conversation.restore_params(KEY) == [KEY, {"version": "2.1.0"}]
        conversation.use_key(KEY)
        conversation.transport_opened()
        assert lines(conversation) == [(1, "session.restore", [KEY, {"version": "2.1.0"}])]

    def test_without_a_session_the_line_is_open_at_once(self) -> None:
        """There is nothing to take up."""
        conversation = Conversation()
        conversation.command(CommandName.NOW, [])
        conversation.transport_opened()
        assert conversation.is_open
        assert lines(conversation) == [(1, "time.now", [])]

    def test_what_was_in_flight(self) -> None:
        """What is safe to repeat is sent again; the others fail as of unknown outcome."""
        conversation = bound_conversation()
        conversation.command(CommandName.LOGOUT, [])
        conversation.command(CommandName.LIST, [])
        sent(conversation)
        (answer,) = conversation.transport_lost()
        assert answer.id == 2
        assert isinstance(answer.error, ConnectionLost)
        conversation.transport_opened()
        assert lines(conversation) == [(4, "session.restore", [KEY, AFTER])]
        conversation.receive(bound(4, CURSOR + 1))
        assert lines(conversation) == [(3, "session.list", [])]

    @pytest.mark.parametrize(
        "code", ["expired", "loggedOut", "noSession", "invalidSessionKey", "cheating"]
    )
    def test_a_session_that_is_over_is_told_as_its_end(self, code: str) -> None:
        """The program hears `session.unset` with the reason; the line stays open, unbound."""
        conversation = bound_conversation()
        conversation.transport_lost()
        conversation.transport_opened()
        sent(conversation)
        assert conversation.receive(refused(2, code)) == [
            Event("session.unset", {"reason": code, "id": SESSION.id}, None)
        ]
        assert (conversation.session, conversation.key) == (None, None)
        assert conversation.is_open

    @pytest.mark.parametrize(
        ("code", "error"),
        [("unavailable", Unavailable), ("maintenance", UnknownRefusal)],
    )
    def test_a_passing_refusal_keeps_the_session(
        self, code: str, error: type[Exception]
    ) -> None:
        """A store out of reach says nothing about the key: hang up, and try again later."""
        conversation = bound_conversation()
        conversation.transport_lost()
        conversation.transport_opened()
        sent(conversation)
        with pytest.raises(error):
            conversation.receive(refused(2, code, retryAfter=2))
        conversation.transport_lost()
        assert conversation.session == SESSION
        conversation.transport_opened()
        assert lines(conversation) == [(3, "session.restore", [KEY, AFTER])]

    def test_a_refused_subscription_is_tried_again_later(self) -> None:
        """A line on which not everything is as before is not open."""
        conversation = bound_conversation()
        conversation.command(CommandName.SUBSCRIBE, [["chat"]])
        sent(conversation)
        conversation.receive(done(2, ["session", "chat"]))
        conversation.transport_lost()
        conversation.transport_opened()
        sent(conversation)
        with pytest.raises(InvalidParams):
            conversation.receive(refused(3, "invalidParams"))

    def test_nothing_is_sent_on_a_line_that_is_being_left(self) -> None:
        """Commands wait for the next line, so that none is cut in half."""
        conversation = open_conversation()
        conversation.command(CommandName.LOGOUT, [])
        sent(conversation)
        conversation.command(CommandName.LOGIN, ["anonymous"])
        conversation.pause()
        assert lines(conversation) == []
        assert conversation.in_flight
        conversation.receive(done(1))
        assert not conversation.in_flight
        assert conversation.transport_lost() == []
        conversation.transport_opened()
        assert lines(conversation) == [(2, "session.login", ["anonymous"])]

    def test_a_closed_link_answers_everything(self) -> None:
        """What may have run, as lost; what did not, as closed."""
        conversation = open_conversation()
        conversation.command(CommandName.LOGIN, ["anonymous"])
        conversation.command(CommandName.LIST, [])
        sent(conversation)
        conversation.command(CommandName.NOW, [])
        answers = {
            answer.id: type(answer.error) for answer in conversation.close(ClientClosed())
        }
        assert answers == {1: ConnectionLost, 2: ClientClosed, 3: ClientClosed}
