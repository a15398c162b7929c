"""
`control/wrong_keys.py`: how many wrong keys are told so.
"""

import pytest

from keystay_server.control.auth.wrong_keys import (
    ADDRESS_BURST,
    MAX_ADDRESSES,
    NODE_BURST,
    PER_ADDRESS_S,
    WrongKeys,
)


class Clock:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_address_has_a_burst_and_then_some_a_second() -> None:
    """After a wait it gets 401 again; other addresses always do."""
    clock = Clock()
    wrong = WrongKeys(clock)
    assert [wrong.record("a") for _ in range(ADDRESS_BURST + 5)] == [True] * ADDRESS_BURST + [
        False
    ] * 5
    assert wrong.record("b")
    clock.now += 1
    assert sum(wrong.record("a") for _ in range(100)) == PER_ADDRESS_S
    clock.now += 3600
    assert sum(wrong.record("a") for _ in range(100)) == ADDRESS_BURST


def test_the_node_has_a_bound_over_all_addresses() -> None:
    """Many addresses together share the limit of the node."""
    wrong = WrongKeys(Clock())
    assert sum(wrong.record(f"10.0.0.{n}") for n in range(1000)) == NODE_BURST


def test_addresses_are_remembered_in_bounds() -> None:
    """However many there are, the newest are remembered and no more."""
    wrong = WrongKeys(Clock())
    for number in range(10 * MAX_ADDRESSES):
        wrong.record(f"address-{number}")
    assert len(wrong) == MAX_ADDRESSES


def test_the_log_has_a_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """The first is logged at once; each later line counts those that were not logged."""
    clock = Clock()
    wrong = WrongKeys(clock)
    for _ in range(500):
        wrong.record("10.0.0.1")
    clock.now += 61
    wrong.record("10.0.0.2")
    clock.now += 61
    wrong.record("10.0.0.3")
    assert [record.getMessage() for record in caplog.records] == [
        "wrong API key from 10.0.0.1",
        "wrong API key from 10.0.0.2, and 499 more since the line before",
        "wrong API key from 10.0.0.3",
    ]
