"""
How many file descriptors are for clients, and how many are kept back.
"""

import os

import pytest

from keystay_server.node.descriptors import (
    backend_connections,
    client_descriptors,
    next_descriptor,
)


@pytest.mark.parametrize(
    ("limit", "for_clients", "for_backends"),
    [
        (None, 0, 1024),
        (65_536, 64_256, 1024),
        (1024, 768, 205),
        (256, 192, 48),
        (128, 96, 16),
        (64, 32, 16),
        (16, 1, 16),
    ],
)
def test_a_part_of_the_descriptors_is_kept_back(
    limit: int | None, for_clients: int, for_backends: int
) -> None:
    """A quarter, from 32 to 1280; what backends do not take of it is for the store."""
    assert client_descriptors(limit) == for_clients
    assert backend_connections(limit, 1024) == for_backends


def test_the_next_descriptor_is_the_lowest_free_number() -> None:
    """It tells how many are in use."""
    free = next_descriptor()
    assert free is not None
    taken = os.open(os.devnull, os.O_RDONLY)
    try:
        assert taken == free
        following = next_descriptor()
        assert following is not None
        assert following > free
    finally:
        os.close(taken)
