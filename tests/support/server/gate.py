"""
A command that takes as long as a test says.
"""

import asyncio
from typing import Any

from keystay_server.gateway.commands import COMMANDS
from keystay_server.gateway.commands.signature import Row, anything


class Gate:
    """A command that waits until it is opened: `test.wait`."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[None]] = []

    async def wait(self, _: Any, it: Any) -> Any:
        """Wait, then answer what was given."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        await future
        return it

    def open(self) -> None:
        """Let the one that waits pass."""
        self.waiting.pop(0).set_result(None)

    @property
    def commands(self) -> dict[str, Row]:
        """The command table with this command."""
        return {**COMMANDS, "test.wait": Row(self.wait, anything("it", optional=True))}
