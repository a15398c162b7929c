"""
`timing/turns.py`: one at a time for each name.
"""

import asyncio

from keystay_server.timing.turns import Turns

WAIT_S = 5.0


async def test_those_of_one_name_take_turns() -> None:
    """In the order in which they came; another name does not wait."""
    turns, order, gate = Turns(), list[str](), asyncio.Event()

    async def work(name: str, label: str) -> None:
        async with turns.turn(name):
            order.append(label)
            await gate.wait()

    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        for name, label in [("a", "first"), ("a", "second"), ("b", "other"), ("a", "third")]:
            group.create_task(work(name, label))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert order == ["first", "other"]
        gate.set()
    assert order == ["first", "other", "second", "third"]


async def test_nothing_is_left_of_a_name() -> None:
    """Also of those that were cancelled while they waited."""
    turns = Turns()
    async with turns.turn("a"):
        waiting = asyncio.ensure_future(turns.turn("a").__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert vars(turns) == {"_locks": {}, "_numbers": {}}
