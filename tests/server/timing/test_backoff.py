"""
`timing/backoff.py`: how long to wait before the next attempt.
"""

from keystay_server.timing.backoff import backoff_s, jittered_s


def test_the_longest_pause_doubles_up_to_a_cap() -> None:
    """After n failures it is at most base x 2^n, and never more than the cap."""
    for failures, longest_s in ((0, 0.5), (1, 1.0), (2, 2.0), (3, 3.0), (10_000, 3.0)):
        pauses = [backoff_s(failures, 0.5, 3.0) for _ in range(200)]
        assert all(0 <= pause_s <= longest_s for pause_s in pauses)
        assert max(pauses) > longest_s / 2


def test_pauses_differ() -> None:
    """Nodes that failed at the same moment do not try again at the same moment."""
    assert len({backoff_s(5, 0.5, 60.0) for _ in range(20)}) > 1
    assert len({jittered_s(1.0, 0.5) for _ in range(20)}) > 1


def test_jitter_shortens_a_pause() -> None:
    """By the given part at most."""
    assert all(0.75 <= jittered_s(1.0, 0.25) <= 1.0 for _ in range(200))
    assert jittered_s(1.0, 0.0) == 1.0
