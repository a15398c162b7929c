"""
The checker tells sessions that expired too early, or too late, from those in time.
"""

from tests.soak.record import Absence, Connection, Event, Moment, Reply
from tests.soak.story import SHORT_TTL_MS, STEP_MS, Story, with_
from tests.soak.violations import Kind

STOP_MS = 20_000


def expired(story: Story, to: Connection) -> None:
    """Let the session expire under a connection."""
    story.send_unset(to, story.write("unset", "s1", reason="expired"), "expired")


def test_a_session_that_should_have_expired() -> None:
    """A session that nobody holds ends when its time is over."""
    story = Story()
    one = story.connect()
    story.log_in(one, ttl_ms=SHORT_TTL_MS)
    story.now(60_000)
    assert story.kinds("s1") == set()
    one.closed = Moment(0, story.ms)
    story.now(60_000)
    assert story.kinds("s1") == {Kind.STILL_ALIVE}
    story.record.absences.append(Absence("store", one.closed.ms, story.ms))
    assert story.kinds("s1") == set()


def test_a_session_that_expired_while_it_was_held() -> None:
    """A bound connection keeps its session alive."""
    story = Story()
    one = story.connect()
    story.log_in(one, ttl_ms=SHORT_TTL_MS)
    left = story.now(STEP_MS)
    story.now(SHORT_TTL_MS)
    cursor = story.write("unset", "s1", reason="expired")
    one.closed = left
    assert story.kinds() == set()
    one.closed = None
    story.send_unset(one, cursor, "expired")
    assert story.kinds() == {Kind.NOBODY_ENDED}


def test_a_session_that_expired_before_its_deadline() -> None:
    """A session lives at least as long as any client was sent."""
    for where in (Reply, Event):
        story = Story()
        one = story.connect()
        story.log_in(one, ttl_ms=SHORT_TTL_MS)
        story.close(one)
        two = story.connect()
        story.restore(two)
        story.close(two)
        story.now(SHORT_TTL_MS)
        story.write("unset", "s1", reason="expired")
        assert story.kinds() == set()
        [index] = [i for i, item in enumerate(two.log) if isinstance(item, where)]
        two.log[index] = with_(two.log[index], expires_at=story.ms + 1)
        assert story.kinds() == {Kind.NOBODY_ENDED}, where


def test_a_session_that_is_held_while_the_store_is_away() -> None:
    """It does not expire because its extension could not be written."""
    story = Story()
    one = story.connect()
    story.log_in(one, ttl_ms=SHORT_TTL_MS)
    story.record.absences.append(Absence("store", story.ms, story.ms + STOP_MS))
    story.now(STOP_MS)
    assert story.kinds("s1") == set()
    expired(story, one)
    assert story.kinds() == {Kind.NOBODY_ENDED}


def test_a_node_that_is_stopped_counts_as_dead_where_another_one_lives() -> None:
    """Its sessions may expire, those of the other node may not."""
    for node, expected in ((0, set()), (1, {Kind.NOBODY_ENDED})):
        story = Story()
        one = story.connect(node)
        story.connect(1 - node)
        story.log_in(one, ttl_ms=SHORT_TTL_MS)
        story.stop(0, STOP_MS)
        story.now(STOP_MS)
        expired(story, one)
        assert story.kinds() == expected, node


def test_a_node_that_is_stopped_lives_on_where_no_other_one_lives() -> None:
    """While all nodes are stopped or down, nobody ends what they hold."""
    for what in ("stopped", "down"):
        story = Story()
        one = story.connect(0)
        story.log_in(one, ttl_ms=SHORT_TTL_MS)
        story.record.absences.append(Absence(what, story.ms - 5, story.ms + STOP_MS + 5, 1))
        story.stop(0, STOP_MS)
        story.now(STOP_MS)
        assert story.kinds("s1") == set()
        expired(story, one)
        assert story.kinds() == {Kind.NOBODY_ENDED}, what


def test_a_node_that_was_stopped_long_ago() -> None:
    """When it is back, it holds its sessions as before."""
    story = Story()
    one = story.connect(0)
    story.connect(1)
    story.log_in(one, ttl_ms=SHORT_TTL_MS)
    story.stop(0, STOP_MS)
    story.now(2 * STOP_MS)
    expired(story, one)
    assert story.kinds() == {Kind.NOBODY_ENDED}


def test_an_overdue_session_that_is_ended_with_all() -> None:
    """It ends as expired, if nobody has extended it yet."""
    for kind, expected in (("endAll", set()), ("end", {Kind.NOBODY_ENDED})):
        story = Story()
        one = story.connect()
        story.log_in(one, ttl_ms=SHORT_TTL_MS)
        story.now(SHORT_TTL_MS)
        expired(story, one)
        story.request(kind, 503, session_id="s1", reason="ban1")
        assert story.kinds() == expected, kind
