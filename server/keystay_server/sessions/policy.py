"""
How a policy is written: `many`, `single`, `limit:N`, `deny:N`.
"""

from keystay_server.stores.base import UNLIMITED, Policy


def parse_policy(text: str) -> Policy:
    """
    Read how many sessions an actor may have, and what one more does.

    Raises:
        ValueError: If it is none of the four forms.
    """
    word, _, number = text.partition(":")
    if text == "many":
        return UNLIMITED
    if text == "single":
        return Policy(1)
    if word in ("limit", "deny") and number.isascii() and number.isdigit() and int(number) > 0:
        return Policy(int(number), is_strict=word == "deny")
    raise ValueError("must be many, single, limit:N or deny:N")
