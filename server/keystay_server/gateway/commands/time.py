"""
The `time.` commands (SPEC section 3).
"""

import time

from keystay_server.gateway.context import Context


def now(context: Context) -> int:
    """This node's clock: Unix time in milliseconds."""
    return time.time_ns() // 1_000_000
