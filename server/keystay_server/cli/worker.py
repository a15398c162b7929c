"""
A worker process of `keystay serve --workers N`; its parent starts it, and nobody else.

Its arguments are file descriptors: the pair of sockets to the parent, and the listening ones.
"""

import asyncio
import signal
import socket
import sys
from collections.abc import Sequence

from keystay_server.app import App
from keystay_server.cli.serve import loop_factory
from keystay_server.node.worker_channel import WorkerChannel
from keystay_server.settings.errors import ConfigError
from keystay_server.telemetry.logging import configure_logging


def main(arguments: Sequence[str]) -> int:
    """Serve clients until the parent says so, or ends."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    pair, *sockets = (socket.socket(fileno=int(number)) for number in arguments)
    channel = WorkerChannel(pair, sockets)
    settings = channel.read_settings()
    configure_logging(settings.log_level, as_json=settings.log_format == "json")
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(App(settings, parent=channel).run(lambda _: None))
    except ConfigError as error:
        channel.fail(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
