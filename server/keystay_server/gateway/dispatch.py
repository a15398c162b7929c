"""
From a command to its reply: look it up, run it, encode the result or the error.

A command that does not wait is answered at once, without a task. One that waits is finished by
a task of its own, under a deadline.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from contextlib import suppress
from types import CoroutineType, coroutine
from typing import Any

from keystay_protocol.codec import encode_reply
from keystay_protocol.errors import CommandError, InternalError, Timeout, UnknownCommand
from keystay_protocol.frames import Command
from keystay_server.gateway.commands.signature import Row
from keystay_server.gateway.context import Context
from keystay_server.telemetry.counts import Counts
from keystay_server.telemetry.durations import Commands, clock

log = logging.getLogger("keystay.dispatch")


class Dispatcher:
    """
    Runs commands and owns those that are running.

    Args:
        deadline_s: How long a command may take before it answers `timeout`.
        counts: Where commands are counted.
    """

    def __init__(
        self, table: Mapping[str, Row], *, deadline_s: float, counts: Counts | None = None
    ) -> None:
        counts = counts or Counts()
        counts.know(table)
        self._table = {name: (row, counts.methods[name]) for name, row in table.items()}
        self._unknown = None, counts.unknown
        self._deadline_s = deadline_s
        self._running: set[asyncio.Task[bytes]] = set()

    def run(self, context: Context, command: Command) -> "bytes | asyncio.Task[bytes]":
        """Return the encoded reply, or the task that will; it never fails."""
        started = clock()
        row, counted = self._table.get(command.method, self._unknown)
        try:
            if row is None:
                raise UnknownCommand("there is no such command")
            handling = row.call(context, command.params)
            if type(handling) is not CoroutineType:
                reply = _success(command, handling, counted)
                counted.add(clock() - started)
                return reply
            waits_for = handling.send(None)
        except StopIteration as done:
            reply = _success(command, done.value, counted)
            counted.add(clock() - started)
            return reply
        except Exception as error:
            reply = _refusal(command, error, counted)
            counted.add(clock() - started)
            return reply
        rest = _resumed(handling, waits_for)
        task = asyncio.create_task(self._finish(command, counted, started, rest))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def drain(self, deadline_s: float) -> None:
        """Wait for the running commands and those behind them; cancel what is late."""
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                while self._running:
                    await asyncio.wait(self._running)
        late = list(self._running)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _finish(
        self, command: Command, counted: Commands, started: float, rest: Awaitable[Any]
    ) -> bytes:
        try:
            async with asyncio.timeout(self._deadline_s):
                result = await rest
        except TimeoutError:
            reply = _refusal(command, Timeout(), counted)
        except Exception as error:
            reply = _refusal(command, error, counted)
        else:
            reply = _success(command, result, counted)
        counted.add(clock() - started)
        return reply


@coroutine
def _resumed(handling: Coroutine[Any, Any, Any], waits_for: Any) -> Generator[Any, Any, Any]:
    """Continue a coroutine that was run up to its first wait, inside the awaiting task."""
    step: Callable[[Any], Any]
    while True:
        try:
            sent = yield waits_for
        except BaseException as error:
            step, argument = handling.throw, error
        else:
            step, argument = handling.send, sent
        try:
            waits_for = step(argument)
        except StopIteration as done:
            return done.value


def _success(command: Command, result: object, counted: Commands) -> bytes:
    try:
        return encode_reply(command.id, None, result)
    except Exception as error:  # The handler returned a value that cannot be encoded.
        return _refusal(command, error, counted)


def _refusal(command: Command, error: Exception, counted: Commands) -> bytes:
    if not isinstance(error, CommandError):
        log.error("a handler failed", exc_info=error, extra={"method": command.method})
        error = InternalError()
    counted.failed(error)
    return encode_reply(command.id, error.code, error.details())
