"""
Reads keys, certificates and secrets again while the server runs, on SIGHUP.

Invariant: a part that cannot be read again stays as it was, and does not keep another
part from being read.
"""

import asyncio
import logging
import signal
from collections.abc import Callable

from keystay_server.settings.errors import ConfigError

log = logging.getLogger("keystay.reload")

Part = Callable[[], str | None]
"""
Reads something again, all of it or nothing.

Returns what changed, for the log, or None. Raises `ConfigError` if it cannot be read.
"""


class Reload:
    """The parts that are read again, in the order in which they were added."""

    def __init__(self) -> None:
        self._parts: list[Part] = []

    def add(self, part: Part) -> None:
        """Add a part."""
        self._parts.append(part)

    def start(self) -> None:
        """Handle SIGHUP, where there is one, instead of ending the process."""
        if hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.read_again)
            # The command line blocks it until now.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    def read_again(self) -> None:
        """Read all again; log each part that changed or cannot be read."""
        is_quiet = True
        for part in self._parts:
            try:
                news = part()
            except ConfigError as error:
                log.error("SIGHUP: %s; what was read before stays in use", error)
            except Exception:
                log.exception("SIGHUP: reading a part again failed; it stays as it was")
            else:
                if news is None:
                    continue
                log.info("SIGHUP: %s", news)
            is_quiet = False
        if is_quiet:
            log.info("SIGHUP: nothing has changed")
