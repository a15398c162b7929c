"""
Which node of a cluster has which hash slot.
"""

from collections.abc import Iterable
from typing import Any

from redis.crc import key_slot

Node = tuple[str, int]
"""Host and port of a master."""

SlotMap = dict[int, Node]
"""Slots that no node has are not in it."""


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


def moved(channels: Iterable[bytes], node: Node, slots: SlotMap) -> dict[Node, list[bytes]]:
    """The channels that are no longer on the node, by where they are now."""
    found: dict[Node, list[bytes]] = {}
    for channel in channels:
        now = slots.get(key_slot(channel), node)
        if now != node:
            found.setdefault(now, []).append(channel)
    return found
