"""
The game, played by a test on a screen without a terminal.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from examples.game.play import Key, play
from examples.game.presence import Presence, Status
from examples.game.world import Cell, World

SOON_S = 20.0


@dataclass(frozen=True, slots=True)
class Picture:
    """The state of the game after a tick."""

    ticks: int
    player: Cell
    bag: tuple[str, ...]
    status: Status
    notice: str
    farewell: str | None


class Stage:
    """A `Screen` whose keys a test presses, and that keeps what is drawn."""

    def __init__(self) -> None:
        self.closing_message = ""
        self._picture: Picture | None = None
        self._keys: list[Key] = []
        self._drawn = asyncio.Event()

    def press(self, key: Key) -> None:
        """Press a key; the game reads it before its next tick."""
        self._keys.append(key)

    def pressed(self) -> list[Key]:
        """The keys pressed since the last call."""
        keys, self._keys = self._keys, []
        return keys

    def draw(self, world: World, presence: Presence) -> None:
        """Keep the picture, and wake `until`."""
        self._picture = Picture(
            world.ticks,
            world.player,
            tuple(world.bag),
            presence.status,
            presence.notice,
            presence.farewell,
        )
        self._drawn.set()

    def leave(self) -> None:
        """Fail `until`: no picture will come."""
        self._picture = None
        self._drawn.set()

    async def until(self, is_so: Callable[[Picture], bool]) -> Picture:
        """The first picture from now on of which this is true."""
        async with asyncio.timeout(SOON_S):
            while True:
                self._drawn.clear()
                await self._drawn.wait()
                assert self._picture is not None, "the game is over"
                if is_so(self._picture):
                    return self._picture

    async def until_status(self, status: Status) -> Picture:
        """The first picture from now on with this status."""
        return await self.until(lambda picture: picture.status == status)


@asynccontextmanager
async def playing(server: str, session_file: Path) -> AsyncIterator[Stage]:
    """Play as ada; quit at the end."""
    stage = Stage()
    game = asyncio.create_task(play(server, "ada", session_file, nullcontext(stage)))
    game.add_done_callback(lambda _: stage.leave())
    try:
        await stage.until_status("online")
        yield stage
        stage.press("quit")
        async with asyncio.timeout(SOON_S):
            stage.closing_message = await game
    finally:
        game.cancel()
        with suppress(asyncio.CancelledError):
            await game  # Its error explains more than the timeout of the test.
