"""
Which node of a cluster has which hash slot.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from redis.crc import key_slot

Node = tuple[str, int]
"""Host and port of a master."""

SlotMap = dict[int, Node]
"""Slots that no node has are not in it."""

MOST_NAMES = 1024
"""More than there are partitions."""


def read_slots(answer: Any, asked: str) -> SlotMap:
    """
    Read what a node answers to CLUSTER SLOTS.

    A node that does not know its own name leaves it out: it is the host that
    was `asked`.
    """
    slots: SlotMap = {}
    for first, last, (host, port, *_), *_ in answer:
        node = (host.decode() if host and host != b"?" else asked, int(port))
        slots.update(dict.fromkeys(range(first, last + 1), node))
    return slots


@lru_cache(MOST_NAMES)
def slot_of(name: str) -> int:
    """The hash slot of a key or channel."""
    return key_slot(name.encode())


def node_of(name: str, slots: SlotMap) -> Node | None:
    """The node that has the key or channel; None if nobody has its slot."""
    return slots.get(slot_of(name))


def by_node(roots: Sequence[str], slots: SlotMap) -> dict[Node, list[int]]:
    """Which partitions each node has. One whose slot nobody has is left out."""
    found: dict[Node, list[int]] = {node: [] for node in set(slots.values())}
    for partition, root in enumerate(roots):
        if (node := node_of(root, slots)) is not None:
            found[node].append(partition)
    return found
