"""
Whether a request is sent again, and when. Has no clock and no randomness of its own.
"""

from collections.abc import Callable

from keystay._backoff import Backoff
from keystay.control._answer import Failure
from keystay.options import ControlOptions


class Retries:
    """
    The attempts of one request.

    Args:
        is_repeatable: Whether sending it twice has the effect of sending it once.
        random: Returns a float in [0, 1).
    """

    def __init__(
        self, is_repeatable: bool, options: ControlOptions, random: Callable[[], float]
    ) -> None:
        self._is_repeatable = is_repeatable
        self._remaining = options.max_attempts - 1
        self._backoff = Backoff(options.retry_base_s, options.retry_cap_s, random)

    def next_s(self, failure: Failure) -> float | None:
        """Return the delay before the next attempt; None if there is no further attempt."""
        if not failure.is_transient or self._remaining <= 0:
            return None
        if failure.is_outcome_unknown and not self._is_repeatable:
            return None
        self._remaining -= 1
        return self._backoff.next_s(at_least_s=failure.retry_after_s)
