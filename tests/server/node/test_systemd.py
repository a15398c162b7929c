"""
`readiness.py`: what the service manager is told.
"""

import logging
import socket
from pathlib import Path

import pytest

from keystay_server.node.systemd import notify
from tests.support.server_process import serving

WAIT_S = 10.0


def manager(address: str) -> socket.socket:
    """A service manager that listens."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.settimeout(WAIT_S)
    listening.bind(address)
    return listening


async def test_a_server_that_accepts_connections_says_so(tmp_path: Path) -> None:
    """systemd (`Type=notify`) takes it for started then, and not before."""
    address = str(tmp_path / "notify")
    with manager(address) as listening:
        async with serving(env={"NOTIFY_SOCKET": address}):
            assert listening.recv(4096) == b"READY=1"


def test_a_socket_may_have_a_name_that_is_no_path(tmp_path: Path) -> None:
    """systemd has such ones too, and writes them with an `@`."""
    with manager(f"\0{tmp_path}") as listening:
        notify("READY=1", {"NOTIFY_SOCKET": f"@{tmp_path}"})
        assert listening.recv(4096) == b"READY=1"


def test_a_manager_that_is_gone_is_only_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The server serves on; without a manager there is nothing to say."""
    caplog.set_level(logging.WARNING, "keystay")
    notify("READY=1", {})
    notify("READY=1", {"NOTIFY_SOCKET": f"{tmp_path}/gone"})
    [record] = caplog.records
    assert record.getMessage() == f"NOTIFY_SOCKET: {tmp_path}/gone: No such file or directory"
