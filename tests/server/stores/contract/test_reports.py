"""
What every store promises about what nodes leave for each other.
"""

from tests.support.stores.installation import Installation


async def test_every_node_reads_what_each_has_left(installation: Installation) -> None:
    """By topic and by node; the newest word of a node counts."""
    nodes = installation.nodes
    await nodes[0].report("nodes", "one", b"old", 60_000)
    await nodes[0].report("nodes", "one", b"\x00:\xff", 60_000)
    await nodes[-1].report("nodes", "two", b"", 60_000)
    await nodes[-1].report("others", "one", b"elsewhere", 60_000)
    for node in nodes:
        assert await node.reports("nodes") == {"one": b"\x00:\xff", "two": b""}
        assert await node.reports("others") == {"one": b"elsewhere"}
        assert await node.reports("nothing") == {}


async def test_what_is_over_is_gone(installation: Installation) -> None:
    """Each word lasts as long as its node said, also beside one that lasts longer."""
    store = installation.store
    await store.report("nodes", "short", b"1", 1000)
    await store.report("nodes", "long", b"2", 60_000)
    installation.pass_time(1000)
    assert await store.reports("nodes") == {"long": b"2"}
    await store.report("nodes", "short", b"3", 1000)
    assert await store.reports("nodes") == {"short": b"3", "long": b"2"}
    installation.pass_time(60_000)
    assert await store.reports("nodes") == {}
