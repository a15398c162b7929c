"""The session as a link knows it: what the server said last."""

from typing import Any

import pytest

from keystay._conversation import Answer, Conversation
from keystay_protocol.codec import encode
from keystay_protocol.commands import CommandName
from keystay_protocol.errors import Expired, InvalidSessionKey, MalformedFrame, NoSession
from keystay_protocol.frames import Event
from tests.support.client_py.conversations import (
    bound_conversation,
    lines,
    open_conversation,
    sent,
)
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
        conversation = open_conversation()
        conversation.command(CommandName.RESTORE, [KEY])
        sent(conversation)
        conversation.receive(session_set(first))
        conversation.receive(session_set(second, meta={"name": "Zoë"}))
        conversation.receive(bound(1, 10))
        assert conversation.session is not None
        assert conversation.session.meta == {"name": "Zoë"}

    @pytest.mark.parametrize(("first", "second"), [(10, 11), (None, 11), (None, None)], ids=str)
    def test_a_session_that_ended_before_the_reply_stays_ended(
        self, first: int | None, second: int | None
    ) -> None:
        """The reply is older than the event: there is no session."""
        conversation = open_conversation()
        conversation.command(CommandName.RESTORE, [KEY])
        sent(conversation)
        conversation.receive(session_set(first))
        conversation.receive(session_unset("revoked", second))
        conversation.receive(bound(1, 10))
        assert conversation.session is None
        assert conversation.key is None

    def test_a_restore_sets_it_as_often_as_it_is_sent(self) -> None:
        """Its `session.set` has no cursor, so it is never taken for a repetition."""
        conversation = bound_conversation()
        for later in (1, 2):
            conversation.command(CommandName.RESTORE, conversation.restore_params(KEY))
            (command,) = sent(conversation)
            expires_at = SESSION.expires_at + later
            (event,) = conversation.receive(session_set(None, expiresAt=expires_at))
            assert isinstance(event, Event)
            assert (event.data.expires_at, event.cursor) == (expires_at, None)
            assert conversation.session == event.data
            conversation.receive(bound(command.id, CURSOR, expiresAt=expires_at))
            assert conversation.cursor == CURSOR

    def test_it_is_set_by_the_reply_where_events_are_not_heard(self) -> None:
        """A program that unsubscribed from `session` still gets its session."""
        conversation = open_conversation()
        conversation.command(CommandName.LOGIN, ["anonymous"])
        sent(conversation)
        conversation.receive(encode(Event("chat", "hi", CURSOR + 5)))
        conversation.receive(bound(1, CURSOR))
        assert conversation.session == SESSION
        assert conversation.key == KEY

    def test_it_is_set_by_the_reply_after_a_line_that_broke_before_one(self) -> None:
        """An event of the line before says nothing about the reply on this one."""
        conversation = open_conversation(paths=())
        conversation.use_key(KEY)
        conversation.receive(session_set(None))
        conversation.transport_lost()
        conversation.transport_opened()
        restore = sent(conversation)[-1]
        conversation.receive(bound(restore.id, CURSOR, language="fr"))
        assert conversation.session is not None
        assert conversation.session.language == "fr"

    def test_it_ends_with_its_event(self) -> None:
        """`session.unset` of this session leaves none, and forgets the key."""
        conversation = bound_conversation()
        (event,) = conversation.receive(vector("events.json", "session.unset: loggedOut"))
        assert isinstance(event, Event)
        assert event.data["reason"] == "loggedOut"
        assert (conversation.session, conversation.key) == (None, None)

    def test_the_end_of_another_session_does_not_touch_it(self) -> None:
        """The id tells which session ended."""
        conversation = bound_conversation()
        conversation.receive(session_unset("replaced", CURSOR + 1, id="another"))
        assert conversation.session == SESSION

    @pytest.mark.parametrize(
        ("params", "is_over"),
        [([], True), ([{"scope": "all"}], True), ([{"scope": "others"}], False)],
    )
    def test_a_logout_ends_it_even_where_events_are_not_heard(
        self, params: list[Any], *, is_over: bool
    ) -> None:
        """After the reply to `logout` of `this` or `all` there is no session."""
        conversation = bound_conversation()
        conversation.command(CommandName.LOGOUT, params)
        sent(conversation)
        conversation.receive(done(2))
        assert (conversation.session is None) is is_over

    @pytest.mark.parametrize("scope", ["all", "others"])
    def test_a_logout_that_is_refused_leaves_it_to_its_event(self, scope: str) -> None:
        """The session has ended, and why is about to come: nothing is over twice."""
        conversation = bound_conversation()
        conversation.command(CommandName.LOGOUT, [{"scope": scope}])
        sent(conversation)
        (answer,) = conversation.receive(refused(2, "noSession"))
        assert isinstance(answer, Answer)
        assert isinstance(answer.error, NoSession)
        assert conversation.session == SESSION
        (event,) = conversation.receive(session_unset("expired", CURSOR + 1))
        assert isinstance(event, Event)
        assert event.data["reason"] == "expired"
        assert conversation.key is None

    def test_a_failed_restore_leaves_it(self) -> None:
        """The program's own restore of another key was refused: nothing changed."""
        conversation = bound_conversation()
        conversation.command(CommandName.RESTORE, [OTHER_KEY])
        sent(conversation)
        (answer,) = conversation.receive(refused(2, "expired"))
        assert isinstance(answer, Answer)
        assert isinstance(answer.error, Expired)
        assert conversation.session == SESSION
        assert conversation.key == KEY

    def test_a_session_told_without_its_key_keeps_it(self) -> None:
        """The key is known from before."""
        conversation = bound_conversation()
        wire = wire_session(language="pt-BR")
        del wire["key"]
        conversation.receive(encode(Event("session.set", wire, CURSOR + 1)))
        assert conversation.session is not None
        assert (conversation.session.key, conversation.session.language) == (KEY, "pt-BR")

    def test_a_replaced_key_is_the_one_restored_next(self) -> None:
        """`session.set` with a new key replaces the old one."""
        conversation = bound_conversation()
        conversation.receive(session_set(CURSOR + 1, key=OTHER_KEY))
        conversation.transport_lost()
        conversation.transport_opened()
        assert lines(conversation) == [
            (2, "session.restore", [OTHER_KEY, {"cursor": CURSOR + 1}])
        ]

    @pytest.mark.parametrize("data", [None, {}, {"reason": 7}, wire_session()])
    def test_an_unset_without_a_reason_breaks_the_protocol(self, data: Any) -> None:
        """The reason is what a program acts on."""
        with pytest.raises(MalformedFrame):
            bound_conversation().receive(encode(Event("session.unset", data, None)))

    def test_a_set_without_a_session_breaks_the_protocol(self) -> None:
        """A handler gets a `Session`, always."""
        with pytest.raises(MalformedFrame):
            bound_conversation().receive(encode(Event("session.set", {"id": "x"}, None)))


class TestAdoptedKeys:
    """`set_session_key`: the program says whom it speaks for."""

    def test_it_is_restored_before_the_next_command(self) -> None:
        """On an open line the restore goes out at once, and holds back what follows."""
        conversation = open_conversation()
        conversation.use_key(KEY)
        conversation.command(CommandName.LIST, [])
        assert lines(conversation) == [(1, "session.restore", [KEY])]
        conversation.receive(session_set(None))
        conversation.receive(bound(1))
        assert lines(conversation) == [(2, "session.list", [])]
        assert conversation.key == KEY

    def test_it_waits_for_the_line(self) -> None:
        """Given before there is a connection, it is restored with the connection."""
        conversation = Conversation()
        conversation.use_key(KEY)
        assert conversation.key == KEY
        conversation.transport_opened()
        assert lines(conversation) == [(1, "session.restore", [KEY])]

    def test_it_is_not_forgotten_by_a_lost_line(self) -> None:
        """Nor displaced by the session before it."""
        conversation = bound_conversation()
        conversation.use_key(OTHER_KEY)
        conversation.receive(session_set(CURSOR + 1))
        conversation.transport_lost()
        conversation.transport_opened()
        assert lines(conversation) == [(3, "session.restore", [OTHER_KEY])]

    def test_refused_it_leaves_the_session_that_was_bound(self) -> None:
        """The program is told, with no id: it is not the bound session that ended."""
        conversation = bound_conversation()
        conversation.use_key(OTHER_KEY)
        sent(conversation)
        assert conversation.receive(refused(2, "noSession")) == [
            Event("session.unset", {"reason": "noSession", "id": None}, None)
        ]
        assert (conversation.session, conversation.key) == (SESSION, KEY)

    def test_refused_on_a_new_line_it_leaves_no_session(self) -> None:
        """The session before it was given up for it, and is bound to nothing."""
        conversation = bound_conversation()
        conversation.transport_lost()
        conversation.use_key(OTHER_KEY)
        conversation.transport_opened()
        sent(conversation)
        assert conversation.receive(refused(2, "expired")) == [
            Event("session.unset", {"reason": "expired", "id": None}, None)
        ]
        assert (conversation.session, conversation.key) == (None, None)

    @pytest.mark.parametrize("key", [None, b"x", 7, "\ud800", "x" * 65536])
    def test_what_cannot_be_a_key_is_refused_at_once(self, key: Any) -> None:
        """Storage may hold anything; the link keeps what it had."""
        conversation = bound_conversation()
        with pytest.raises(InvalidSessionKey):
            conversation.use_key(key)
        assert conversation.key == KEY
        assert lines(conversation) == []

    def test_the_last_one_counts(self) -> None:
        """Two keys in a row: the first is refused, the second is still restored."""
        conversation = open_conversation()
        conversation.use_key(OTHER_KEY)
        conversation.use_key(KEY)
        sent(conversation)
        conversation.receive(refused(1, "expired"))
        assert conversation.key == KEY
        conversation.receive(bound(2))
        assert conversation.session == SESSION
