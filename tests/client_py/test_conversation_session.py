"""The session as a link knows it: what the server said last."""

from typing import Any

import pytest

from keystay._conversation import Answer, Link
from keystay_protocol.codec import encode
from keystay_protocol.commands import CommandName
from keystay_protocol.errors import Expired, InvalidSessionKey, MalformedFrame, NoSession
from keystay_protocol.frames import Event
from tests.support.client_py.conversations import bound_link, lines, open_link, sent
from tests.support.client_py.golden import (
    CURSOR,
    KEY,
    OTHER_KEY,
    SESSION,
    bound,
    done,
    refused,
    session_set,
    session_unset,
    vector,
    wire_session,
)


class TestTheSession:
    """`session` is what the server said last."""

    @pytest.mark.parametrize(("first", "second"), [(10, 11), (None, 11), (None, None)], ids=str)
    def test_it_is_set_by_the_event_and_not_undone_by_the_reply(
        self, first: int | None, second: int | None
    ) -> None:
        """An event before the reply is newer: of a login, of a restore, of a lost history."""
        link = open_link()
        link.command(CommandName.RESTORE, [KEY])
        sent(link)
        link.receive(session_set(first))
        link.receive(session_set(second, meta={"name": "Zoë"}))
        link.receive(bound(1, 10))
        assert link.session is not None
        assert link.session.meta == {"name": "Zoë"}

    @pytest.mark.parametrize(("first", "second"), [(10, 11), (None, 11), (None, None)], ids=str)
    def test_a_session_that_ended_before_the_reply_stays_ended(
        self, first: int | None, second: int | None
    ) -> None:
        """The reply is older than the event: there is no session."""
        link = open_link()
        link.command(CommandName.RESTORE, [KEY])
        sent(link)
        link.receive(session_set(first))
        link.receive(session_unset("revoked", second))
        link.receive(bound(1, 10))
        assert link.session is None
        assert link.key is None

    def test_a_restore_sets_it_as_often_as_it_is_sent(self) -> None:
        """Its `session.set` has no cursor, so it is never taken for a repetition."""
        link = bound_link()
        for later in (1, 2):
            link.command(CommandName.RESTORE, link.restore_params(KEY))
            (command,) = sent(link)
            expires_at = SESSION.expires_at + later
            (event,) = link.receive(session_set(None, expiresAt=expires_at))
            assert isinstance(event, Event)
            assert (event.data.expires_at, event.cursor) == (expires_at, None)
            assert link.session == event.data
            link.receive(bound(command.id, CURSOR, expiresAt=expires_at))
            assert link.cursor == CURSOR

    def test_it_is_set_by_the_reply_where_events_are_not_heard(self) -> None:
        """A program that unsubscribed from `session` still gets its session."""
        link = open_link()
        link.command(CommandName.LOGIN, ["anonymous"])
        sent(link)
        link.receive(encode(Event("chat", "hi", CURSOR + 5)))
        link.receive(bound(1, CURSOR))
        assert link.session == SESSION
        assert link.key == KEY

    def test_it_is_set_by_the_reply_after_a_line_that_broke_before_one(self) -> None:
        """An event of the line before says nothing about the reply on this one."""
        link = open_link(paths=())
        link.adopt(KEY)
        link.receive(session_set(None))
        link.line_lost()
        link.line_opened()
        restore = sent(link)[-1]
        link.receive(bound(restore.id, CURSOR, language="fr"))
        assert link.session is not None
        assert link.session.language == "fr"

    def test_it_ends_with_its_event(self) -> None:
        """`session.unset` of this session leaves none, and forgets the key."""
        link = bound_link()
        (event,) = link.receive(vector("events.json", "session.unset: loggedOut"))
        assert isinstance(event, Event)
        assert event.data["reason"] == "loggedOut"
        assert (link.session, link.key) == (None, None)

    def test_the_end_of_another_session_does_not_touch_it(self) -> None:
        """The id tells which session ended."""
        link = bound_link()
        link.receive(session_unset("replaced", CURSOR + 1, id="another"))
        assert link.session == SESSION

    @pytest.mark.parametrize(
        ("params", "is_over"),
        [([], True), ([{"scope": "all"}], True), ([{"scope": "others"}], False)],
    )
    def test_a_logout_ends_it_even_where_events_are_not_heard(
        self, params: list[Any], *, is_over: bool
    ) -> None:
        """After the reply to `logout` of `this` or `all` there is no session."""
        link = bound_link()
        link.command(CommandName.LOGOUT, params)
        sent(link)
        link.receive(done(2))
        assert (link.session is None) is is_over

    @pytest.mark.parametrize("scope", ["all", "others"])
    def test_a_logout_that_is_refused_leaves_it_to_its_event(self, scope: str) -> None:
        """The session has ended, and why is about to come: nothing is over twice."""
        link = bound_link()
        link.command(CommandName.LOGOUT, [{"scope": scope}])
        sent(link)
        (answer,) = link.receive(refused(2, "noSession"))
        assert isinstance(answer, Answer)
        assert isinstance(answer.error, NoSession)
        assert link.session == SESSION
        (event,) = link.receive(session_unset("expired", CURSOR + 1))
        assert isinstance(event, Event)
        assert event.data["reason"] == "expired"
        assert link.key is None

    def test_a_failed_restore_leaves_it(self) -> None:
        """The program's own restore of another key was refused: nothing changed."""
        link = bound_link()
        link.command(CommandName.RESTORE, [OTHER_KEY])
        sent(link)
        (answer,) = link.receive(refused(2, "expired"))
        assert isinstance(answer, Answer)
        assert isinstance(answer.error, Expired)
        assert link.session == SESSION
        assert link.key == KEY

    def test_a_session_told_without_its_key_keeps_it(self) -> None:
        """The key is known from before."""
        link = bound_link()
        wire = wire_session(language="pt-BR")
        del wire["key"]
        link.receive(encode(Event("session.set", wire, CURSOR + 1)))
        assert link.session is not None
        assert (link.session.key, link.session.language) == (KEY, "pt-BR")

    def test_a_replaced_key_is_the_one_restored_next(self) -> None:
        """`session.set` with a new key replaces the old one."""
        link = bound_link()
        link.receive(session_set(CURSOR + 1, key=OTHER_KEY))
        link.line_lost()
        link.line_opened()
        assert lines(link) == [(2, "session.restore", [OTHER_KEY, {"cursor": CURSOR + 1}])]

    @pytest.mark.parametrize("data", [None, {}, {"reason": 7}, wire_session()])
    def test_an_unset_without_a_reason_breaks_the_protocol(self, data: Any) -> None:
        """The reason is what a program acts on."""
        with pytest.raises(MalformedFrame):
            bound_link().receive(encode(Event("session.unset", data, None)))

    def test_a_set_without_a_session_breaks_the_protocol(self) -> None:
        """A handler gets a `Session`, always."""
        with pytest.raises(MalformedFrame):
            bound_link().receive(encode(Event("session.set", {"id": "x"}, None)))


class TestAdoptedKeys:
    """`set_session_key`: the program says whom it speaks for."""

    def test_it_is_restored_before_the_next_command(self) -> None:
        """On an open line the restore goes out at once, and holds back what follows."""
        link = open_link()
        link.adopt(KEY)
        link.command(CommandName.LIST, [])
        assert lines(link) == [(1, "session.restore", [KEY])]
        link.receive(session_set(None))
        link.receive(bound(1))
        assert lines(link) == [(2, "session.list", [])]
        assert link.key == KEY

    def test_it_waits_for_the_line(self) -> None:
        """Given before there is a connection, it is restored with the connection."""
        link = Link()
        link.adopt(KEY)
        assert link.key == KEY
        link.line_opened()
        assert lines(link) == [(1, "session.restore", [KEY])]

    def test_it_is_not_forgotten_by_a_lost_line(self) -> None:
        """Nor displaced by the session before it."""
        link = bound_link()
        link.adopt(OTHER_KEY)
        link.receive(session_set(CURSOR + 1))
        link.line_lost()
        link.line_opened()
        assert lines(link) == [(3, "session.restore", [OTHER_KEY])]

    def test_refused_it_leaves_the_session_that_was_bound(self) -> None:
        """The program is told, with no id: it is not the bound session that ended."""
        link = bound_link()
        link.adopt(OTHER_KEY)
        sent(link)
        assert link.receive(refused(2, "noSession")) == [
            Event("session.unset", {"reason": "noSession", "id": None}, None)
        ]
        assert (link.session, link.key) == (SESSION, KEY)

    def test_refused_on_a_new_line_it_leaves_no_session(self) -> None:
        """The session before it was given up for it, and is bound to nothing."""
        link = bound_link()
        link.line_lost()
        link.adopt(OTHER_KEY)
        link.line_opened()
        sent(link)
        assert link.receive(refused(2, "expired")) == [
            Event("session.unset", {"reason": "expired", "id": None}, None)
        ]
        assert (link.session, link.key) == (None, None)

    @pytest.mark.parametrize("key", [None, b"x", 7, "\ud800", "x" * 65536])
    def test_what_cannot_be_a_key_is_refused_at_once(self, key: Any) -> None:
        """Storage may hold anything; the link keeps what it had."""
        link = bound_link()
        with pytest.raises(InvalidSessionKey):
            link.adopt(key)
        assert link.key == KEY
        assert lines(link) == []

    def test_the_last_one_counts(self) -> None:
        """Two keys in a row: the first is refused, the second is still restored."""
        link = open_link()
        link.adopt(OTHER_KEY)
        link.adopt(KEY)
        sent(link)
        link.receive(refused(1, "expired"))
        assert link.key == KEY
        link.receive(bound(2))
        assert link.session == SESSION
