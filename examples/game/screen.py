"""
The terminal, with curses: it draws the world and reads the keys.
"""

import curses
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from examples.game.play import Key
from examples.game.presence import Presence, Status
from examples.game.world import MAP, Cell, Heading, World

KEYS: dict[int, Key] = {
    curses.KEY_UP: Heading.UP,
    curses.KEY_DOWN: Heading.DOWN,
    curses.KEY_LEFT: Heading.LEFT,
    curses.KEY_RIGHT: Heading.RIGHT,
    ord("w"): Heading.UP,
    ord("s"): Heading.DOWN,
    ord("a"): Heading.LEFT,
    ord("d"): Heading.RIGHT,
    ord(" "): Heading.STAY,
    ord("q"): "quit",
}
HELP = "arrows or wasd: walk   space: stand still   q: quit"
WIDTH = 2 * len(MAP[0])  # A cell is two columns wide, and so about square.
TOP = 2
BOTTOM = TOP + len(MAP)


WALL, PLAYER, COIN = curses.COLOR_BLUE, curses.COLOR_CYAN, curses.COLOR_YELLOW
GOOD, SOON, BAD = curses.COLOR_GREEN, curses.COLOR_YELLOW, curses.COLOR_RED
STATUS: dict[Status, int] = {"online": GOOD, "reconnecting": SOON, "logged out": BAD}


@contextmanager
def terminal() -> Iterator["Terminal"]:
    """Set up the terminal, and restore it afterwards."""
    window = curses.initscr()
    try:
        curses.noecho()
        curses.cbreak()
        window.keypad(True)
        window.nodelay(True)
        with suppress(curses.error):  # Not every terminal can hide the cursor.
            curses.curs_set(0)
        if curses.has_colors():
            curses.start_color()
            curses.use_default_colors()
            for color in (WALL, PLAYER, COIN, GOOD, SOON, BAD):
                curses.init_pair(color, color, -1)
        yield Terminal(window)
    finally:
        curses.endwin()


class Terminal:
    """A `Screen` on a curses window."""

    def __init__(self, window: curses.window) -> None:
        self._window = window

    def pressed(self) -> Iterator[Key]:
        """Return the pressed keys that have a meaning."""
        while (code := self._window.getch()) != curses.ERR:
            if code in KEYS:
                yield KEYS[code]

    def draw(self, world: World, presence: Presence) -> None:
        """Draw everything; curses sends the differences."""
        self._window.erase()
        self._draw_status(world, presence)
        self._draw_map(world)
        self._put(BOTTOM + 1, 0, f"bag: {_listed(world.bag) or 'empty'}")
        self._put(BOTTOM + 2, 0, presence.notice, _style(GOOD))
        self._put(BOTTOM + 4, 0, HELP, curses.A_DIM)
        if presence.farewell is not None:
            self._draw_farewell(presence.farewell)
        self._window.refresh()

    def _draw_status(self, world: World, presence: Presence) -> None:
        self._put(0, 0, presence.player, _style(PLAYER, curses.A_BOLD))
        self._put(0, WIDTH // 2 - 4, f"coins: {world.score}", _style(COIN))
        status = presence.status
        self._put(0, WIDTH - len(status), status, _style(STATUS[status]))

    def _draw_map(self, world: World) -> None:
        for y, row in enumerate(MAP):
            for x, square in enumerate(row):
                if square == "#":
                    self._put_cell((x, y), "  ", _style(WALL, curses.A_REVERSE))
        for coin in world.coins:
            self._put_cell(coin, "o", _style(COIN, curses.A_BOLD))
        self._put_cell(world.player, "@", _style(PLAYER, curses.A_BOLD))

    def _draw_farewell(self, farewell: str) -> None:
        lines = ("", farewell, "q: leave", "")
        width, style = len(farewell) + 6, _style(BAD, curses.A_REVERSE)
        for y, line in enumerate(lines, start=(TOP + BOTTOM - len(lines)) // 2):
            self._put(y, (WIDTH - width) // 2, line.center(width), style)

    def _put_cell(self, cell: Cell, text: str, style: int) -> None:
        x, y = cell
        self._put(TOP + y, 2 * x, text, style)

    def _put(self, y: int, x: int, text: str, style: int = 0) -> None:
        """Write the text, cut at the edge of the window."""
        height, width = self._window.getmaxyx()
        # Not into the last column: curses cannot move the cursor behind the last cell.
        room = width - 1 - max(x, 0)
        if y < height and room > 0:
            self._window.addnstr(y, max(x, 0), text, room, style)


def _style(color: int, more: int = 0) -> int:
    """Return the attribute for a colour, if the terminal has colours."""
    return more | (curses.color_pair(color) if curses.has_colors() else 0)


def _listed(bag: list[str]) -> str:
    """Return each kind of item once, newest first, with its number."""
    counts = Counter(reversed(bag))
    return ", ".join(f"{item} x{n}" if n > 1 else item for item, n in counts.items())
