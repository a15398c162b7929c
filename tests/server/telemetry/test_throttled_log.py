"""
Log lines about what anybody can cause at any rate.
"""

import logging

import pytest

from keystay_server.telemetry.throttled_log import EVERY_S, ThrottledLog

logger = logging.getLogger("keystay.test")


class Clock:
    """Seconds that the test advances."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock at second 0."""
    return Clock()


def test_one_line_a_minute(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    """The next line has the number of those that were left out."""
    log = ThrottledLog(logger, clock)
    for text in ("first", "second", "third"):
        log.warning(text)
    clock.now = EVERY_S
    log.warning("fourth")
    clock.now = 2 * EVERY_S
    log.warning("fifth")
    assert [record.getMessage() for record in caplog.records] == [
        "first",
        "fourth, and 2 more since the line before",
        "fifth",
    ]


def test_each_kind_has_its_own_minute(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    """A flood of one kind hides no other."""
    caplog.set_level(logging.INFO)
    log = ThrottledLog(logger, clock)
    for _ in range(3):
        log.warning("full", "full")
        log.info("refused", "origin", address="192.0.2.1")
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert lines == [("WARNING", "full"), ("INFO", "refused")]
    assert vars(caplog.records[1])["address"] == "192.0.2.1"
