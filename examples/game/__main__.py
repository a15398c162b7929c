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
    # The terminal is the game's: what the client logs must not be written into the picture.
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
        "player", nargs="?", type=_name, default="ada", metavar="PLAYER", help="who plays: ada"
    )
    parser.add_argument(
        "--server", default="ws://127.0.0.1:8330", metavar="URL", help="ws://127.0.0.1:8330"
    )
    parser.add_argument(
        "--session",
        type=Path,
        metavar="FILE",
        help="where the session is kept between two runs: PLAYER.session",
    )
    return parser


def _name(text: str) -> str:
    if not text.isalnum():
        raise argparse.ArgumentTypeError("letters and digits make a name")
    return text


if __name__ == "__main__":
    sys.exit(main())
