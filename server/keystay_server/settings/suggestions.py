"""
A name that there is not: which one was meant.
"""

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of the names that is most like it; None if none is much like it."""
    return next(iter(difflib.get_close_matches(name, list(names), n=1)), None)


def did_you_mean(name: str | None) -> str:
    """The end of a line about a name that there is not; empty if nobody knows better."""
    return "" if name is None else f"; did you mean {name}?"
