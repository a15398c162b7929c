"""
Walk, pick up coins, and stay logged in: `python -m examples.game [PLAYER]`.
"""

import argparse
import asyncio
import curses
import logging
import sys
from pathlib import Path

import keystay
from examples.game.play import play
from examples.game.screen import terminal


def main() -> int:
    """Play until the player quits; return the exit code."""
    options = _parser().parse_args()
    session_file = options.session or Path(f"{options.player}.session")
    # The game draws on the terminal: the log of the client must not be written there.
    logging.getLogger("keystay").addHandler(logging.NullHandler())
    try:
        print(asyncio.run(play(options.server, options.player, session_file, terminal())))
    except (keystay.KeystayError, ValueError, curses.error) as error:
        print(f"game: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examples.game", description=__doc__)
    parser.add_argument(
        "player",
        nargs="?",
        type=_name,
        default="ada",
        metavar="PLAYER",
        help="name of the player: ada",
    )
    parser.add_argument(
        "--server", default="ws://127.0.0.1:8330", metavar="URL", help="ws://127.0.0.1:8330"
    )
    parser.add_argument(
        "--session",
        type=Path,
        metavar="FILE",
        help="the file that keeps the session between two runs: PLAYER.session",
    )
    return parser


def _name(text: str) -> str:
    if not text.isalnum():
        raise argparse.ArgumentTypeError("a name consists of letters and digits")
    return text


if __name__ == "__main__":
    sys.exit(main())
