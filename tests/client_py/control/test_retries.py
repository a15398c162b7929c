"""Whether a request is sent once more, and when."""

import pytest

from keystay.control._answer import Failure
from keystay.control._retries import Retries
from keystay.errors import ConnectionLost
from keystay.options import ControlOptions

OPTIONS = ControlOptions(max_attempts=4, retry_base_s=1.0, retry_cap_s=3.0)
LOST = Failure(ConnectionLost(), is_transient=True, is_outcome_unknown=True)
BUSY = Failure(ConnectionLost(), is_transient=True, retry_after_s=10.0)


def test_waits_double_up_to_the_cap_and_end() -> None:
    """Four attempts are three waits."""
    retries = Retries(True, OPTIONS, lambda: 1.0)
    assert [retries.next_s(LOST) for _ in range(4)] == [1.0, 2.0, 3.0, None]


def test_what_the_server_asks_for_comes_on_top() -> None:
    """Nobody comes back before `retryAfter`, nor all exactly then."""
    assert Retries(True, OPTIONS, lambda: 0.5).next_s(BUSY) == 10.5


@pytest.mark.parametrize(("failure", "wait_s"), [(LOST, None), (BUSY, 10.0)])
def test_what_must_not_be_sent_twice(failure: Failure, wait_s: float | None) -> None:
    """It is sent again only if it is known that nothing was done."""
    assert Retries(False, OPTIONS, lambda: 0.0).next_s(failure) == wait_s


def test_what_does_not_pass_is_not_tried_again() -> None:
    """A refusal stands."""
    assert Retries(True, OPTIONS, lambda: 0.0).next_s(Failure(ConnectionLost())) is None
