"""
The commands of the program, and the futures that get their results.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keystay._calls import Call
from keystay._conversation import Answer, Conversation
from keystay._deadline import is_done
from keystay._handlers import call
from keystay.errors import ClientClosed, ClientError
from keystay_protocol.commands import CommandName
from keystay_protocol.errors import CommandError, KeystayError, Timeout

Callback = Callable[[str | None], object]
"""Called with None, or with the code of the error: `callback("expired")`."""


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A submitted command and the future of its result. A refused one has no call."""

    call: Call | None
    answer: asyncio.Future[Any]


class PendingCalls:
    """
    Gives commands to the conversation, and brings each answer to who asked.

    Args:
        conversation: What sends the commands.
        wake: Called when the conversation has something to send.
    """

    def __init__(self, conversation: Conversation, wake: Callable[[], None]) -> None:
        self._conversation = conversation
        self._wake = wake
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._closed: ClientClosed | None = None

    def submit(self, method: CommandName, params: list[Any]) -> PendingCall:
        """Submit a command now. If it is refused here, the future has the error."""
        answer = asyncio.get_running_loop().create_future()
        try:
            if self._closed is not None:
                raise self._closed
            command = self._conversation.command(method, params)
        except KeystayError as error:
            answer.set_exception(error)
            return PendingCall(None, answer)
        self._answers[command.id] = answer
        self._wake()
        return PendingCall(command, answer)

    async def wait(self, pending: PendingCall, timeout_s: float) -> Any:
        """
        Wait for the result.

        Raises:
            Timeout: If it takes longer than `timeout_s`.
            KeystayError: If the result is an error.
        """
        command = pending.call
        try:
            if await is_done(pending.answer, timeout_s):
                return pending.answer.result()
            raise Timeout(
                f"no reply within {timeout_s:g} s: it may have been executed"
                if command is not None and command.is_sent
                else f"not connected within {timeout_s:g} s: not sent"
            )
        finally:
            if command is not None and self._answers.pop(command.id, None) is not None:
                self._conversation.abandon(command)

    async def run_callback(
        self, pending: PendingCall, callback: Callback, timeout_s: float
    ) -> None:
        """Wait for the result, and call the callback with the error code or None."""
        try:
            await self.wait(pending, timeout_s)
        except (CommandError, ClientError) as error:
            await call(callback, error.code)
        else:
            await call(callback, None)

    def resolve(self, answer: Answer) -> None:
        """Resolve the future of a command, if a caller still waits."""
        future = self._answers.pop(answer.id, None)
        if future is None or future.done():
            return
        if answer.error is None:
            future.set_result(answer.result)
        else:
            future.set_exception(answer.error)

    def close(self, reason: KeystayError | None) -> None:
        """Resolve every waiting command with `ClientClosed`, and refuse later ones."""
        self._closed = ClientClosed()
        self._closed.__cause__ = reason
        for answer in self._conversation.close(self._closed):
            self.resolve(answer)
