"""
Keys and ids: what is secret about them, and what is not.
"""

import hashlib
from base64 import urlsafe_b64decode

import pytest

from keystay_protocol.session import split_key
from keystay_server.sessions.keys import actor_of, new_key, new_session_id
from keystay_server.stores.records import digest_of

ACTORS = ["alice", "player:7", "a:b:c:", "{slot}", "Zoë", "日本", "a" * 128, "\x00", "..."]


@pytest.mark.parametrize("actor_id", ACTORS)
def test_a_key_names_its_actor(actor_id: str) -> None:
    """A key is the actor id, a colon, and 32 random bytes, whatever the id is made of."""
    named, secret = split_key(new_key(actor_id))
    assert named == actor_id
    assert secret.startswith("kst_")
    assert len(urlsafe_b64decode(secret.removeprefix("kst_") + "=")) == 32


def test_no_two_keys_are_alike() -> None:
    """Each key is made anew."""
    assert len({new_key("alice") for _ in range(1000)}) == 1000


def test_the_digest_is_that_of_the_whole_key() -> None:
    """SHA-256 over actor id and secret: a secret opens nothing for another actor."""
    assert digest_of("alice:kst_x") == hashlib.sha256(b"alice:kst_x").digest()


@pytest.mark.parametrize("actor_id", ACTORS)
def test_an_id_leads_to_its_actor(actor_id: str) -> None:
    """The public id of a session names the actor, and fits into a URL as it is."""
    session_id = new_session_id(actor_id)
    assert actor_of(session_id) == actor_id
    assert session_id.isascii()
    assert all(character.isalnum() or character in "-_." for character in session_id)


def test_an_id_is_no_secret_and_holds_none() -> None:
    """An id is made of randomness of its own, not of the key's."""
    first, second = new_session_id("alice"), new_session_id("alice")
    assert first != second
    assert first.partition(".")[0] == second.partition(".")[0]


@pytest.mark.parametrize(
    "text",
    ["", ".", "alice", ".abc", "é.abc", "A.abc", "_w.abc", "YQ" * 100 + ".abc", "\ud800."],
)
def test_what_is_not_an_id_names_nobody(text: str) -> None:
    """Any text may be asked about: one that is no id has no actor, and is no error."""
    assert actor_of(text) is None
