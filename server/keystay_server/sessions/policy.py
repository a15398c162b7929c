"""
What holds for all sessions of an installation, and how a policy is written.
"""

from dataclasses import dataclass

from keystay_server.stores.records import UNLIMITED, Policy


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every session that is not created with values of its own."""

    ttl_s: float
    """How long a session lives without activity."""
    max_age_s: float | None = None
    """How long it lives at most; None for no bound."""
    policy: Policy = UNLIMITED
    version: str | None = None
    """The application's version: a session of another major.minor is refused."""


def parse_policy(text: str, most: int | None = None) -> Policy:
    """
    Read a policy: `many`, `single`, `limit:N` or `deny:N`.

    Args:
        most: How many sessions `many` are; None: any number.

    Raises:
        ValueError: If it is none of the four forms.
    """
    word, _, number = text.partition(":")
    if text == "many":
        return Policy(most)
    if text == "single":
        return Policy(1)
    if word in ("limit", "deny") and number.isascii() and number.isdigit() and int(number) > 0:
        return Policy(int(number), is_strict=word == "deny")
    raise ValueError("must be many, single, limit:N or deny:N")
