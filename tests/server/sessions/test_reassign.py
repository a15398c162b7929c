"""
`sessions/reassign.py`: a session for another actor in place of an old one.
"""

import asyncio
from dataclasses import replace

import pytest

from keystay_protocol.errors import NoSession, Reassigned, SessionLimit
from keystay_server.sessions.idempotency import IdempotencyKey
from keystay_server.sessions.policy import Rules
from keystay_server.sessions.reassign import reassign
from keystay_server.sessions.service import SessionRequest, Sessions
from keystay_server.stores.records import Policy
from tests.support.server.memory_node import MemoryNode


async def test_one_of_several_reassignments_at_once_succeeds(node: MemoryNode) -> None:
    """The others change nothing: what the target has under `single` is the winner's session."""
    sessions = Sessions(node.store, Rules(60, policy=Policy(1)))
    guest = await sessions.create(SessionRequest("guest"))
    answers = await asyncio.gather(
        *(reassign(sessions, guest.record.id, "alice") for _ in range(5)),
        return_exceptions=True,
    )
    [winner] = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert [type(answer) for answer in answers].count(NoSession) == 4
    assert (await sessions.check(winner.key)).actor_id == "alice"
    with pytest.raises(Reassigned):
        await sessions.check(guest.key)


async def test_an_actor_at_its_limit_is_given_no_session(node: MemoryNode) -> None:
    """Under `deny:N` the old session lives on."""
    sessions = Sessions(node.store, Rules(60, policy=Policy(1, is_strict=True)))
    await sessions.create(SessionRequest("alice"))
    guest = await sessions.create(SessionRequest("guest"))
    with pytest.raises(SessionLimit):
        await reassign(sessions, guest.record.id, "alice")
    assert (await sessions.check(guest.key)).id == guest.record.id


REQUEST = IdempotencyKey(b"seed", ("a request",), b"content")


async def test_a_repeated_reassignment_returns_the_same_session(node: MemoryNode) -> None:
    """A retry gets the session that the first attempt created; another request gets none."""
    sessions = node.sessions
    old = await sessions.create(SessionRequest("guest", meta={"cart": 1}))
    first = await reassign(sessions, old.record.id, "alice", REQUEST)
    again = await reassign(sessions, old.record.id, "alice", REQUEST)
    assert (again.key, again.record, again.is_repeat) == (first.key, first.record, True)
    with pytest.raises(NoSession):
        await reassign(sessions, old.record.id, "alice", replace(REQUEST, name=("another",)))
    assert len(await sessions.list_page("alice", 10)) == 1
