"""
What scripts return and announce, read again.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystay_protocol.session import is_actor_id
from keystay_server.stores.redis.encoding import decode_event, split, split_announcement

actor_ids = st.text(min_size=1, max_size=128).filter(is_actor_id)
numbers = st.integers(0, 2**53)


@given(st.lists(st.none() | st.binary()))
def test_fields_come_apart_as_they_were_joined(values: list[bytes | None]) -> None:
    """Any bytes, an empty value, and one that is not there."""
    joined = b"".join(b"-:" if v is None else b"%d:%s" % (len(v), v) for v in values)
    assert split(joined) == values


@pytest.mark.parametrize(
    "payload", [b"", b"hello", b"1:1", b"1:11:03:set", b"1:x1:05:unset1:a1:b", b"9:1", b"-5:1"]
)
def test_what_is_no_event_is_a_value_error(payload: bytes) -> None:
    """Bytes that no script wrote are refused."""
    with pytest.raises(ValueError, match=r"not an event|not a length|not found|literal"):
        decode_event("alice", payload)


@given(numbers, numbers, actor_ids, st.binary())
def test_an_announcement_names_its_actor(
    number: int, previous: int, actor_id: str, event: bytes
) -> None:
    """It is read without the event, whatever characters the actor has."""
    name = actor_id.encode()
    payload = b"%d %d %d:%s%s" % (number, previous, len(name), name, event)
    found_number, found_previous, found_actor, start = split_announcement(payload)
    assert (found_number, found_previous, found_actor) == (number, previous, actor_id)
    assert payload[start:] == event


@pytest.mark.parametrize("payload", [b"", b"hello", b"1 2", b"1 2 x:a", b"1 2 1:\xff"])
def test_what_is_no_announcement_is_a_value_error(payload: bytes) -> None:
    """Bytes that no script published are refused."""
    with pytest.raises(ValueError, match=r"unpack|literal|not found|decode"):
        split_announcement(payload)
