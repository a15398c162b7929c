"""
The game loop: keys in, a tick of the world, a picture out, twenty times a second.

Invariant: a tick never waits for the network. The only thing that is awaited
is the time of the next tick; meanwhile the client does its work on the same event loop.
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
    """What the game is seen on and played with: a terminal, or a test."""

    def pressed(self) -> Iterable[Key]:
        """What was pressed since the last call, in order; does not wait."""

    def draw(self, world: World, presence: Presence) -> None:
        """Show how things stand."""


async def play(
    server: str, player: str, session_file: Path, terminal: AbstractContextManager[Screen]
) -> str:
    """
    Log in, and play until the player quits; return the last words.

    The terminal is entered once the player is logged in. Errors are those of `online`.
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
        # After a pause (Ctrl-Z, a laptop that slept) the missed ticks are not made up for.
        due = max(due + 1 / TICKS_PER_S, now())
        await asyncio.sleep(due - now())
