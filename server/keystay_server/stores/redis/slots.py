"""
Which node of a cluster has which hash slot.
"""

import secrets
from collections.abc import Iterable, Sequence
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


def node_of(name: bytes, slots: SlotMap) -> Node | None:
    """The node that has the key or channel; None if nobody has its slot."""
    return slots.get(key_slot(name))


def neighbours(name: str, others: Sequence[str], slots: SlotMap) -> Sequence[str]:
    """Those of the others that are on the same node, as far as is known; all if none is."""
    node = node_of(name.encode(), slots)
    return [other for other in others if node_of(other.encode(), slots) == node] or others


def word_on(node: Node, slots: SlotMap) -> str:
    """A new word whose slot is on the node, which must have one."""
    while True:
        word = secrets.token_hex(8)
        if node_of(word.encode(), slots) == node:
            return word


def moved(channels: Iterable[bytes], node: Node, slots: SlotMap) -> dict[Node, list[bytes]]:
    """The channels that are no longer on the node, by where they are now."""
    found: dict[Node, list[bytes]] = {}
    for channel in channels:
        now = node_of(channel, slots)
        if now is not None and now != node:
            found.setdefault(now, []).append(channel)
    return found
