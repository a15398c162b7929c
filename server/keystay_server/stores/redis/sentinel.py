"""
A master that sentinels know of.

The sentinels are asked with every connection, and they are watched: a connection to a master
that is being replaced is used no more, and no answer that it gave meanwhile is believed. Until
sentinels have reconfigured the old master, ten seconds later, it would go on accepting writes.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError

from keystay_server.stores.redis.address import Address, Location
from keystay_server.stores.redis.role import require_master
from keystay_server.stores.redis.wire import Wire, close, pack, send
from keystay_server.timing.backoff import backoff_s
from keystay_server.timing.tasks import Background

ASK_S = 0.5
"""How long a sentinel may take to answer."""
OTHERS_S = 0.1
"""How long others are waited for when one has answered."""
PING_S = 2.0
"""A silent sentinel is pinged so often; without an answer it is connected to anew."""
FAILOVER_S = 10.0
"""How long the end of a failover is waited for."""
BACKOFF_BASE_S, BACKOFF_CAP_S = 0.1, 2.0

_SWITCHED = b"+switch-master"
_BEGINS = b"+failover-state-send-slaveof-noone"
_ABORTED = b"-failover-abort-*"
_SUBSCRIBE = pack("PSUBSCRIBE", _SWITCHED, _BEGINS, _ABORTED)
_PING = pack("PING")
_PROMOTING = (b"send_slaveof_noone", b"wait_promotion")
"""States of a failover in which a replica becomes the master: the old one must not be used."""

log = logging.getLogger("keystay.store")

Host = tuple[str, int]


class Sentinels:
    """
    The sentinels of a location, and the master that they agree on.

    Args:
        on_switch: Called when there is another master.
    """

    def __init__(
        self, location: Location, on_switch: Callable[[], None] = lambda: None
    ) -> None:
        self.on_switch = on_switch
        self.changes = 0
        """Grows when a failover begins and when it ends: older connections are of no use."""
        self._location = location
        self._master: Host | None = None
        self._master_epoch = 0
        """That in which it was named."""
        self._epoch, self._epoch_until = 0, 0.0
        """The newest known, and until when no older one is believed."""
        self._failing_over_until = 0.0
        self._settled = asyncio.Event()
        self._settled.set()
        self._watching = [
            Background(partial(self._watch, *host), f"watch sentinel {host[0]}:{host[1]}")
            for host in location.hosts
        ]

    def address(self) -> Address:
        """Return the address of the master, whoever that is."""
        hosts = ",".join(f"{host}:{port}" for host, port in self._location.hosts)
        where = f"redis+sentinel://{hosts}/{self._location.service}/{self._location.db}"
        return Address(where, partial(MasterWire, self))

    def start(self) -> None:
        """Begin to watch the sentinels."""
        for each in self._watching:
            each.start()

    async def stop(self) -> None:
        """Stop to watch them."""
        for each in self._watching:
            await each.stop()

    async def connect(self) -> tuple[Wire, int]:
        """
        Connect to the master; during a failover, when that is over.

        Returns:
            The connection, and `changes` at the time.

        Raises:
            ConnectionLost: If no sentinel knows one that is a master.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._failing_over_until - time.monotonic())):
                await self._settled.wait()
        changes = self.changes
        candidates = await self._candidates()
        epoch = self._epoch
        for host in candidates:
            wire = self._location.server(*host).wire()
            try:
                await wire.connect()
                await require_master(wire)
            except (RedisError, OSError) as error:
                await close(wire, nowait=True)
                if host == candidates[-1]:
                    raise
                log.debug("%s:%d is no master (%s)", *host, error)
            except BaseException:
                await close(wire, nowait=True)
                raise
            else:
                self._master, self._master_epoch = host, epoch
                return wire, changes
        raise ConnectionLost(f"no sentinel knows a master called {self._location.service}")

    async def _candidates(self) -> list[Host]:
        """Return the masters that the sentinels name with the newest epoch."""
        found: list[tuple[Host | None, int]] = []

        async def ask(sentinel: Host) -> None:
            answer = await self._ask(*sentinel)
            if answer is not None:
                found.append(answer)

        left = {asyncio.create_task(ask(sentinel)) for sentinel in self._location.hosts}
        try:
            while left:
                limit_s = OTHERS_S if found else None
                done, left = await asyncio.wait(
                    left, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    break
        finally:
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        newest = max([epoch for _, epoch in found], default=0)
        if newest < self._epoch and time.monotonic() < self._epoch_until:
            return []  # Those that answered do not know of the last failover yet.
        hosts = dict.fromkeys(host for host, epoch in found if epoch == newest)
        if None in hosts:
            return []
        self._know(newest)
        return [host for host in hosts if host is not None]

    def _know(self, epoch: int) -> None:
        self._epoch, self._epoch_until = epoch, time.monotonic() + FAILOVER_S

    async def _ask(self, host: str, port: int) -> tuple[Host | None, int] | None:
        """Ask a sentinel for the master, and its epoch; the master is None while it changes."""
        wire = self._location.sentinel(host, port).wire()
        try:
            async with asyncio.timeout(ASK_S):
                await wire.connect()
                await send(wire, [pack("SENTINEL", "MASTER", self._location.service)])
                answer = await wire.read_response(disable_decoding=True, timeout=math.inf)
        except (RedisError, OSError, TimeoutError):
            return None
        finally:
            await close(wire, nowait=True)
        fields = dict(zip(answer[::2], answer[1::2], strict=True))
        epoch = int(fields[b"config-epoch"])
        if fields.get(b"failover-state") in _PROMOTING:
            return None, epoch + 1  # Newer than what those say who do not know of it.
        if b"failover_in_progress" in fields[b"flags"].split(b","):
            return None  # It may have the new epoch, and still names the old master.
        return (fields[b"ip"].decode(), int(fields[b"port"])), epoch

    async def _watch(self, host: str, port: int) -> None:
        """Watch a sentinel, for ever."""
        failures = 0
        while True:
            wire = self._location.sentinel(host, port).wire()
            try:
                async with asyncio.timeout(ASK_S):
                    await wire.connect()
                    await send(wire, [_SUBSCRIBE])
                failures = 0
                await self._read(wire)
            except (RedisError, OSError, TimeoutError):
                failures += 1
            finally:
                await close(wire, nowait=True)
            await asyncio.sleep(backoff_s(failures, BACKOFF_BASE_S, BACKOFF_CAP_S))

    async def _read(self, wire: Wire) -> None:
        is_asked = False
        while True:
            match await _next_message(wire):
                case [b"pmessage", _, bytes(channel), bytes(words)]:
                    self._notified(channel, words.decode(errors="replace").split())
                case [b"psubscribe", *_] if not is_asked:
                    is_asked = True
                    await self._compare()

    async def _compare(self) -> None:
        """Look whether there is another master since the sentinels were last asked."""
        candidates = await self._candidates()
        if candidates and self._master is not None and candidates[0] != self._master:
            self._switched(candidates[0])

    def _notified(self, channel: bytes, words: list[str]) -> None:
        service = self._location.service
        match words:
            case [name, _, _, host, port] if channel == _SWITCHED and name == service:
                self._switched((host, int(port)))
            case [*_, "@", name, _, _] if channel == _BEGINS and name == service:
                self._failing_over_until = time.monotonic() + FAILOVER_S
                self._settled.clear()
                self.changes += 1
            case ["master", name, *_] if channel.startswith(b"-") and name == service:
                self._end_failover()

    def _switched(self, master: Host) -> None:
        if master == self._master:
            return
        log.info("sentinels have made %s:%d the master", *master)
        # The epoch of the failover, or an older one; a sentinel may have answered with it.
        self._know(max(self._epoch, self._master_epoch + 1))
        self._master, self._master_epoch = master, self._epoch
        self._end_failover()
        self.on_switch()

    def _end_failover(self) -> None:
        self.changes += 1
        self._settled.set()


async def _next_message(wire: Wire) -> Any:
    """Read what a sentinel sends; ping it if it is silent."""
    reading = asyncio.create_task(wire.read_response(disable_decoding=True, timeout=math.inf))
    try:
        for _ in range(2):
            done, _ = await asyncio.wait([reading], timeout=PING_S)
            if done:
                return reading.result()
            await send(wire, [_PING])
        raise ConnectionLost("a sentinel does not answer")
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


class MasterWire:
    """A `Wire` to whichever server is the master when it connects."""

    def __init__(self, sentinels: Sentinels) -> None:
        self._sentinels = sentinels
        self._changes = 0
        self._wire: Wire | None = None

    @property
    def is_connected(self) -> bool:
        is_current = self._changes == self._sentinels.changes
        return self._wire is not None and self._wire.is_connected and is_current

    async def connect(self) -> None:
        if not self.is_connected:
            await self.disconnect(nowait=True)
            self._wire, self._changes = await self._sentinels.connect()

    async def disconnect(self, nowait: bool = False) -> None:
        if self._wire is not None:
            await self._wire.disconnect(nowait=nowait)

    async def can_read(self) -> bool:
        return await self._connected().can_read()

    async def send_packed_command(self, command: Iterable[bytes]) -> None:
        await self._connected().send_packed_command(command)

    async def read_response(self, *, disable_decoding: bool, timeout: float) -> Any:  # noqa: ASYNC109
        wire = self._connected()
        answer = await wire.read_response(disable_decoding=disable_decoding, timeout=timeout)
        self._connected()  # Else what was written may be lost.
        return answer

    def _connected(self) -> Wire:
        if self._wire is None:
            raise ConnectionLost("not connected")
        if self._changes != self._sentinels.changes:
            raise ConnectionLost("the master is being replaced")
        return self._wire
