"""
From a command to its reply: look it up, run it, and put into words how it went.

A command that needs no waiting is answered on the spot, without a task. One
that waits is finished by a task of its own, under a deadline.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import suppress
from types import coroutine
from typing import Any, cast

from keystay_protocol.codec import encode_reply
from keystay_protocol.errors import CommandError, InternalError, Timeout, UnknownCommand
from keystay_protocol.frames import Command
from keystay_server.commands.signature import Row
from keystay_server.context import Context

log = logging.getLogger("keystay.dispatch")


class Dispatcher:
    """
    Runs commands, and owns those that are running.

    Args:
        deadline_s: How long a command may take before it answers `timeout`.
    """

    def __init__(self, table: Mapping[str, Row], *, deadline_s: float) -> None:
        self._table = table
        self._deadline_s = deadline_s
        self._running: set[asyncio.Task[bytes]] = set()

    def run(self, context: Context, command: Command) -> "bytes | asyncio.Task[bytes]":
        """Return the encoded reply, or the task that will; it never fails."""
        try:
            row = self._table.get(command.method)
            if row is None:
                raise UnknownCommand("there is no such command")
            handling = cast("Coroutine[Any, Any, Any]", row.call(context, command.params))
            waits_for = handling.send(None)
        except StopIteration as done:
            return _success(command, done.value)
        except Exception as error:
            return _refusal(command, error)
        task = asyncio.create_task(self._finish(command, handling, waits_for))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def drain(self, deadline_s: float) -> None:
        """Wait for the commands that are running, and what follows; give up what is late."""
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                while self._running:
                    await asyncio.wait(self._running)
        late = list(self._running)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _finish(
        self, command: Command, handling: Coroutine[Any, Any, Any], waits_for: Any
    ) -> bytes:
        try:
            async with asyncio.timeout(self._deadline_s):
                result = await _resumed(handling, waits_for)
        except TimeoutError:
            return _refusal(command, Timeout())
        except Exception as error:
            return _refusal(command, error)
        return _success(command, result)


@coroutine
def _resumed(handling: Coroutine[Any, Any, Any], waits_for: Any) -> Generator[Any, Any, Any]:
    """Go on with a coroutine that was run up to its first wait, inside the task that awaits."""
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


def _success(command: Command, result: object) -> bytes:
    try:
        return encode_reply(command.id, None, result)
    except Exception as error:  # The handler returned what the wire has no form for.
        return _refusal(command, error)


def _refusal(command: Command, error: Exception) -> bytes:
    if not isinstance(error, CommandError):
        log.error("a handler failed", exc_info=error, extra={"method": command.method})
        error = InternalError()
    return encode_reply(command.id, error.code, error.details())
