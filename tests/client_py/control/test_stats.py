"""What nodes count."""

from typing import Any

import pytest

import keystay
from tests.client_py.control.conftest import API_KEY
from tests.support.client_py.http_peer import answer, http_peer

NODE: dict[str, Any] = {
    "id": "n1",
    "version": "0.1.0",
    "listen": "ws://127.0.0.1:8330",
    "startedAt": 1,
    "seenAt": 2,
    "draining": False,
    "connections": 3,
    "bound": 4,
    "commands": 5,
    "commandsFailed": 6,
    "events": 7,
    "recovered": 8,
    "slowClients": 9,
    "p50Ms": 0.25,
    "p99Ms": 2,
}


async def stats_of(*nodes: object) -> keystay.Stats:
    async with (
        http_peer(answer(200, {"node": "n1", "nodes": nodes})) as peer,
        keystay.Control(peer.url, API_KEY) as control,
    ):
        return await control.stats()


async def test_all_that_a_node_tells() -> None:
    """Every field is there under a name of Python's; what a later version adds is not."""
    stats = await stats_of({**NODE, "mood": "good"})
    assert stats == keystay.Stats(
        "n1",
        (
            keystay.NodeStats(
                *("n1", "0.1.0", "ws://127.0.0.1:8330", 1, 2, False, 3, 4, 5, 6, 7, 8, 9),
                p50_ms=0.25,
                p99_ms=2.0,
            ),
        ),
    )


async def test_a_node_that_nobody_asked_anything() -> None:
    """Without commands there is no latency."""
    [node] = (await stats_of({**NODE, "p50Ms": None, "p99Ms": None})).nodes
    assert (node.p50_ms, node.p99_ms) == (None, None)


@pytest.mark.parametrize("field", [name for name in NODE if not name.startswith("p")])
async def test_a_field_that_is_missing_is_named(field: str) -> None:
    """Stats of another version are not half read."""
    with pytest.raises(keystay.UnexpectedAnswer, match=field):
        await stats_of({name: value for name, value in NODE.items() if name != field})


async def test_a_node_that_is_none() -> None:
    """Nothing else passes for a node."""
    with pytest.raises(keystay.UnexpectedAnswer):
        await stats_of(None)
