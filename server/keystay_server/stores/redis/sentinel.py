"""
A master that sentinels know of: asked for anew with every connection.

After a failover the connections to the old master break, or are refused to
write, and are closed; the next ones lead to the new master.
"""

import asyncio
import math
from collections.abc import Iterable
from functools import partial
from typing import Any

from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError

from keystay_server.stores.redis.address import Address, Location
from keystay_server.stores.redis.wire import Wire, close, pack

_ASK_S = 0.5


class MasterWire:
    """A `Wire` to whichever server is the master when it connects."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._wire: Wire | None = None

    @property
    def is_connected(self) -> bool:
        return self._wire is not None and self._wire.is_connected

    async def connect(self) -> None:
        if not self.is_connected:
            self._wire = self._location.server(*await find_master(self._location)).wire()
            await self._wire.connect()

    async def disconnect(self, nowait: bool = False) -> None:
        if self._wire is not None:
            await self._wire.disconnect(nowait=nowait)

    async def can_read(self) -> bool:
        return await self._connected().can_read()

    async def send_packed_command(self, command: Iterable[bytes]) -> None:
        await self._connected().send_packed_command(command)

    async def read_response(self, *, disable_decoding: bool, timeout: float) -> Any:  # noqa: ASYNC109
        wire = self._connected()
        return await wire.read_response(disable_decoding=disable_decoding, timeout=timeout)

    def _connected(self) -> Wire:
        if self._wire is None:
            raise ConnectionLost("not connected")
        return self._wire


def master(location: Location) -> Address:
    """The address of the master, whoever that is."""
    hosts = ",".join(f"{host}:{port}" for host, port in location.hosts)
    where = f"redis+sentinel://{hosts}/{location.service}/{location.db}"
    return Address(where, partial(MasterWire, location))


async def find_master(location: Location) -> tuple[str, int]:
    """
    Ask the sentinels, one after the other, where the master is.

    Raises:
        ConnectionLost: If none of them knows.
    """
    for host, port in location.hosts:
        wire = location.sentinel(host, port).wire()
        try:
            async with asyncio.timeout(_ASK_S):
                await wire.connect()
                await wire.send_packed_command(
                    [pack("SENTINEL", "GET-MASTER-ADDR-BY-NAME", location.service)]
                )
                answer = await wire.read_response(disable_decoding=True, timeout=math.inf)
        except (RedisError, OSError, TimeoutError):
            continue
        finally:
            await close(wire, nowait=True)
        if answer:
            return answer[0].decode(), int(answer[1])
    raise ConnectionLost(f"no sentinel knows a master called {location.service}")
