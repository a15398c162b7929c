"""
The protocol between client and server, without I/O.

`SPEC.md`, one folder up, specifies it; `vectors/`, beside it, has test vectors. Reading order:
`frames`, `codec`, `commands`, `events`, `session`, `errors`.
"""

__version__ = "0.1.0"

SUBPROTOCOL = "keystay.v1"
"""The WebSocket subprotocol of this version (SPEC section 1)."""
