"""
The commands of the program and the futures their answers go to.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keystay._calls import Call
from keystay._conversation import Answer, Link
from keystay._handlers import call
from keystay.errors import ClientClosed, ClientError
from keystay_protocol.commands import CommandName
from keystay_protocol.errors import CommandError, KeystayError, Timeout

Callback = Callable[[str | None], object]
"""Called with None, or with the code of the error: `callback("expired")`."""


@dataclass(frozen=True, slots=True)
class Question:
    """A command given, and where its answer will be. Without a call it was never accepted."""

    call: Call | None
    answer: asyncio.Future[Any]


class Questions:
    """
    Gives commands to the link, and brings each answer to who asked.

    Args:
        link: What sends the commands.
        wake: Called when the link has something to send.
    """

    def __init__(self, link: Link, wake: Callable[[], None]) -> None:
        self._link = link
        self._wake = wake
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._closed: ClientClosed | None = None

    def give(self, method: CommandName, params: list[Any]) -> Question:
        """Give a command now; whatever speaks against it becomes its answer."""
        answer = asyncio.get_running_loop().create_future()
        try:
            if self._closed is not None:
                raise self._closed
            command = self._link.command(method, params)
        except KeystayError as error:
            answer.set_exception(error)
            return Question(None, answer)
        self._answers[command.id] = answer
        self._wake()
        return Question(command, answer)

    async def wait(self, question: Question, timeout_s: float) -> Any:
        """
        Wait for the answer.

        Raises:
            Timeout: If it takes too long.
            KeystayError: If the answer is an error.
        """
        command = question.call
        try:
            async with asyncio.timeout(timeout_s):
                return await question.answer
        except TimeoutError:
            is_sent = command is not None and command.is_sent
            what = "not answered, perhaps carried out" if is_sent else "not connected, not sent"
            raise Timeout(f"{what} in {timeout_s:g} s") from None
        finally:
            if command is not None and self._answers.pop(command.id, None) is not None:
                self._link.abandon(command)

    async def call_back(self, question: Question, callback: Callback, timeout_s: float) -> None:
        """Wait for the answer, and tell the callback what became of the command."""
        try:
            await self.wait(question, timeout_s)
        except (CommandError, ClientError) as error:
            await call(callback, error.code)
        else:
            await call(callback, None)

    def deliver(self, answer: Answer) -> None:
        """Bring an answer to who asked; nobody may be waiting any more."""
        future = self._answers.pop(answer.id, None)
        if future is None or future.done():
            return
        if answer.error is None:
            future.set_result(answer.result)
        else:
            future.set_exception(answer.error)

    def close(self, reason: KeystayError | None) -> None:
        """Answer what waits, and refuse what comes later."""
        self._closed = ClientClosed()
        self._closed.__cause__ = reason
        for answer in self._link.close(self._closed):
            self.deliver(answer)
