"""A link takes up on a new line what the old one left."""

import pytest

from keystay._conversation import Link
from keystay.errors import ClientClosed, ConnectionLost
from keystay_protocol.commands import CommandName
from keystay_protocol.errors import (
    InvalidParams,
    Unavailable,
    UnknownRefusal,
)
from keystay_protocol.frames import Event
from tests.support.client_py.conversations import bound_link, lines, open_link, sent
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
        link = bound_link()
        link.line_lost()
        link.command(CommandName.LIST, [])
        assert lines(link) == []
        link.line_opened()
        assert not link.is_open
        assert lines(link) == [(3, "session.restore", [KEY, AFTER])]
        link.receive(session_set(None))
        assert lines(link) == []
        assert [type(news) for news in link.receive(bound(3, CURSOR + 1))] == [Event]
        assert link.is_open
        assert lines(link) == [(2, "session.list", [])]

    def test_subscriptions_come_before_the_session(self) -> None:
        """So that nothing the restore brings is missed; the default is not asked for."""
        link = bound_link()
        link.command(CommandName.SUBSCRIBE, [["chat", "inventory"]])
        link.command(CommandName.UNSUBSCRIBE, [["session"]])
        sent(link)
        link.receive(done(2, ["session", "chat", "inventory"]))
        link.receive(done(3, ["chat", "inventory"]))
        link.line_lost()
        link.line_opened()
        assert lines(link) == [
            (4, "events.subscribe", [["chat", "inventory"]]),
            (5, "events.unsubscribe", [["session"]]),
            (6, "session.restore", [KEY, AFTER]),
        ]

    def test_a_line_that_breaks_halfway_changes_nothing_of_what_is_wanted(self) -> None:
        """The next attempt asks for all of it again."""
        link = bound_link()
        link.command(CommandName.SUBSCRIBE, [["chat"]])
        link.command(CommandName.UNSUBSCRIBE, [["session"]])
        sent(link)
        link.receive(done(2, ["session", "chat"]))
        link.receive(done(3, ["chat"]))
        for _ in range(2):
            link.line_lost()
            link.line_opened()
            first, *_ = sent(link)
            assert first.params == [["chat"]]
            link.receive(done(first.id, ["session", "chat"]))
        assert link.paths == ("chat",)

    def test_the_applications_version_is_told_with_every_restore(self) -> None:
        """By the program's own restore and by the link's."""
        link = Link(version="2.1.0")
        assert link.restore_params(KEY) == [KEY, {"version": "2.1.0"}]
        link.adopt(KEY)
        link.line_opened()
        assert lines(link) == [(1, "session.restore", [KEY, {"version": "2.1.0"}])]

    def test_without_a_session_the_line_is_open_at_once(self) -> None:
        """There is nothing to take up."""
        link = Link()
        link.command(CommandName.NOW, [])
        link.line_opened()
        assert link.is_open
        assert lines(link) == [(1, "time.now", [])]

    def test_what_was_in_flight(self) -> None:
        """What is safe to repeat is sent again; the others fail as of unknown outcome."""
        link = bound_link()
        link.command(CommandName.LOGOUT, [])
        link.command(CommandName.LIST, [])
        sent(link)
        (answer,) = link.line_lost()
        assert answer.id == 2
        assert isinstance(answer.error, ConnectionLost)
        link.line_opened()
        assert lines(link) == [(4, "session.restore", [KEY, AFTER])]
        link.receive(bound(4, CURSOR + 1))
        assert lines(link) == [(3, "session.list", [])]

    @pytest.mark.parametrize(
        "code", ["expired", "loggedOut", "noSession", "invalidSessionKey", "cheating"]
    )
    def test_a_session_that_is_over_is_told_as_its_end(self, code: str) -> None:
        """The program hears `session.unset` with the reason; the line stays open, unbound."""
        link = bound_link()
        link.line_lost()
        link.line_opened()
        sent(link)
        assert link.receive(refused(2, code)) == [
            Event("session.unset", {"reason": code, "id": SESSION.id}, None)
        ]
        assert (link.session, link.key) == (None, None)
        assert link.is_open

    @pytest.mark.parametrize(
        ("code", "error"),
        [("unavailable", Unavailable), ("maintenance", UnknownRefusal)],
    )
    def test_a_passing_refusal_keeps_the_session(
        self, code: str, error: type[Exception]
    ) -> None:
        """A store out of reach says nothing about the key: hang up, and try again later."""
        link = bound_link()
        link.line_lost()
        link.line_opened()
        sent(link)
        with pytest.raises(error):
            link.receive(refused(2, code, retryAfter=2))
        link.line_lost()
        assert link.session == SESSION
        link.line_opened()
        assert lines(link) == [(3, "session.restore", [KEY, AFTER])]

    def test_a_refused_subscription_is_tried_again_later(self) -> None:
        """A line on which not everything is as before is not open."""
        link = bound_link()
        link.command(CommandName.SUBSCRIBE, [["chat"]])
        sent(link)
        link.receive(done(2, ["session", "chat"]))
        link.line_lost()
        link.line_opened()
        sent(link)
        with pytest.raises(InvalidParams):
            link.receive(refused(3, "invalidParams"))

    def test_nothing_is_sent_on_a_line_that_is_being_left(self) -> None:
        """Commands wait for the next line, so that none is cut in half."""
        link = open_link()
        link.command(CommandName.LOGOUT, [])
        sent(link)
        link.command(CommandName.LOGIN, ["anonymous"])
        link.hold()
        assert lines(link) == []
        assert link.in_flight
        link.receive(done(1))
        assert not link.in_flight
        assert link.line_lost() == []
        link.line_opened()
        assert lines(link) == [(2, "session.login", ["anonymous"])]

    def test_a_closed_link_answers_everything(self) -> None:
        """What may have run, as lost; what did not, as closed."""
        link = open_link()
        link.command(CommandName.LOGIN, ["anonymous"])
        link.command(CommandName.LIST, [])
        sent(link)
        link.command(CommandName.NOW, [])
        answers = {answer.id: type(answer.error) for answer in link.close(ClientClosed())}
        assert answers == {1: ConnectionLost, 2: ClientClosed, 3: ClientClosed}
