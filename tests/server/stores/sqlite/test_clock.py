"""
`stores/sqlite/clock.py`: a clock that the machine's steps do not change.
"""

import pytest

from keystay_server.stores.sqlite.clock import SteadyClock, elapsed_ms, unix_ms

HOUR_MS = 3_600_000


@pytest.mark.parametrize(("step_ms", "way"), [(HOUR_MS, "forward"), (-HOUR_MS, "back")])
async def test_a_step_of_the_machines_clock_is_logged_and_not_followed(
    caplog: pytest.LogCaptureFixture, step_ms: int, way: str
) -> None:
    """One line for each step; time goes on as it elapses."""
    elapsed, wall = [5_000], [1_000_000]
    clock = SteadyClock(lambda: wall[0], lambda: elapsed[0])
    wall[0] += step_ms + 250
    elapsed[0] += 250
    await clock.notice()
    await clock.notice()
    assert clock() == 1_000_250
    [line] = caplog.messages
    assert f"was set {way} by 3600.0 s" in line
    wall[0] -= step_ms
    await clock.notice()
    assert len(caplog.messages) == 2


async def test_small_corrections_are_not_steps(caplog: pytest.LogCaptureFixture) -> None:
    """NTP makes them all the time, and they never add up to a line."""
    elapsed, wall = [0], [1_000_000]
    clock = SteadyClock(lambda: wall[0], lambda: elapsed[0])
    for _ in range(100):
        wall[0] += 1_500
        elapsed[0] += 1_000
        await clock.notice()
    assert not caplog.messages


def test_it_is_the_time() -> None:
    """To a few milliseconds, and it runs by the clock that counts a suspended host."""
    before = elapsed_ms()
    assert abs(SteadyClock()() - unix_ms()) < 100
    assert elapsed_ms() >= before
