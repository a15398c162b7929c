"""
The few figures of a run that the README and the page about capacity show.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.document import Document
from benchmarks.names import label
from benchmarks.peer_servers import CENTRIFUGO, FLOOR, NODE, SOCKET_IO

QUIET = 1.0
"""The load average of a machine that runs little else."""
PEERS = (FLOOR, NODE, SOCKET_IO, CENTRIFUGO)


def readme_head(document: Document) -> str:
    """What was measured on, and whether it did other things meanwhile."""
    most = max((measured.load for measured in document.reports.values()), default=0.0)
    busy = f" at a load of up to {most:.1f}" if most > QUIET else ""
    return f"measured on {document.machine['cpu'].split()[0]} cores{busy}"


def readme(document: Document) -> list[list[str]]:
    """What it is, and the figure."""
    logout = document.one("propagation", measurement="logout", connections=10_000)
    idle = document.one("idle", server="sqlite")
    rows = []
    if logout is not None:
        delays = f"p50 {logout['p50_ms']:.1f} ms, p99 {logout['p99_ms']:.1f} ms"
        rows.append(["a logout reaches another node, 10,000 connections", delays])
    if idle is not None:
        memory = f"{_kb(idle['bytes_each'])}; bare websockets {_kb(_websockets(document))}"
        rows.append(["memory of an idle connection, session included", memory])
    rows.append(["CPU of `session.isValid`", _commands(document)])
    rows.append(["CPU of an event, each client", _events(document)])
    return rows


def capacity(document: Document) -> list[list[str]]:
    """What it is, the figure, and the command that measures it."""
    rows = []
    for what, benchmark, wanted, show in _CAPACITY:
        result = document.one(benchmark, **wanted)
        if result is not None:
            rows.append([what, show(result), f"`python -m benchmarks.{benchmark}`"])
    return rows


def _websockets(document: Document) -> float:
    return document.value("idle", "bytes_each", server="bare websockets") or 0.0


def _commands(document: Document) -> str:
    work = {"command": "session.isValid", "in_flight": 1}
    return _beside(document, "commands", "sqlite", work)


def _events(document: Document) -> str:
    return _beside(document, "events", "memory", {"to": "everybody"})


def _beside(document: Document, benchmark: str, ours: str, work: dict[str, Any]) -> str:
    """A figure of ours, and those of the peers in the same run."""
    own = document.value(benchmark, "cpu_us", server=ours, **work)
    found = {peer: document.value(benchmark, "cpu_us", server=peer, **work) for peer in PEERS}
    peers = [f"{label(peer)} {value:.0f}" for peer, value in found.items() if value is not None]
    return "; ".join(["-" if own is None else f"{own:.0f} us", *peers])


def _kb(size: float) -> str:
    return f"{size / 1000:.1f} KB"


def _ms(result: dict[str, Any]) -> str:
    return f"{result['cpu_us'] / 1000:.2g} ms"


Row = tuple[str, str, dict[str, Any], Callable[[dict[str, Any]], str]]


def _command(name: str, store: str, called: str) -> Row:
    wanted = {"command": f"session.{name}", "server": store, "in_flight": 1}
    return (f"CPU of one {name}, {called}", "commands", wanted, _ms)


_SQLITE, _REDIS = {"store": "sqlite"}, {"store": "redis"}
_CAPACITY: list[Row] = [
    (
        "one stored session, SQLite: memory of the server",
        "stored",
        _SQLITE,
        lambda r: _kb(r["server_bytes"]),
    ),
    ("the same: disk", "stored", _SQLITE, lambda r: _kb(r["store_bytes"])),
    (
        "one stored session, Valkey: memory of Valkey",
        "stored",
        _REDIS,
        lambda r: _kb(r["kept_bytes"]),
    ),
    (
        "more of it, while the actor had an event in the last 10 minutes",
        "stored",
        _REDIS,
        lambda r: _kb(r["store_bytes"] - r["kept_bytes"]),
    ),
    (
        "one idle connection, its session included",
        "idle",
        {"server": "sqlite"},
        lambda r: _kb(r["bytes_each"]),
    ),
    _command("login", "sqlite", "SQLite"),
    _command("login", "redis", "Valkey"),
    _command("restore", "sqlite", "SQLite"),
    _command("restore", "redis", "Valkey"),
    (
        "clients that come back at once to one node, Valkey",
        "propagation",
        {"measurement": "return"},
        lambda r: f"{r['per_s']:,.0f} a second",
    ),
]
