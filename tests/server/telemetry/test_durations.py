"""
`telemetry/durations.py` and `recent.py`: how long things take, in plain numbers.
"""

import pytest

from keystay_protocol.errors import session_ended
from keystay_server.telemetry.durations import BOUNDS_S, Commands, Durations, quantile
from keystay_server.telemetry.recent import WINDOW, Recent


def seen(*seconds: float) -> Durations:
    """These durations, counted."""
    durations = Durations()
    for each in seconds:
        durations.add(each)
    return durations


def test_a_duration_is_in_the_first_bucket_that_it_fits_into() -> None:
    """A bound belongs to its bucket; what is above the last has a bucket too."""
    durations = seen(0.0, BOUNDS_S[0], BOUNDS_S[1], BOUNDS_S[-1], BOUNDS_S[-1] + 1)
    assert durations.counts[:2] == [2, 1]
    assert durations.counts[-2:] == [1, 1]
    assert (durations.total, len(durations.counts)) == (5, len(BOUNDS_S) + 1)
    assert durations.seconds == pytest.approx(sum(BOUNDS_S[:2]) + 2 * BOUNDS_S[-1] + 1)


@pytest.mark.parametrize("part", [0.01, 0.5, 0.99, 1.0])
def test_a_quantile_is_within_the_bucket_it_falls_into(part: float) -> None:
    """Of a hundred commands of 3 ms each, every quantile is between 2.5 and 5 ms."""
    found = quantile(seen(*[0.003] * 100).counts, part)
    assert found is not None
    assert 0.0025 <= found <= 0.005


def test_quantiles_tell_the_few_from_the_many() -> None:
    """The median knows nothing of 2 slow ones in 100; the 99th percentile does."""
    counts = seen(*[0.000_02] * 98, 2.0, 2.0).counts
    median, high = quantile(counts, 0.5), quantile(counts, 0.99)
    assert median is not None
    assert high is not None
    assert median <= 0.000_025
    assert 1.0 <= high <= 2.5


def test_what_is_beyond_all_bounds_is_told_as_the_last() -> None:
    """A quantile is never more than the greatest bound, and there is none of nothing."""
    assert quantile(seen(3600.0).counts, 0.5) == BOUNDS_S[-1]
    assert quantile(Durations().counts, 0.5) is None


def test_only_the_last_ten_seconds_count() -> None:
    """What was counted before that is not in the quantiles any more."""
    recent, durations = Recent(), seen(*[2.0] * 50)
    slow = recent.quantile_ms([durations], 0.5)
    assert slow is not None
    assert slow > 1000
    for _ in range(WINDOW):
        recent.beat([durations])
    assert recent.quantile_ms([durations], 0.5) is None
    durations.add(0.000_02)
    quick = recent.quantile_ms([durations], 0.5)
    assert quick is not None
    assert quick <= 0.025


def test_reasons_of_backends_are_one_code() -> None:
    """They are any number; those of the protocol are counted each."""
    commands = Commands()
    for number in range(100):
        commands.failed(session_ended(f"reason{number}"))
    commands.failed(session_ended("loggedOut"))
    assert commands.failures == {"ended": 100, "loggedOut": 1}
