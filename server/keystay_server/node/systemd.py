"""
Notifies the service manager that started the server, as in sd_notify(3).
"""

import logging
import os
import re
import socket
from collections.abc import Mapping

WAIT_S = 1.0

log = logging.getLogger("keystay")


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Send a state such as `READY=1`, if the unit has `Type=notify`."""
    address = environment.get("NOTIFY_SOCKET")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.settimeout(WAIT_S)
            # "@" begins the name of an abstract socket.
            manager.connect(re.sub("^@", "\0", address))
            manager.send(state.encode())
    except OSError as error:
        log.warning("NOTIFY_SOCKET: %s: %s", address, error.strerror or error)
