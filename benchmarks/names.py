"""
What servers are called where people read of them.
"""

KEYSTAY = {
    "memory": "Keystay, memory",
    "sqlite": "Keystay, SQLite",
    "redis": "Keystay, Valkey",
}
PEERS = {"node ws": "Node ws", "socket.io": "Socket.IO", "centrifugo": "Centrifugo"}


def label(server: str) -> str:
    """The name of a server, Keystay's by its store."""
    return KEYSTAY.get(server) or PEERS.get(server, server)
