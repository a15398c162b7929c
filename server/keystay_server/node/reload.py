"""
What SIGHUP does: keys, certificates and secrets are read again while the server runs.

The law of this module: a part that cannot be read again stays as it was, and keeps no other
part from being read.
"""

import asyncio
import logging
import signal
from collections.abc import Callable

from keystay_server.settings.errors import ConfigError

log = logging.getLogger("keystay.reloading")

Part = Callable[[], str | None]
"""
Reads something again, all of it or nothing.

Returns what is new, in words for the log, or None if nothing is. Raises `ConfigError` if it
cannot be read.
"""


class Reloading:
    """The parts that are read again, in the order in which they were added."""

    def __init__(self) -> None:
        self._parts: list[Part] = []

    def add(self, part: Part) -> None:
        """Read this again too."""
        self._parts.append(part)

    def start(self) -> None:
        """Have SIGHUP, where there is one, do this in place of ending the process."""
        if hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.read_again)
            # The command line holds it back until now.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    def read_again(self) -> None:
        """Read all again; log a line about each part that is new or cannot be read."""
        is_quiet = True
        for part in self._parts:
            try:
                news = part()
            except ConfigError as error:
                log.error("SIGHUP: %s; what was read before stays good", error)
            except Exception:
                log.exception("SIGHUP: a part cannot be read again, and stays as it was")
            else:
                if news is None:
                    continue
                log.info("SIGHUP: %s", news)
            is_quiet = False
        if is_quiet:
            log.info("SIGHUP: nothing is new")
