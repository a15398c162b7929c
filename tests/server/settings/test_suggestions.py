"""
`suggestions.py`: which name was meant.
"""

from keystay_server.settings.suggestions import did_you_mean, nearest


def test_the_nearest_name_is_the_one_that_was_meant() -> None:
    """The most like it of those that are much like it, and none that is not."""
    names = ["list", "listen", "create"]
    assert nearest("lisen", names) == "listen"
    assert nearest("lst", names) == "list"
    assert nearest("frobnicate", names) is None
    assert nearest("list", []) is None


def test_a_line_ends_with_what_was_meant() -> None:
    """Where nobody knows better, nothing is added."""
    assert did_you_mean("listen") == "; did you mean listen?"
    assert did_you_mean(None) == ""
