"""
What a client and a server of Keystay agree on, without any I/O.

`SPEC.md`, one folder up, is the contract in words; `vectors/` beside it is the
contract in bytes. Read on in the order `frames`, `codec`, `commands`,
`events`, `session`, `errors`.
"""

__version__ = "0.1.0"

SUBPROTOCOL = "keystay.v1"
"""The WebSocket subprotocol of this version (SPEC section 1)."""
