"""
A backend of the real server.
"""

import keystay
from tests.support.server_process import ServerProcess


def backend(server: ServerProcess) -> keystay.Control:
    """What opens, changes and ends sessions of this server."""
    return keystay.Control(server.control, "test-api-key")
