"""
Positions of a feed, as text.
"""

from hypothesis import given
from hypothesis import strategies as st

from keystay_server.stores.position import read_position, write_position

numbers = st.integers(0, 2**53 - 1)


@given(st.lists(numbers, min_size=1, max_size=256).map(tuple))
def test_a_position_is_read_again(position: tuple[int, ...]) -> None:
    """Of one log, or of 256 partitions, however far they are from each other."""
    assert read_position(write_position(position)) == position


def test_the_longest_position_fits_a_header() -> None:
    """256 partitions, of which all but one were never written to."""
    position = (2**53 - 1, *[0] * 255)
    text = write_position(position)
    assert len(text) < 3_200
    assert text.isascii()
    assert read_position(text) == position


def test_what_is_no_position() -> None:
    """Other text, and text that is too long, is read as none."""
    for text in ("", "x", "kg", "é", "A" * 5_000):
        assert read_position(text) is None
