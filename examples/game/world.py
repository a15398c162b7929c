"""
The game itself: a small map, a player who walks on it, coins to pick up, a bag.

Invariant: no clock, no network, no terminal. Time is the number of ticks; randomness is
passed in.
"""

from enum import Enum
from random import Random

TICKS_PER_S = 20
TICKS_PER_STEP = 3
TICKS_PER_COIN = 30
MAX_COINS = 12

MAP = (
    "##############################",
    "#         #                  #",
    "#  ####   #   ######   ###   #",
    "#  #                   #     #",
    "#  #   ########   ###  #  #  #",
    "#                 #       #  #",
    "#  #   #  #####   #  ######  #",
    "#  #####      #   #          #",
    "#             #      ######  #",
    "#     ####         #         #",
    "##############################",
)

Cell = tuple[int, int]
"""Column and row of the map, from its upper left corner."""

FLOOR = frozenset(
    (x, y) for y, row in enumerate(MAP) for x, square in enumerate(row) if square == " "
)


class Heading(Enum):
    """The direction in which the player walks, as one step."""

    STAY = (0, 0)
    UP = (0, -1)
    DOWN = (0, 1)
    LEFT = (-1, 0)
    RIGHT = (1, 0)


class World:
    """The state of one game. `heading` may be set between two ticks."""

    def __init__(self, random: Random) -> None:
        self.ticks = 0
        self.player: Cell = (1, 1)
        self.heading = Heading.STAY
        self.coins: set[Cell] = set()
        self.score = 0
        self.bag: list[str] = []
        """The items of the player, oldest first."""
        self._random = random
        while len(self.coins) < MAX_COINS // 2:
            self._drop_coin()

    def tick(self) -> None:
        """Advance by a twentieth of a second."""
        self.ticks += 1
        if self.ticks % TICKS_PER_STEP == 0:
            self._step()
        if self.ticks % TICKS_PER_COIN == 0 and len(self.coins) < MAX_COINS:
            self._drop_coin()

    def give(self, item: str) -> None:
        """Add an item to the bag."""
        self.bag.append(item)

    def _step(self) -> None:
        (x, y), (right, down) = self.player, self.heading.value
        ahead = (x + right, y + down)
        if ahead not in FLOOR:
            self.heading = Heading.STAY
            return
        self.player = ahead
        if ahead in self.coins:
            self.coins.remove(ahead)
            self.score += 1

    def _drop_coin(self) -> None:
        free = FLOOR - self.coins - {self.player}
        self.coins.add(self._random.choice(sorted(free)))
