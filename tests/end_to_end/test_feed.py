"""
The feed goes on when the node that tells it is killed.
"""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.support.end_to_end.writers import ACTORS, LONG, Story, story_of, told_of, writing
from tests.support.event_source import Heard, listening
from tests.support.server_process import ServerProcess, serving
from tests.support.valkey import Valkey

pytestmark = pytest.mark.long


class Follower:
    """Follows the feed from node to node."""

    def __init__(self, node: ServerProcess) -> None:
        self.node = node
        self.heard: list[Heard] = []
        self.returns = 0
        self.last_id = ""
        self._is_begun = asyncio.Event()

    async def follow(self) -> None:
        """Listen for ever; where a node is gone, go on at the node of the moment."""
        while True:
            try:
                async with listening(self.node.control, last_id=self.last_id) as source:
                    await source.begun()
                    self.last_id = source.last_id
                    self.returns += 1
                    self._is_begun.set()
                    while True:
                        event = await source.event()
                        self.heard.append(event)
                        self.last_id = event.id
            except (EOFError, OSError, ConnectionError):
                await asyncio.sleep(0.05)
            except Exception as error:
                if "Connect" not in type(error).__name__:
                    raise
                await asyncio.sleep(0.05)

    async def begun(self) -> None:
        """Wait until it listens."""
        await self._is_begun.wait()

    def story(self) -> Story:
        """What it heard, by actor."""
        story: Story = {actor_id: [] for actor_id in ACTORS}
        for event in self.heard:
            assert event.name in ("session.set", "session.unset")
            actor_id, told = told_of(event.data)
            story[actor_id].append(told)
        return story


async def test_sigkill_of_the_node_that_tells_loses_nothing(valkey: Valkey) -> None:
    """Nodes are killed under load: who listens comes back to another, exactly where it was."""
    url = valkey.url()
    async with AsyncExitStack() as cleanup:
        nodes = [
            await cleanup.enter_async_context(serving("--store", url, *LONG)) for _ in range(3)
        ]
        follower = Follower(nodes[0])
        following = asyncio.create_task(follower.follow())
        await follower.begun()
        async with writing(*nodes) as writers:
            for victim in (0, 1):
                await writers.until_written(150)
                follower.node = nodes[victim + 1]
                await nodes[victim].kill()
                writers.nodes = nodes[victim + 1 :]
            await writers.until_written(150)
        story = await story_of(url)
        total = sum(map(len, story.values()))
        async with asyncio.timeout(20):
            # Nobody tells of it.
            while len(follower.heard) < total and not following.done():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert follower.story() == story
    assert follower.returns >= 3
    assert total > 600
