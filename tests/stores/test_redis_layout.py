"""
Names and encodings in Redis.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from keystay_protocol.session import is_actor_id
from keystay_server.stores.redis.layout import (
    actor_of,
    channel_of,
    decode_event,
    probe_channel,
    root_of,
    split,
)

actor_ids = st.text(min_size=1, max_size=128).filter(is_actor_id)


@given(actor_ids)
def test_a_channel_names_its_actor(actor_id: str) -> None:
    """An actor can be read from its channel, whatever characters it has."""
    assert actor_of(channel_of("a:b", actor_id)) == actor_id


@given(actor_ids, actor_ids)
def test_names_of_actors_do_not_meet(one: str, other: str) -> None:
    """Two actors never share the start of a name."""
    roots = root_of("ks", one), root_of("ks", other)
    assert roots[0].startswith(roots[1]) == (one == other)


@given(actor_ids)
def test_what_is_below_a_root_is_in_one_slot(actor_id: str) -> None:
    """The braces of a name hold the actor and nothing else, and are never empty."""
    root = root_of("ks", actor_id).encode()
    assert root.count(b"{") == root.count(b"}") == 1
    slots = {key_slot(root + end) for end in (b"", b":state", b":session:{x}", b":feed")}
    assert slots == {key_slot(channel_of("ks", actor_id))}


@given(actor_ids)
def test_the_probe_is_nobodys_channel(actor_id: str) -> None:
    """No actor id can take the channel that a feed probes itself with."""
    assert channel_of("ks", actor_id) != probe_channel("ks", "0123")


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
