"""
The rules of the game, without a server.
"""

from random import Random

import pytest

from examples.game.world import FLOOR, MAX_COINS, TICKS_PER_COIN, TICKS_PER_STEP, Heading, World


@pytest.fixture
def world() -> World:
    """A world whose dice fall the same way every time, and whose coins are gone."""
    world = World(Random(7))
    world.coins.clear()
    return world


def walk(world: World, steps: int) -> None:
    """Let so much time pass."""
    for _ in range(steps * TICKS_PER_STEP):
        world.tick()


def test_the_player_walks_until_told_otherwise(world: World) -> None:
    """A heading is kept, one cell every few ticks; nobody needs to hold the key."""
    world.heading = Heading.RIGHT
    walk(world, 2)
    world.heading = Heading.DOWN
    walk(world, 0)
    assert world.player == (3, 1)
    world.heading = Heading.LEFT
    walk(world, 1)
    assert world.player == (2, 1)


def test_a_wall_stops_the_player(world: World) -> None:
    """And the player stays on the floor, wherever they walk."""
    world.heading = Heading.UP
    walk(world, 3)
    assert (world.player, world.heading) == ((1, 1), Heading.STAY)


def test_a_coin_is_picked_up_once(world: World) -> None:
    """By walking over it."""
    world.coins = {(2, 1)}
    for heading in (Heading.RIGHT, Heading.LEFT, Heading.RIGHT):
        world.heading = heading
        walk(world, 1)
    assert (world.score, world.coins) == (1, set())


def test_coins_fall_where_there_is_room(world: World) -> None:
    """On the floor, never under the player, and no more than there may be."""
    for _ in range(2 * MAX_COINS * TICKS_PER_COIN):
        world.tick()
    assert len(world.coins) == MAX_COINS
    assert world.coins <= FLOOR - {world.player}
