"""
The game loop: read keys, advance the world by a tick, draw it, twenty times a second.

Invariant: a tick never waits for the network. The loop only awaits the time of the next tick;
meanwhile the client runs on the same event loop.
"""

import asyncio
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from typing import Literal, Protocol

from examples.game.presence import Presence, online
from examples.game.world import TICKS_PER_S, Heading, World

Key = Heading | Literal["quit"]


class Screen(Protocol):
    """Display and keys of the game: a terminal, or a test."""

    def pressed(self) -> Iterable[Key]:
        """Return the keys pressed since the last call, in order; does not wait."""

    def draw(self, world: World, presence: Presence) -> None:
        """Draw the present state."""


async def play(
    server: str, player: str, session_file: Path, terminal: AbstractContextManager[Screen]
) -> str:
    """
    Log in, and play until the player quits; return the closing message.

    The terminal is entered after the login. Raises the errors of `online`.
    """
    world = World(Random())
    async with online(server, player, session_file, world) as presence:
        with terminal as screen:
            await _loop(world, presence, screen)
        return f"{presence.farewell or 'See you soon.'} Coins: {world.score}."


async def _loop(world: World, presence: Presence, screen: Screen) -> None:
    now = asyncio.get_running_loop().time
    due = now()
    while True:
        for key in screen.pressed():
            if key == "quit":
                return
            world.heading = key
        if presence.farewell is None:
            world.tick()
        screen.draw(world, presence)
        # After a pause (Ctrl-Z, a suspended laptop) the missed ticks are skipped.
        due = max(due + 1 / TICKS_PER_S, now())
        await asyncio.sleep(due - now())
