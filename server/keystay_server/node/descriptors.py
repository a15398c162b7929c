"""
File descriptors: how many are for clients, and how many are kept back.

The system gives out the lowest free number. So the number of a new descriptor tells how many
are in use, and those above a number stay free if clients get none of them.
"""

import os

MIN_RESERVED, MAX_RESERVED = 32, 1280
MIN_STORE = 16


def descriptor_limit() -> int | None:
    """The limit of this process (`ulimit -n`); None if there is none."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if limit == resource.RLIM_INFINITY else limit


def client_descriptors(limit: int | None) -> int:
    """The lowest number of a descriptor that is not for clients; 0: all are."""
    return 0 if limit is None else max(1, limit - _reserved(limit))


def backend_connections(limit: int | None, most: int) -> int:
    """How many connections of backends fit into the reserve beside the store, up to `most`."""
    if limit is None:
        return most
    reserved = _reserved(limit)
    return max(1, min(most, reserved - max(MIN_STORE, reserved // 5)))


def next_descriptor() -> int | None:
    """The number that the next descriptor will have; None if there is none left."""
    try:
        descriptor = os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return None
    os.close(descriptor)
    return descriptor


def _reserved(limit: int) -> int:
    return min(MAX_RESERVED, max(MIN_RESERVED, limit // 4))
