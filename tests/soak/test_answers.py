"""
The checker finds answers to clients and backends that are not so.
"""

from tests.soak.record import Moment, Request
from tests.soak.story import ACTOR, STEP_MS, TTL_MS, Story, with_
from tests.soak.violations import Kind


def test_an_ended_session_that_is_listed() -> None:
    """A list has every session that is live, and no other."""
    story = Story()
    one, other = story.connect(), story.connect()
    story.log_in(one)
    story.log_in(other, "s2")
    story.send_unset(one, story.end())
    command = story.ask(other, "list", "s2")
    story.answer(other, command, listed=("s1", "s2"))
    assert story.kinds("s2") == {Kind.STILL_ALIVE}
    other.log[-1] = with_(other.log[-1], listed=())
    story.now(60_000)
    assert story.kinds("s2") == {Kind.NOBODY_ENDED}


def test_a_refusal_of_a_live_session() -> None:
    """A live session's key is not refused."""
    for method in ("isValid", "restore"):
        story = Story()
        one = story.connect()
        story.log_in(one)
        story.answer(one, story.ask(one, method, "s1"), error="expired")
        assert story.kinds("s1") == {Kind.NOBODY_ENDED}, method


def test_an_answered_login_that_is_lost() -> None:
    """What was opened is in the history, and its key is known."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    story.answer(one, story.ask(one, "isValid", "s1"), error="noSession")
    assert story.kinds("s1") == {Kind.LOST}
    story = Story()
    story.request("open", 201, opened_id="s1")
    assert story.kinds() == {Kind.LOST}
    story = Story()
    one = story.connect()
    story.answer(one, story.ask(one, "login"), session_id="s1", cursor=5)
    assert story.kinds() == {Kind.LOST}


def test_an_answered_logout_that_is_lost() -> None:
    """A granted logout ended all that it named."""
    for scope in ("this", "others", "all"):
        story = Story()
        one, other = story.connect(), story.connect()
        story.log_in(one)
        story.log_in(other, "s2")
        story.answer(one, story.ask(one, "logout", "s1", scope=scope))
        story.now(60_000)
        assert Kind.LOST in story.kinds("s1", "s2"), scope


def test_a_logout_of_others_by_a_session_that_is_over() -> None:
    """It ends the others, or is refused with `noSession`; it never succeeds in vain."""
    for scope in ("others", "all"):
        story = Story()
        one, other = story.connect(), story.connect()
        story.log_in(one)
        story.log_in(other, "s2")
        story.send_unset(one, story.end())
        command = story.ask(one, "logout", "s1", scope=scope)
        story.answer(one, command, error="noSession")
        assert story.kinds("s2") == set(), scope
        one.log.pop()
        story.answer(one, command)
        assert story.kinds("s2") == {Kind.LOST}, scope


def test_a_logout_that_was_refused_without_need() -> None:
    """A live session may end the others, and any may end itself."""
    for scope, kind in (("all", Kind.NOBODY_ENDED), ("this", Kind.FAILED)):
        story = Story()
        one = story.connect()
        story.log_in(one)
        story.answer(one, story.ask(one, "logout", "s1", scope=scope), error="noSession")
        assert story.kinds("s1") == {kind}, scope


def test_an_answered_end_that_is_lost() -> None:
    """What a backend was answered has ended has ended, for its reason."""
    for kind, status in (("end", 204), ("endAll", 200)):
        story = Story()
        story.log_in(story.connect())
        story.now(60_000)
        story.request(kind, status, session_id="s1", reason="ban1", ended=1)
        assert story.kinds("s1") == {Kind.LOST}, kind


def test_an_end_of_all_that_left_one() -> None:
    """It ends every session that was there before."""
    story = Story()
    one, other = story.connect(), story.connect()
    story.log_in(one)
    story.log_in(other, "s2")
    at = story.now()
    story.send_unset(one, story.write("unset", "s1", reason="ban1"))
    story.request("endAll", 200, at=at, reason="ban1", ended=1)
    assert story.kinds("s2") == {Kind.LOST}


def test_a_request_that_was_refused_without_need() -> None:
    """A live session is found."""
    for kind in ("end", "emit", "change", "reassign"):
        story = Story()
        story.log_in(story.connect())
        story.request(kind, 404, session_id="s1", number=3)
        assert story.kinds("s1") == {Kind.NOBODY_ENDED}, kind


def test_a_wrong_reason() -> None:
    """Whoever receives an end, or asks later, gets the reason."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    cursor = story.end()
    story.send_unset(one, cursor, "revoked")
    assert story.kinds() == {Kind.WRONG_REASON}
    one.log.pop()
    story.send_unset(one, cursor)
    assert story.kinds() == set()
    story.answer(one, story.ask(one, "restore", "s1"), error="revoked")
    assert story.kinds() == {Kind.WRONG_REASON}


def test_a_failure_of_the_server() -> None:
    """`internal` is never the right answer."""
    for method in ("list", "login", "restore"):
        story = Story()
        one = story.connect()
        story.log_in(one)
        story.answer(one, story.ask(one, method, "s1"), error="internal")
        assert story.kinds("s1") == {Kind.FAILED}, method
    story = Story()
    story.request("open", 500)
    assert story.kinds() == {Kind.FAILED}


def test_a_command_that_is_never_answered() -> None:
    """Each command gets a reply as long as the connection lives and nothing is away."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    story.ask(one, "list", "s1")
    assert story.kinds("s1") == set()
    story.now(60_000)
    assert story.kinds("s1") == {Kind.FAILED}
    story.ms -= 60_000
    story.stop(0, 50_000)
    story.now(60_000)
    assert story.kinds("s1") == set()


def test_an_answered_event_that_is_lost() -> None:
    """An event whose cursor a backend was answered is in the history, at that place."""
    story = Story()
    cursor = story.log_in(story.connect())
    story.request("emit", 201, session_id="s1", number=3, cursor=cursor + 1024)
    assert story.kinds("s1") == {Kind.LOST}


def test_a_conflict_that_cannot_be() -> None:
    """A change that was meant for any revision is never refused."""
    story = Story()
    story.log_in(story.connect())
    story.request("change", 409, session_id="s1", number=4)
    assert story.kinds("s1") == {Kind.REFUSED}


def test_an_end_that_is_known() -> None:
    """Once anybody was told of an end, the key opens nothing for anyone."""

    def by_backend(story: Story) -> None:
        story.end()

    def by_event(story: Story) -> None:
        story.send_unset(story.record.connections[0], story.write("unset", "s1", reason="ban1"))
        story.record.requests.append(Request("end", ACTOR, Moment(0, 0), "s1", "ban1"))

    def by_logout(story: Story) -> None:
        connection = story.record.connections[0]
        command = story.ask(connection, "logout", "s1", scope="this")
        story.write("unset", "s1", reason="loggedOut")
        story.answer(connection, command)

    for ended in (by_backend, by_event, by_logout):
        story = Story()
        one, other = story.connect(), story.connect()
        story.log_in(one)
        ended(story)
        story.answer(other, story.ask(other, "isValid", "s1"))
        assert Kind.STILL_ALIVE in story.kinds(), ended


def test_a_session_that_was_only_overdue() -> None:
    """It is taken for over before it has been ended, but then it ends as expired, and soon."""
    for later_ms, reason, expected in (
        (1000, "expired", set()),
        (1000, "ban1", {Kind.NOBODY_ENDED}),
        (60_000, "expired", {Kind.NOBODY_ENDED}),
    ):
        story = Story()
        one, other = story.connect(), story.connect()
        story.log_in(one, ttl_ms=STEP_MS)
        story.close(one)
        story.log_in(other, "s2")
        story.now(TTL_MS)
        story.answer(other, story.ask(other, "list", "s2"), listed=("s2",))
        story.request("emit", 404, session_id="s1", number=3)
        story.now(later_ms)
        story.end("s1", reason)
        assert story.kinds("s2") == expected, (later_ms, reason)
