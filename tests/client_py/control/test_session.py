"""A session as a backend sees it."""

import pytest

import keystay
from keystay_protocol.errors import MalformedFrame
from tests.support.client_py.http_peer import SESSION


def test_it_is_a_session_with_a_revision() -> None:
    """What takes a `Session` takes it; fields of a later version are passed over."""
    session = keystay.ControlSession.from_wire({**SESSION, "key": "alice:kst_x", "mood": 7})
    assert isinstance(session, keystay.Session)
    assert (session.id, session.revision, session.key) == (SESSION["id"], 1, "alice:kst_x")
    assert "kst_" not in repr(session)


@pytest.mark.parametrize("revision", [None, True, "1"])
def test_a_session_without_a_revision_is_none_of_the_control_plane(revision: object) -> None:
    """A missing or wrong field is said."""
    with pytest.raises(MalformedFrame, match="revision"):
        keystay.ControlSession.from_wire({**SESSION, "revision": revision})


@pytest.mark.parametrize("wire", [None, [], {}, "x", {**SESSION, "id": 7}])
def test_what_is_no_session(wire: object) -> None:
    """Nothing else passes for one."""
    with pytest.raises(MalformedFrame):
        keystay.ControlSession.from_wire(wire)
