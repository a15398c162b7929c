"""
The listening sockets of a port.
"""

import errno
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from keystay_server.node.listening import listening_sockets

ANY_ADDRESS = "192.0.2.1"  # Of no machine (RFC 5737).

resolve = socket.getaddrinfo


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of several addresses, which the machine of the test may not have."""
    addresses = {
        "both.test": ["127.0.0.1", "::1"],
        "two.test": ["127.0.0.1", "127.0.0.2"],
        "partly.test": [ANY_ADDRESS, "127.0.0.1"],
        "twice.test": ["127.0.0.1", "127.0.0.1"],
    }

    def getaddrinfo(host: str, *args: Any, **options: Any) -> list[Any]:
        hosts = addresses.get(host, [host])
        return [found for each in hosts for found in resolve(each, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@contextmanager
def all_closed(sockets: list[socket.socket]) -> Iterator[list[socket.socket]]:
    """Close them at the end."""
    try:
        yield sockets
    finally:
        for each in sockets:
            each.close()


def connects(host: str, port: int) -> bool:
    """Whether a client is accepted there."""
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "hosts"),
    [
        ("both.test", ["127.0.0.1", "::1"]),
        ("two.test", ["127.0.0.1", "127.0.0.2"]),
        ("twice.test", ["127.0.0.1"]),
        ("127.0.0.1", ["127.0.0.1"]),
        ("::1", ["::1"]),
    ],
)
async def test_every_address_of_a_name_is_listened_on(name: str, hosts: list[str]) -> None:
    """With one port number, also if the system chooses it."""
    with all_closed(await listening_sockets(name, 0)) as sockets:
        names = [each.getsockname() for each in sockets]
        assert [address[0] for address in names] == hosts
        (port,) = {address[1] for address in names}
        assert all(connects(host, port) for host in hosts)


async def test_any_address_of_ipv6_is_any_of_ipv4_too() -> None:
    """`::` is dual stack; `::1` and `0.0.0.0` are not."""
    with all_closed(await listening_sockets("::", 0)) as (listening,):
        port = listening.getsockname()[1]
        assert connects("127.0.0.1", port)
        assert connects("::1", port)
    for host, other in (("::1", "127.0.0.1"), ("0.0.0.0", "::1")):
        with all_closed(await listening_sockets(host, 0)) as (listening,):
            assert not connects(other, listening.getsockname()[1])


async def test_an_address_that_is_not_there_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With a warning; one that is the only one is an error."""
    with all_closed(await listening_sockets("partly.test", 0)) as (listening,):
        assert listening.getsockname()[0] == "127.0.0.1"
    assert "some addresses" in caplog.text
    with pytest.raises(OSError, match="assign") as error:
        await listening_sockets(ANY_ADDRESS, 0)
    assert error.value.errno == errno.EADDRNOTAVAIL


async def test_a_port_in_use_on_one_address_is_an_error() -> None:
    """No socket stays open on the others."""
    with closing(socket.create_server(("127.0.0.2", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            await listening_sockets("two.test", port)
        assert not connects("127.0.0.1", port)


async def test_a_name_without_an_address_is_an_error() -> None:
    """As the resolver has it."""
    with pytest.raises(OSError, match=r"."):
        await listening_sockets("no-such-name.invalid", 0)
