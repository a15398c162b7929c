"""
The checker finds changes, reassignments, policies and feeds that are not as promised.
"""

from dataclasses import replace

import pytest

from keystay_server.stores.records import Policy
from tests.soak.record import FeedItem, Moment
from tests.soak.story import ACTOR, OTHER, STEP_MS, Story
from tests.soak.violations import Kind


def changed(story: Story, **more: object) -> None:
    """A backend is answered that it changed the meta of `s1`."""
    result = {"new_revision": 2, "state": "4 en", **more}
    story.request("change", 200, session_id="s1", number=4, **result)


def test_a_change_that_was_answered() -> None:
    """It is in the history, under the revision that was answered, as it was asked for."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    story.send_set(one, story.write("set", "s1", state="4 en"), state="4 en")
    changed(story)
    changed(story, revision=1)
    assert story.kinds("s1") == set()
    for wrong, kind in (
        ({"new_revision": 3}, Kind.LOST),
        ({"state": "5 en"}, Kind.WRONG_STATE),
        ({"revision": 2}, Kind.WRONG_STATE),
    ):
        changed(story, **wrong)
        assert story.kinds("s1") == {kind}, wrong
        story.record.requests.pop()


def test_a_conflict_without_need() -> None:
    """A change is refused only if somebody else has changed the session."""
    story = Story()
    story.log_in(story.connect())
    at = story.now()
    story.request("change", 409, session_id="s1", number=4, revision=1, at=at)
    assert story.kinds("s1") == {Kind.REFUSED}
    story.record.requests[0] = replace(story.record.requests[0], revision=2)
    assert story.kinds("s1") == set()


def reassigned(reason: str = "reassigned", state: str = "0 en", actor_id: str = OTHER) -> Story:
    """A backend is answered that `s1` was given to another actor, as `s2`."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    story.send_unset(one, story.write("unset", "s1", reason=reason), reason)
    story.write("set", "s2", actor_id=actor_id, state=state)
    story.request("reassign", 201, session_id="s1", number=9, target=OTHER, opened_id="s2")
    return story


def test_a_reassignment() -> None:
    """The session ends, and one that is alike opens for the other actor."""
    assert reassigned().kinds("s2") == set()
    assert Kind.LOST in reassigned(reason="expired").kinds("s2")
    assert reassigned(actor_id=ACTOR).kinds("s2") == {Kind.LOST}
    assert reassigned(state="4 en").kinds("s2") == {Kind.WRONG_STATE}


def test_a_reassignment_that_is_lost() -> None:
    """What was opened for the other actor is in its history."""
    story = reassigned()
    story.record.history[OTHER].clear()
    assert story.kinds() == {Kind.LOST}


def test_a_session_that_is_reassigned_twice() -> None:
    """Of several that ask at once one succeeds."""
    story = reassigned()
    story.record.requests *= 2
    assert story.kinds("s2") == {Kind.DOUBLED}


def test_a_session_that_is_alive_after_its_reassignment() -> None:
    """Once the new key was answered, the old one opens nothing."""
    story = reassigned()
    del story.record.connections[0].log[-1]
    story.record.connections[0].closed = Moment(0, 0)
    one = story.connect()
    story.answer(one, story.ask(one, "isValid", "s1"))
    assert story.kinds("s2") == {Kind.STILL_ALIVE}


def two_of_one(policy: Policy, *makes_room: str) -> Story:
    """An actor logs in twice under a policy of one session."""
    story = Story(policy)
    one, other = story.connect(), story.connect()
    story.log_in(one)
    story.log_in(other, "s2", makes_room=makes_room)
    for _ in makes_room:
        cursor = story.record.history[ACTOR][-2].cursor
        story.send_unset(one, cursor, "replaced")
    return story


def test_a_session_that_is_replaced() -> None:
    """The oldest one makes room."""
    assert two_of_one(Policy(1), "s1").kinds("s2") == set()


def test_more_sessions_than_the_policy_allows() -> None:
    """The bound is exact, whichever the policy."""
    for policy in (Policy(1), Policy(1, is_strict=True)):
        assert two_of_one(policy).kinds("s1", "s2") == {Kind.OVER_LIMIT}


@pytest.mark.parametrize(
    "policy", [Policy(), Policy(2), Policy(1, is_strict=True)], ids=["none", "2", "deny"]
)
def test_a_session_that_is_replaced_without_need(policy: Policy) -> None:
    """No more than have to make room are ended, and none where one more is refused."""
    assert two_of_one(policy, "s1").kinds("s2") == {Kind.NOBODY_ENDED}


def test_a_newer_session_that_is_replaced() -> None:
    """The oldest one has to make room."""
    story = Story(Policy(2))
    connections = [story.connect() for _ in range(3)]
    story.log_in(connections[0])
    story.log_in(connections[1], "s2")
    story.log_in(connections[2], "s3", makes_room=("s2",))
    cursor = story.record.history[ACTOR][-2].cursor
    story.send_unset(connections[1], cursor, "replaced", "s2")
    assert story.kinds("s1", "s3") == {Kind.NOBODY_ENDED}


def test_a_session_that_is_replaced_by_nothing() -> None:
    """Nobody is ended for a session that does not open."""
    story = two_of_one(Policy(1), "s1")
    story.record.history[ACTOR][1] = replace(story.record.history[ACTOR][1], by="s3")
    assert story.kinds("s2") == {Kind.NOBODY_ENDED}


def test_a_session_that_is_alive_after_it_was_replaced() -> None:
    """Once the new session was answered, the old one's key opens nothing."""
    story = two_of_one(Policy(1), "s1")
    del story.record.connections[0].log[-1]
    story.record.connections[0].closed = Moment(0, 0)
    one = story.connect()
    story.answer(one, story.ask(one, "isValid", "s1"))
    assert story.kinds("s2") == {Kind.STILL_ALIVE}


def test_a_session_that_is_refused_without_need() -> None:
    """An actor is refused one more only if it has as many as it may have."""
    for limit, expected in ((1, set()), (2, {Kind.REFUSED})):
        story = Story(Policy(limit, is_strict=True))
        one = story.connect()
        story.log_in(story.connect())
        story.answer(one, story.ask(one, "login"), error="sessionLimit")
        assert story.kinds("s1") == expected, limit
        one.log.clear()
        at = story.now()
        for kind, more in (("open", {}), ("reassign", {"actor_id": OTHER, "target": ACTOR})):
            story.request(kind, 409, at=at, number=9, **more)
            assert story.kinds("s1") == expected, (limit, kind)
            story.record.requests.clear()
    story = Story(Policy(1, is_strict=True))
    one = story.connect()
    story.log_in(one)
    story.send_unset(one, story.end())
    story.now(STEP_MS)
    story.answer(one, story.ask(one, "login"), error="sessionLimit")
    assert story.kinds() == {Kind.REFUSED}


def fed() -> tuple[Story, list[FeedItem]]:
    """A feed of three entries."""
    story = Story()
    one = story.connect()
    story.log_in(one)
    story.send_set(one, story.write("set", "s1"))
    story.send_unset(one, story.end())
    return story, story.read_feed()


def test_a_feed() -> None:
    """Each reader receives every creation, change and end, once and in order."""
    story, _ = fed()
    assert story.kinds() == set()
    story, items = fed()
    del items[1]
    assert story.kinds() == {Kind.MISSED}
    story, items = fed()
    items.insert(1, items[1])
    assert story.kinds() == {Kind.DOUBLED}
    story, items = fed()
    items[1], items[2] = items[2], items[1]
    assert story.kinds() == {Kind.OUT_OF_ORDER}
    story, items = fed()
    items.append(FeedItem(ACTOR, items[-1].cursor + 1, "s1"))
    assert story.kinds() == {Kind.FOREIGN}
    story, _ = fed()
    story.record.feeds_lost = 1
    assert story.kinds() == {Kind.MISSED}
