"""The session as clients see it, and its key."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystay_protocol.codec import DEFAULT_LIMITS, decode, encode
from keystay_protocol.errors import InvalidSessionKey, MalformedFrame
from keystay_protocol.frames import Event, Reply
from keystay_protocol.session import (
    MAX_META_DEPTH,
    SECRET_PREFIX,
    Session,
    is_actor_id,
    split_key,
)

SECRET = "kst_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

FULL = Session(
    actor_id="player:7",
    id="cGxheWVyOjc.Vt0mQ1yXc2nP8aLk",
    created_at=1_760_000_000_000,
    expires_at=1_760_001_800_000,
    ends_at=1_760_086_400_000,
    key=f"player:7:{SECRET}",
    meta={"name": "Zoë", "acl": ["user"]},
    language="pt-BR",
    version="2.1.0",
)
PLAIN = Session("player:7", "id", 1, 2)


class TestWire:
    """The map of SPEC section 4."""

    def test_its_fields_are_those_of_the_spec(self, section: Callable[[int], str]) -> None:
        """The table of SPEC section 4 lists the fields, in order; `list` adds `current`."""
        table = section(4).partition("### 4.1")[0]
        fields = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
        assert fields == [*FULL.to_wire(), "current"]

    @pytest.mark.parametrize("session", [FULL, PLAIN])
    def test_a_session_survives_the_wire(self, session: Session) -> None:
        """A client sees the session that the server has."""
        frame = decode(encode(Event("session.set", session.to_wire(), 1)))
        assert isinstance(frame, Event)
        assert Session.from_wire(frame.data) == session

    def test_without_a_key_there_is_no_field(self) -> None:
        """Where the key is not told, nothing hints at it."""
        assert "key" not in PLAIN.to_wire()
        assert PLAIN.to_wire().keys() == FULL.to_wire().keys() - {"key"}

    def test_fields_of_a_later_version_are_passed_over(self) -> None:
        """A newer server may say more about a session."""
        assert Session.from_wire({**FULL.to_wire(), "device": "tablet"}) == FULL

    def test_a_list_marks_the_asking_connections_own(self) -> None:
        """Where the server says which session is the caller's, the client can tell."""
        assert Session.from_wire({**FULL.to_wire(), "current": True}).current is True
        assert Session.from_wire({**FULL.to_wire(), "current": False}).current is False

    @pytest.mark.parametrize("name", PLAIN.to_wire().keys())
    def test_a_session_without_a_field_is_malformed(self, name: str) -> None:
        """Every field is always there, the key excepted."""
        wire = FULL.to_wire()
        del wire[name]
        with pytest.raises(MalformedFrame):
            Session.from_wire(wire)

    @pytest.mark.parametrize("name", FULL.to_wire().keys())
    @pytest.mark.parametrize("value", [b"bytes", 1.5, ["list"]])
    def test_a_field_of_the_wrong_type_is_malformed(self, name: str, value: Any) -> None:
        """What is no session is not taken for one."""
        with pytest.raises(MalformedFrame):
            Session.from_wire({**FULL.to_wire(), name: value})

    @pytest.mark.parametrize("wire", [None, [], "session", 5, {}])
    def test_anything_else_is_malformed(self, wire: Any) -> None:
        """A session is a map."""
        with pytest.raises(MalformedFrame):
            Session.from_wire(wire)

    def test_meta_as_deep_as_allowed_fits_every_frame(self) -> None:
        """Wherever a session is sent, its meta does not take the frame beyond the depth."""
        meta: dict[str, Any] = {}
        for _ in range(MAX_META_DEPTH - 1):
            meta = {"a": meta}
        wire = Session("a", "id", 1, 2, meta=meta).to_wire()
        assert DEFAULT_LIMITS.depth > MAX_META_DEPTH
        for frame in (
            Event("session.set", wire, 1),
            Reply(1, None, {"session": wire}),
            Reply(1, None, [wire]),
        ):
            assert decode(encode(frame)) == frame

    def test_the_key_is_not_in_the_repr(self) -> None:
        """A session can be logged."""
        assert SECRET_PREFIX not in repr(FULL)
        assert FULL.id in repr(FULL)


class TestKey:
    """`<actorId>:<secret>` (SPEC section 4.1)."""

    @pytest.mark.parametrize(
        "actor_id",
        ["7", "player:7", ":", "::", "a:kst_b", "guild:{eu}", "Zoë 👋", "\x00", "a" * 128],
    )
    def test_it_is_split_at_the_last_colon(self, actor_id: str) -> None:
        """An actor id may hold colons, braces and anything else."""
        assert split_key(f"{actor_id}:{SECRET}") == (actor_id, SECRET)

    @pytest.mark.parametrize(
        "key",
        [
            "",
            ":",
            SECRET,
            f":{SECRET}",
            "player:7",
            f"player:7{SECRET}",
            f"player:7:{SECRET}=",
            f"player:7:{SECRET[:-1]}",
            f"player:7:{SECRET}A",
            f"player:7:{SECRET} ",
            f"player:7:{SECRET}\n",
            f"player:7:{SECRET}:",
            f"player:7:KST_{SECRET[4:]}",
            f"player:7:kst-{SECRET[4:]}",
            f"player:7:{SECRET[:-1]}+",
            f"player:7:{SECRET[:-1]}/",
            f"player:7:{SECRET[:-1]}ä",
            f"player:7:{SECRET[:-1]}\u0661",
            f"{'a' * 129}:{SECRET}",
            f"{'ä' * 65}:{SECRET}",
            f"\ud800:{SECRET}",
        ],
    )
    def test_what_has_not_its_form_is_no_key(self, key: str) -> None:
        """A string that cannot be a key is told apart from a key that opens nothing."""
        with pytest.raises(InvalidSessionKey) as caught:
            split_key(key)
        assert "kst_" not in str(caught.value)

    @settings(derandomize=True, deadline=None)
    @given(st.text(max_size=200))
    def test_any_text_is_a_key_or_is_not(self, text: str) -> None:
        """Nothing that a client may send as a key makes it fail in another way."""
        for key in (text, f"{text}:{SECRET}", f"player:7:kst_{text}"):
            try:
                actor_id, secret = split_key(key)
            except InvalidSessionKey:
                continue
            assert f"{actor_id}:{secret}" == key
            assert is_actor_id(actor_id)


@pytest.mark.parametrize(
    ("actor_id", "is_one"),
    [
        ("a", True),
        ("", False),
        ("a" * 128, True),
        ("a" * 129, False),
        ("ä" * 64, True),
        ("ä" * 64 + "a", False),
        ("👋" * 32, True),
        ("👋" * 33, False),
        ("\ud800", False),
        (".", False),
        ("..", False),
        ("...", True),
        ("a/../b", True),
    ],
)
def test_an_actor_id_is_1_to_128_bytes(actor_id: str, is_one: bool) -> None:
    """Bytes of UTF-8 are counted, not characters. `.` and `..` would change a path."""
    assert is_actor_id(actor_id) is is_one
