"""
How many connections there may be.
"""

from keystay_server.gateway.limits import ConnectionCounter, ConnectionLimits, Full


def test_a_node_takes_as_many_as_it_may() -> None:
    """Up to the limit everybody gets in; one more does not, until one leaves."""
    counter = ConnectionCounter(ConnectionLimits(total=2))
    assert counter.opened("a") is None
    assert counter.opened("b") is None
    assert counter.opened("c") is Full.NODE
    counter.closed("a")
    assert counter.opened("c") is None


def test_an_address_has_as_many_as_it_may() -> None:
    """One address over its limit takes nothing from the others."""
    counter = ConnectionCounter(ConnectionLimits(per_address=1))
    assert counter.opened("a") is None
    assert counter.opened("a") is Full.ADDRESS
    assert counter.opened("b") is None
    counter.closed("a")
    assert counter.opened("a") is None


def test_who_is_refused_takes_no_place() -> None:
    """An address that tries a thousand times more than it may leaves room for all others."""
    counter = ConnectionCounter(ConnectionLimits(total=3, per_address=1))
    assert counter.opened("flood") is None
    assert {counter.opened("flood") for _ in range(1000)} == {Full.ADDRESS}
    assert counter.opened("a") is None
    assert counter.opened("b") is None
    assert counter.opened("c") is Full.NODE


def test_0_is_no_limit() -> None:
    """Unless it is configured, nothing is limited, and no address is remembered."""
    counter = ConnectionCounter(ConnectionLimits())
    assert {counter.opened("a") for _ in range(1000)} == {None}
    for _ in range(1000):
        counter.closed("a")
