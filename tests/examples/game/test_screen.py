"""
The game on a terminal.
"""

import signal
from pathlib import Path

from tests.support.examples.terminal import on_terminal
from tests.support.server_process import ServerProcess
from tests.support.valkey import free_port

ARROW_RIGHT = "\x1bOC"
LEAVES_THE_SCREEN = "\x1b[?1049l"


async def test_a_game_on_a_terminal(server: ServerProcess, tmp_path: Path) -> None:
    """
    It draws, the player walks at the press of a key, and after `q` the terminal is as it was,
    with the last words on it.
    """
    async with on_terminal("--server", server.url, cwd=tmp_path) as game:
        before = game.settings()
        await game.until("online")
        assert game.settings() != before
        await game.until("quit")
        game.press(ARROW_RIGHT)
        await game.until("@")
        game.press("q")
        await game.until(LEAVES_THE_SCREEN)
        await game.until("See you soon.")
        assert await game.exit_code() == 0
        assert game.settings() == before


async def test_ctrl_c(server: ServerProcess, tmp_path: Path) -> None:
    """It is another way to quit, and leaves the terminal as it was, too."""
    async with on_terminal("--server", server.url, cwd=tmp_path) as game:
        before = game.settings()
        await game.until("online")
        game.process.send_signal(signal.SIGINT)
        await game.until(LEAVES_THE_SCREEN)
        assert await game.exit_code() == 0
        assert game.settings() == before


async def test_a_terminal_that_is_too_small(server: ServerProcess, tmp_path: Path) -> None:
    """The game shows what there is room for, and is played on."""
    at = ("--server", server.url)
    async with on_terminal(*at, cwd=tmp_path, rows=5, columns=20) as game:
        await game.until("ada")
        game.press(ARROW_RIGHT)
        await game.until("@")
        game.press("q")
        assert await game.exit_code() == 0


async def test_what_goes_wrong_is_one_line(tmp_path: Path) -> None:
    """A server that is not there is said so, with exit code 1."""
    nobody = f"ws://127.0.0.1:{free_port()}"
    async with on_terminal("--server", nobody, cwd=tmp_path) as game:
        await game.until("game: ")
        assert await game.exit_code() == 1
