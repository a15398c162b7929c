"""
How a policy is written.
"""

import pytest

from keystay_server.sessions.policy import parse_policy
from keystay_server.stores.records import Policy


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("many", Policy(None)),
        ("single", Policy(1)),
        ("limit:1", Policy(1)),
        ("limit:30", Policy(30)),
        ("deny:2", Policy(2, is_strict=True)),
    ],
)
def test_a_policy_is_a_word_and_a_number(text: str, policy: Policy) -> None:
    """`single` is `limit:1`; `deny` refuses where `limit` ends the oldest."""
    assert parse_policy(text) == policy


def test_many_may_be_a_number() -> None:
    """Other policies have a number of their own."""
    assert parse_policy("many", 1000) == Policy(1000)
    assert parse_policy("limit:2000", 1000) == Policy(2000)


@pytest.mark.parametrize("text", ["", "few", "limit", "limit:0", "limit:-1", "single:2"])
def test_any_other_text_is_no_policy(text: str) -> None:
    """The error lists the four forms."""
    with pytest.raises(ValueError, match="many, single, limit:N or deny:N"):
        parse_policy(text)
