"""How long a client waits before it comes back, and whether it does."""

import pytest

from keystay._backoff import Backoff, may_reconnect, reconnect_after_s


def test_the_bound_doubles_up_to_the_cap() -> None:
    """Waits grow as SPEC section 8 says: 0.5 s, doubled with each attempt, 30 s at most."""
    backoff = Backoff(0.5, 30.0, lambda: 1.0)
    assert [backoff.next_s() for _ in range(8)] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_the_whole_wait_is_random() -> None:
    """Full jitter: a wait is any part of its bound, none of it included."""
    dice = iter([0.0, 0.5, 0.25])
    backoff = Backoff(1.0, 30.0, lambda: next(dice))
    assert [backoff.next_s() for _ in range(3)] == [0.0, 1.0, 1.0]


def test_a_wish_of_the_server_comes_on_top() -> None:
    """No client comes back before `retryAfter`, nor all of them exactly then."""
    backoff = Backoff(1.0, 30.0, lambda: 0.5)
    assert backoff.next_s(at_least_s=10.0) == 10.5


@pytest.mark.parametrize(("held_s", "wait_s"), [(30.0, 1.0), (29.9, 4.0), (0.0, 4.0)])
def test_a_connection_that_held_starts_over(held_s: float, wait_s: float) -> None:
    """After one that held as long as the longest wait, the first wait is short again."""
    backoff = Backoff(1.0, 30.0, lambda: 1.0)
    backoff.next_s()
    backoff.next_s()
    backoff.connection_lasted(held_s)
    assert backoff.next_s() == wait_s


def test_a_client_that_tries_for_months_does_not_overflow() -> None:
    """However many attempts there were, the wait is the cap."""
    backoff = Backoff(0.5, 30.0, lambda: 1.0)
    assert [backoff.next_s() for _ in range(5000)][-1] == 30.0


@pytest.mark.parametrize("code", [None, 1000, 1001, 1006, 1011, 1012, 1013, 4000, 4003, 4499])
def test_codes_to_come_back_after(code: int | None) -> None:
    """A broken line, a restart, overload and all of 4000 to 4499 mean: try again."""
    assert may_reconnect(code)


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1009, 4500, 4501, 4502, 4999])
def test_codes_to_stay_away_after(code: int) -> None:
    """What only a fixed client does better, and all of 4500 to 4999: do not come back."""
    assert not may_reconnect(code)


def test_codes_beyond_the_last_range_are_tried_again() -> None:
    """5000 is nobody's to use: it is read as a line that broke."""
    assert may_reconnect(5000)


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        ({"reconnectAfter": 1840}, 1.84),
        ({"reconnectAfter": 0, "node": "eu-1"}, 0.0),
        ({"reconnectAfter": -5}, 0.0),
        ({"reconnectAfter": "soon"}, None),
        ({"reconnectAfter": True}, None),
        ({"reconnectAfter": float("nan")}, None),
        ({"reconnectAfter": float("inf")}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_slot_of_a_draining_server(data: object, seconds: float | None) -> None:
    """`reconnectAfter` is read as milliseconds; what is not a time is passed over."""
    assert reconnect_after_s(data) == seconds
