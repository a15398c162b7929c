"""
A command goes, its answer comes back.

All commands of one turn of the event loop travel together. A link has a few
lanes, each with a connection and at most one batch under way; while all are
busy, the next batch grows. So callers wait for a lane instead of failing for want
of a connection, and a busy link sends fewer, larger batches.

A command that may have been carried out is never sent again: its caller gets
`Unavailable`, and it is unknown what happened. A script that Redis did not
have was not run; it is loaded and sent again.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import NoScriptError, RedisError, ResponseError

from keystay_protocol.errors import Unavailable
from keystay_server.stores.errors import out_of_reach
from keystay_server.stores.redis.role import is_no_master, require_master
from keystay_server.stores.redis.scripts import ALL, Script
from keystay_server.stores.redis.tuning import LinkTuning
from keystay_server.stores.redis.wire import Wire, Word, close, pack, send

log = logging.getLogger("keystay.store")

BATCH = 256
"""Commands that travel together at most: thousands would keep their callers from each other."""

_LOAD_SCRIPTS = [pack("SCRIPT", "LOAD", script.text) for script in ALL]


@dataclass(frozen=True, slots=True)
class _Call:
    packed: bytes
    answer: asyncio.Future[Any]


@dataclass(slots=True)
class _Connection:
    """What a lane has."""

    wire: Wire
    replaced: int = 0
    """How often the server had refused as one that is no master when this was connected."""
    idle_since: float = 0.0


class Link:
    """Commands to one server, over a few connections."""

    def __init__(self, wire: Callable[[], Wire], tuning: LinkTuning) -> None:
        self._wire = wire
        self._tuning = tuning
        self._batch: list[_Call] = []
        self._deadline = 0.0
        self._answered_at = 0.0
        """When the server answered last."""
        self._waiting = 0
        self._idle: list[asyncio.Future[None]] = []
        self._lanes: list[asyncio.Task[None]] = []
        self._replaced = 0
        """How often the server has refused as one that is no master."""

    def start(self) -> None:
        """Open the link. It connects with the first command."""
        self._lanes = [asyncio.create_task(self._lane()) for _ in range(self._tuning.lanes)]

    async def stop(self) -> None:
        """Wait for what is under way, no longer than its deadline, and close."""
        lanes, self._lanes = self._lanes, []
        for idle in self._idle:
            if not idle.done():
                idle.set_result(None)
        await asyncio.gather(*lanes)

    async def run(self, script: Script, key: str, *words: Word) -> Any:
        """Run a script on a key, or on what is below a root; otherwise as `send`."""
        return await self.send("EVALSHA", script.sha, 1, key, *words)

    async def send(self, *words: Word) -> Any:
        """
        Send a command and return its answer, undecoded.

        Raises:
            Unavailable: If there was none in time, or it was a refusal.
        """
        return await self._put(pack(*words))

    def _put(self, packed: bytes) -> "asyncio.Future[Any]":
        if not self._lanes:
            raise out_of_reach("the store is stopped")
        if self._waiting >= self._tuning.waiting:
            raise out_of_reach("the store is overloaded")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if not self._batch:
            # Every batch under way is older. When the last of them gives up, this
            # one is taken at once, so waiting for a lane needs no timer of its own.
            self._deadline = loop.time() + self._tuning.deadline_s
            self._wake_a_lane()
        self._batch.append(_Call(packed, answer))
        self._waiting += 1
        return answer

    def _wake_a_lane(self) -> None:
        while self._idle:
            idle = self._idle.pop()
            if not idle.done():
                idle.set_result(None)
                return

    async def _lane(self) -> None:
        connection = _Connection(self._wire())
        loop = asyncio.get_running_loop()
        try:
            while True:
                if self._batch:
                    batch, self._batch = self._batch[:BATCH], self._batch[BATCH:]
                    if self._batch:
                        self._wake_a_lane()
                    # A server that answers all the time is busy, and not silent.
                    progress = self._answered_at + self._tuning.deadline_s
                    await self._carry(connection, batch, max(self._deadline, progress))
                    connection.idle_since = loop.time()
                elif self._lanes:
                    idle = loop.create_future()
                    self._idle.append(idle)
                    await idle
                else:
                    return
        finally:
            await close(connection.wire)

    async def _make_ready(self, connection: _Connection) -> None:
        """Connect, if need be anew."""
        wire, now = connection.wire, asyncio.get_running_loop().time()
        # What can be read before anything was asked is the end of the connection.
        if wire.is_connected and (
            connection.replaced != self._replaced
            or now - connection.idle_since >= self._tuning.idle_s
            or await wire.can_read()
        ):
            await close(wire, nowait=True)
        if not wire.is_connected:
            connection.replaced = self._replaced
            await wire.connect()
            await require_master(wire)

    async def _carry(
        self, connection: _Connection, batch: Sequence[_Call], deadline: float
    ) -> None:
        """Carry out a batch, whatever happens to it; each caller gets an answer or an error."""
        wire = connection.wire
        try:
            async with asyncio.timeout_at(deadline):
                await self._make_ready(connection)
                answers = await _exchange(wire, [call.packed for call in batch])
                await _send_again_with_scripts(wire, batch, answers)
            self._answered_at = asyncio.get_running_loop().time()
            if any(map(is_no_master, answers)):
                # The next connections may lead to the one that is.
                self._replaced += 1
        except Exception as error:
            if not isinstance(error, RedisError | OSError | TimeoutError):
                log.exception("the link to redis failed")
            await close(wire, nowait=True)
            answers = [error] * len(batch)
        self._waiting -= len(batch)
        for call, answer in zip(batch, answers, strict=True):
            # A caller that was cancelled has taken its place in the line with it.
            if call.answer.done():
                continue
            if isinstance(answer, Exception):
                call.answer.set_exception(_unavailable(answer))
            else:
                call.answer.set_result(answer)


def _unavailable(error: Exception) -> Unavailable:
    refused = isinstance(error, ResponseError)
    unavailable = out_of_reach("the store refused" if refused else "the store does not answer")
    unavailable.__cause__ = error
    return unavailable


async def _exchange(wire: Wire, packed: Sequence[bytes]) -> list[Any]:
    """Send commands and read an answer to each; a refusal is an answer: its error."""
    await send(wire, packed)
    answers: list[Any] = []
    for _ in packed:
        try:
            answers.append(await wire.read_response(disable_decoding=True, timeout=math.inf))
        except ResponseError as refusal:
            answers.append(refusal)
    return answers


async def _send_again_with_scripts(
    wire: Wire, batch: Sequence[_Call], answers: list[Any]
) -> None:
    """Load the scripts if any was missing, and replace the answers that said so."""
    again = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if again:
        fresh = await _exchange(wire, _LOAD_SCRIPTS + [batch[i].packed for i in again])
        for i, answer in zip(again, fresh[len(_LOAD_SCRIPTS) :], strict=True):
            answers[i] = answer
