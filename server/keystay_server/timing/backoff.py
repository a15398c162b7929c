"""
How long to wait after a failure before the next attempt.
"""

import random

_MAX_DOUBLINGS = 16


def backoff_s(failures: int, base_s: float, cap_s: float) -> float:
    """
    Choose a pause in seconds: exponential with full jitter, so that nodes spread.

    Args:
        failures: How many attempts failed before the last one: 0 after the first failure.
        base_s: The longest pause after the first failure; it doubles with each one more.
        cap_s: The longest pause of all.
    """
    longest_s = min(cap_s, base_s * 2 ** min(failures, _MAX_DOUBLINGS))
    return random.uniform(0, longest_s)  # noqa: S311


def jittered_s(pause_s: float, jitter: float) -> float:
    """Choose a pause that differs from node to node: up to `jitter` of it is cut off."""
    return pause_s * random.uniform(1 - jitter, 1)  # noqa: S311
