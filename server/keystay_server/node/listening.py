"""
The listening sockets of a port: one for each address of its host.
"""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

BACKLOG = 4096
RESOLVE_S = 10.0
MAX_ATTEMPTS = 10

log = logging.getLogger("keystay")

Address = tuple[socket.AddressFamily, tuple[Any, ...]]

_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


async def listening_sockets(
    host: str, port: int, *, is_shared: bool = False
) -> list[socket.socket]:
    """
    Listen on all addresses of a host, with one port number; port 0 chooses one that is free.

    `::` accepts IPv4 too where the system can. An address of a name that this machine does not
    have is left out, unless it is the only one.

    Args:
        is_shared: Let other sockets of this user listen on the port, and share its clients.

    Raises:
        OSError: If the host has no address, or one of them cannot be listened on.
    """
    addresses = await _resolved(host)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        with suppress(_PortInUse):
            is_last = bool(port) or attempt == MAX_ATTEMPTS
            return _listening(addresses, port, is_last=is_last, is_shared=is_shared)
    raise AssertionError("the last attempt raises")


class _PortInUse(Exception):
    """The port that one address was given is in use on another one."""


async def _resolved(host: str) -> list[Address]:
    async with asyncio.timeout(RESOLVE_S):
        found = await asyncio.to_thread(
            socket.getaddrinfo, host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _listening(
    addresses: Sequence[Address], port: int, *, is_last: bool, is_shared: bool
) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, (host, _, *rest) in addresses:
            try:
                sockets.append(_socket(family, (host, port, *rest), is_shared=is_shared))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                missing = error
                continue
            port = sockets[-1].getsockname()[1]
    except OSError as error:
        _close(sockets)
        if error.errno == errno.EADDRINUSE and not is_last:
            raise _PortInUse from error
        raise
    if missing is not None:
        if not sockets:
            raise missing
        log.warning("listening on some addresses of a host only: %s", missing.strerror)
    return sockets


def _socket(
    family: socket.AddressFamily, address: tuple[Any, ...], *, is_shared: bool
) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # Elsewhere it lets others take the port.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            is_dual = address[0] == "::" and socket.has_dualstack_ipv6()
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not is_dual)
        listening.setblocking(False)
        listening.bind(address)
        listening.listen(BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def _close(sockets: Sequence[socket.socket]) -> None:
    for each in sockets:
        each.close()
