"""
What a store holds of a session key: its SHA-256, by which it is looked up.

The time that a look-up takes tells nothing about a secret of 256 random bits.
"""

import hashlib


def digest_of(key: str) -> bytes:
    """Return the 32 bytes that a store may hold of a key."""
    return hashlib.sha256(key.encode()).digest()
