"""How a request is put together."""

import pytest

import keystay
from keystay.control._request import delete, get, patch, post, post_once, without_none


def test_a_query_is_encoded() -> None:
    """Parameters may repeat, and hold anything."""
    request = get("/v1/feed", query=[("actor", "a b"), ("actor", "c&d+")])
    assert request.target == "/v1/feed?actor=a%20b&actor=c%26d%2B"
    assert delete("/x", query=without_none(reason=None).items()).target == "/x"


def test_what_may_be_sent_twice() -> None:
    """Everything but a change that says which revision it is for, and a broadcast."""
    assert get("/x").is_repeatable
    assert delete("/x").is_repeatable
    assert post("/x", {}, None).is_repeatable
    assert not post_once("/x", {}).is_repeatable
    assert not patch("/x", {}, is_repeatable=False).is_repeatable


def test_each_post_has_a_key_of_its_own() -> None:
    """Two calls are two wishes, unless the program says that they are one."""
    keys = {post("/x", {}, None).headers["Idempotency-Key"] for _ in range(100)}
    assert len(keys) == 100
    assert post("/x", {}, "mine").headers["Idempotency-Key"] == "mine"


@pytest.mark.parametrize("value", [{1}, float("nan"), object(), b"bytes", {(1, 2): 3}])
def test_what_json_cannot_say_is_not_sent(value: object) -> None:
    """The error names no value: it may be a secret."""
    with pytest.raises(keystay.InvalidParams, match="JSON values") as caught:
        post("/x", {"data": value}, None)
    assert caught.value.__cause__ is None


def test_a_body_never_shows() -> None:
    """What a program sends is its own affair."""
    assert "secret" not in repr(post("/x", {"data": "secret"}, None))
