"""What a link asks for when it comes back, and what it says about the answer."""

from typing import Any

import pytest

from keystay._conversation import SESSION_RECOVERED, Conversation
from keystay.session_store import StoredSession
from keystay_protocol.codec import encode
from keystay_protocol.commands import CommandName
from keystay_protocol.errors import InvalidSessionKey, MalformedFrame
from keystay_protocol.frames import Event, Reply
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
    OTHER_KEY,
    SESSION,
    bound,
    refused,
    session_set,
    session_unset,
    wire_session,
)


def told(*, recovered: bool) -> list[Event]:
    """What the program is told when the session was taken up again."""
    return [Event(SESSION_RECOVERED, {"recovered": recovered}, None)]


def reconnect(conversation: Conversation) -> int:
    """Give the link a new line; return the id of its restore."""
    conversation.transport_lost()
    conversation.transport_opened()
    return sent(conversation)[-1].id


class TestTheCursor:
    """It goes with the key of the session it was heard of."""

    def test_every_restore_of_the_session_tells_it(self) -> None:
        """The newest one, whatever kind of event it came with, beside the version."""
        conversation = Conversation(version="2.1.0")
        conversation.use_key(KEY)
        conversation.transport_opened()
        assert lines(conversation) == [(1, "session.restore", [KEY, {"version": "2.1.0"}])]
        conversation.receive(bound(1))
        conversation.receive(encode(Event("chat", "hi", CURSOR + 7)))
        options = {"version": "2.1.0", "cursor": CURSOR + 7}
        assert conversation.restore_params(KEY) == [KEY, options]

    def test_another_session_is_restored_without(self) -> None:
        """Nothing was heard of it, be it of the same actor or of another."""
        conversation = bound_conversation()
        assert conversation.restore_params(OTHER_KEY) == [OTHER_KEY]
        conversation.use_key(OTHER_KEY)
        assert lines(conversation) == [(2, "session.restore", [OTHER_KEY])]
        assert conversation.receive(bound(2, 7, key=OTHER_KEY, actorId="player:8")) == []
        assert conversation.restore_params(OTHER_KEY) == [OTHER_KEY, {"cursor": 7}]
        assert conversation.restore_params(KEY) == [KEY]

    def test_a_line_that_breaks_during_the_replay(self) -> None:
        """The next restore begins after what was heard of it."""
        conversation = bound_conversation()
        reconnect(conversation)
        assert len(conversation.receive(session_set(CURSOR + 1))) == 1
        conversation.transport_lost()
        conversation.transport_opened()
        assert lines(conversation) == [(3, "session.restore", [KEY, {"cursor": CURSOR + 1}])]
        assert conversation.receive(session_set(CURSOR + 1)) == []
        conversation.receive(session_set(None))
        assert conversation.receive(bound(3, CURSOR + 2, recovered=True)) == told(
            recovered=True
        )
        assert conversation.restore_params(KEY) == [KEY, {"cursor": CURSOR + 2}]

    def test_the_reply_says_where_a_restore_has_brought_the_connection(self) -> None:
        """Further than its events, which may be of paths that nobody is subscribed to."""
        conversation = bound_conversation()
        conversation.receive(encode(Event("chat", "hi", CURSOR + 3)))
        for cursor, kept in [(CURSOR + 9, CURSOR + 9), (CURSOR + 5, CURSOR + 9)]:
            id_ = reconnect(conversation)
            conversation.receive(session_set(None))
            conversation.receive(bound(id_, cursor, recovered=True))
            assert conversation.cursor == kept

    def test_a_line_that_breaks_before_the_reply(self) -> None:
        """The `session.set` has no cursor, and takes none away; nor from a stored session."""
        conversation = Conversation()
        conversation.resume(StoredSession(KEY, CURSOR))
        conversation.transport_opened()
        conversation.receive(encode(Event("chat", "hi", CURSOR + 1)))
        conversation.receive(session_set(None))
        assert conversation.stored_session == StoredSession(KEY, CURSOR + 1)
        conversation.transport_lost()
        conversation.transport_opened()
        assert sent(conversation)[-1].params == [KEY, {"cursor": CURSOR + 1}]

    def test_the_cursor_of_a_stored_session_is_not_that_of_another_actor(self) -> None:
        """A key that the program gave opens a session of somebody else."""
        conversation = Conversation()
        conversation.use_key(OTHER_KEY)
        conversation.resume(StoredSession(KEY, CURSOR))
        conversation.transport_opened()
        sent(conversation)
        conversation.receive(session_set(None, key=OTHER_KEY, actorId="player:8"))
        assert conversation.stored_session == StoredSession(OTHER_KEY, None)
        conversation.receive(bound(1, 7, key=OTHER_KEY, actorId="player:8"))
        assert conversation.stored_session == StoredSession(OTHER_KEY, 7)

    def test_a_server_without_cursors(self) -> None:
        """There is nothing to ask with, and the program is told that events may be missing."""
        conversation = bound_conversation(cursor=None)
        conversation.transport_lost()
        conversation.transport_opened()
        assert lines(conversation) == [(2, "session.restore", [KEY])]
        conversation.receive(session_set(None))
        assert conversation.receive(bound(2, None)) == told(recovered=False)

    @pytest.mark.parametrize("cursor", [-1, 2**53, 1.0, True, "7"])
    def test_what_is_no_cursor_breaks_the_protocol(self, cursor: Any) -> None:
        """It would be refused when it is told to the server."""
        conversation = open_conversation()
        conversation.command(CommandName.RESTORE, [KEY])
        sent(conversation)
        with pytest.raises(MalformedFrame):
            conversation.receive(bound(1, cursor))


class TestRecovered:
    """Whether all that was missed was replayed."""

    @pytest.mark.parametrize("recovered", [True, False])
    def test_it_is_what_the_server_says(self, *, recovered: bool) -> None:
        """Unknown until the first reconnect; told after what was replayed."""
        conversation = bound_conversation()
        assert conversation.recovered is None
        id_ = reconnect(conversation)
        conversation.receive(session_set(None))
        assert conversation.receive(bound(id_, CURSOR + 1, recovered=recovered)) == told(
            recovered=recovered
        )
        assert conversation.recovered is recovered

    def test_a_server_that_does_not_say(self) -> None:
        """Counts as one that did not."""
        conversation = bound_conversation()
        id_ = reconnect(conversation)
        result = {"session": wire_session(), "cursor": CURSOR + 1}
        assert conversation.receive(encode(Reply(id_, None, result))) == told(recovered=False)

    def test_a_restore_of_the_program_says_nothing_about_it(self) -> None:
        """Nothing was missed: the line has been there."""
        conversation = bound_conversation()
        conversation.command(CommandName.RESTORE, conversation.restore_params(KEY))
        sent(conversation)
        conversation.receive(bound(2, CURSOR + 1, recovered=False))
        assert conversation.recovered is None

    def test_moving_to_another_session_while_the_line_is_lost(self) -> None:
        """The program gave the old one up: nothing of it is missed, now or later."""
        conversation = bound_conversation()
        conversation.transport_lost()
        conversation.use_key(OTHER_KEY)
        conversation.transport_opened()
        assert lines(conversation) == [(2, "session.restore", [OTHER_KEY])]
        assert conversation.receive(bound(2, CURSOR + 1, key=OTHER_KEY)) == []
        conversation.use_key(KEY)
        sent(conversation)
        assert conversation.receive(bound(3, CURSOR + 2)) == []
        assert conversation.recovered is None

    def test_a_session_that_is_over_is_not_recovered(self) -> None:
        """Nor is it when the same key is tried again."""
        conversation = bound_conversation()
        conversation.receive(refused(reconnect(conversation), "expired"))
        conversation.use_key(KEY)
        sent(conversation)
        assert conversation.receive(bound(3, CURSOR + 1)) == []


class TestToStore:
    """What takes the session up in another run."""

    def test_it_follows_the_session(self) -> None:
        """Its key and the newest cursor, until it ends."""
        conversation = open_conversation()
        assert conversation.stored_session is None
        conversation = bound_conversation()
        assert conversation.stored_session == StoredSession(KEY, CURSOR)
        conversation.receive(encode(Event("chat", "hi", CURSOR + 1)))
        assert conversation.stored_session == StoredSession(KEY, CURSOR + 1)
        conversation.receive(session_set(CURSOR + 2, key=OTHER_KEY))
        assert conversation.stored_session == StoredSession(OTHER_KEY, CURSOR + 2)
        conversation.receive(session_unset("revoked", CURSOR + 3))
        assert conversation.stored_session is None

    def test_a_stored_session_is_restored_with_the_first_line(self) -> None:
        """With its cursor; the first line is a return to it."""
        conversation = Conversation()
        conversation.resume(StoredSession(KEY, CURSOR))
        assert (conversation.key, conversation.session) == (KEY, None)
        conversation.transport_opened()
        assert lines(conversation) == [(1, "session.restore", [KEY, AFTER])]
        assert len(conversation.receive(encode(Event("chat", "hi", CURSOR + 1)))) == 1
        assert len(conversation.receive(session_set(None))) == 1
        assert conversation.receive(bound(1, CURSOR + 2, recovered=True)) == told(
            recovered=True
        )
        assert conversation.session == SESSION

    def test_a_stored_session_that_is_over(self) -> None:
        """The program hears why, and an actor who logs in then has cursors of its own."""
        conversation = Conversation()
        conversation.resume(StoredSession(KEY, CURSOR))
        conversation.transport_opened()
        sent(conversation)
        assert conversation.receive(refused(1, "loggedOut")) == [
            Event("session.unset", {"reason": "loggedOut", "id": None}, None)
        ]
        assert (conversation.key, conversation.stored_session) == (None, None)
        conversation.command(CommandName.LOGIN, ["anonymous"])
        sent(conversation)
        assert len(conversation.receive(session_set(5))) == 1
        conversation.receive(bound(2, 5))
        assert conversation.stored_session == StoredSession(KEY, 5)

    def test_a_key_of_the_program_goes_before_the_stored_one(self) -> None:
        """Whoever it opens is the actor."""
        conversation = Conversation()
        conversation.use_key(OTHER_KEY)
        conversation.resume(StoredSession(KEY, CURSOR))
        conversation.transport_opened()
        assert lines(conversation) == [(1, "session.restore", [OTHER_KEY])]

    @pytest.mark.parametrize("key", ["\ud800", "x" * 65536])
    def test_a_stored_key_that_cannot_be_sent(self, key: str) -> None:
        """It is refused before a line stumbles over it."""
        conversation = Conversation()
        with pytest.raises(InvalidSessionKey):
            conversation.resume(StoredSession(key, None))
        assert conversation.key is None
