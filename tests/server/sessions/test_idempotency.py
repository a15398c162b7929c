"""
`sessions/idempotency.py`: requests that may be sent twice.
"""

import pytest

from keystay_protocol.session import split_key
from keystay_server.sessions.idempotency import IdempotencyKey
from tests.server.sessions.test_keys import ACTORS


@pytest.mark.parametrize("actor_id", ACTORS)
def test_a_request_has_the_same_session_key_each_time(actor_id: str) -> None:
    """It has the form of any other key, and the seed and the secret are in no repr."""
    idempotency_key, again = (
        IdempotencyKey(b"seed", ("open", "1"), b"content") for _ in range(2)
    )
    assert split_key(idempotency_key.key(actor_id))[0] == actor_id
    assert idempotency_key.key(actor_id) == again.key(actor_id)
    assert idempotency_key.record_for(actor_id) == again.record_for(actor_id)
    assert "seed" not in repr(idempotency_key)


def test_whatever_differs_makes_another_key() -> None:
    """The seed, the name in all its parts, the content, and the actor."""
    requests = [
        IdempotencyKey(b"seed", ("open", "12"), b"content"),
        IdempotencyKey(b"seeds", ("open", "12"), b"content"),
        IdempotencyKey(b"seed", ("open", "1", "2"), b"content"),
        IdempotencyKey(b"seed", ("open", "1"), b"content"),
        IdempotencyKey(b"seed", ("open1", "2"), b"content"),
    ]
    assert len({request.key("alice") for request in requests}) == len(requests)
    assert len({request.record_for("alice").name for request in requests}) == len(requests)
    first, otherwise = requests[0], IdempotencyKey(b"seed", ("open", "12"), b"other")
    assert first.key("alice") != otherwise.key("alice")
    assert first.record_for("alice").name == otherwise.record_for("alice").name
    assert first.key("alice").partition(":")[2] != first.key("bob").partition(":")[2]
    assert first.record_for("alice").name != first.record_for("bob").name
