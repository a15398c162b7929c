"""
What is aimed at, each goal with the figure of a run.
"""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.document import Document
from benchmarks.peer_servers import CENTRIFUGO, FLOOR, NODE

Figure = Callable[[Document], float | None]
EVENTS = ("everybody", "actor")


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure, and what it may be at most, or has to be at least."""

    work: str
    beside: str
    """What it is compared with; empty if it is a figure by itself."""
    limit: float
    figure: Figure
    unit: str = "x"
    at_least: bool = False

    def goal(self) -> str:
        """The limit, for readers."""
        return f"{'at least' if self.at_least else 'at most'} {self.limit:g} {self.unit}"

    def is_met(self, figure: float) -> bool:
        """Whether this is good enough."""
        return figure >= self.limit if self.at_least else figure <= self.limit


def goals() -> list[Goal]:
    """All of them."""
    return [*_commands(), *_events(), *_connections()]


def _commands() -> list[Goal]:
    beside_ours = "isValid, SQLite"
    valid = "session.isValid"
    return [
        Goal("isValid, memory", FLOOR, 1.4, _command(valid, "memory", FLOOR)),
        Goal("isValid, SQLite", FLOOR, 1.4, _command(valid, "sqlite", FLOOR)),
        Goal("isValid, SQLite", NODE, 1.0, _command(valid, "sqlite", NODE)),
        Goal("isValid, SQLite, 16 in flight", "one at a time", 0.5, _in_flight),
        Goal("isValid, 15,000 open, 2,000 asking", FLOOR, 1.6, _among_many),
        Goal("isValid, Valkey", beside_ours, 2.0, _command(valid, "redis", "sqlite")),
        Goal(
            "restore, SQLite", beside_ours, 2.0, _command("session.restore", "sqlite", "sqlite")
        ),
        Goal(
            "restore, Valkey", beside_ours, 2.5, _command("session.restore", "redis", "sqlite")
        ),
        Goal("login, SQLite", beside_ours, 4.0, _command("session.login", "sqlite", "sqlite")),
        Goal("login, Valkey", beside_ours, 4.0, _command("session.login", "redis", "sqlite")),
    ]


def _events() -> list[Goal]:
    works = {"everybody": "event to all of 3,000", "actor": "event to one actor with 3,000"}
    limits = {FLOOR: 1.4, NODE: 1.0, CENTRIFUGO: 0.5}
    return [
        Goal(works[to], peer, limit, _event(to, peer))
        for to in EVENTS
        for peer, limit in limits.items()
    ]


def _connections() -> list[Goal]:
    comes, first = "handshake + restore, Valkey", "handshake + login"
    return [
        Goal(comes, f"{first}, {FLOOR}", 2.0, _handshake(FLOOR)),
        Goal(comes, f"{first}, {NODE}", 1.0, _handshake(NODE)),
        Goal(
            "5,000 clients that return at once", "", 3150, _returns, "a second", at_least=True
        ),
        Goal("memory of an idle connection", "", 4.5, _idle_kib, "KiB"),
        Goal("CPU of an idle connection", "", 2.0, _idle_cpu, "us a second"),
        Goal("logout seen on another node, 10,000 open, p99", "", 5.0, _logout, "ms"),
    ]


def _command(method: str, server: str, beside: str) -> Figure:
    ours = {"command": method, "server": server, "in_flight": 1}
    theirs = {"command": "session.isValid", "server": beside, "in_flight": 1}
    return lambda document: document.ratio("commands", ours, theirs)


def _in_flight(document: Document) -> float | None:
    ours = {"command": "session.isValid", "server": "sqlite"}
    return document.ratio("commands", {**ours, "in_flight": 16}, {**ours, "in_flight": 1})


def _among_many(document: Document) -> float | None:
    size = {"connections": 15_000, "asking": 2000}
    return document.ratio("growth", {"server": "sqlite", **size}, {"server": FLOOR, **size})


def _event(to: str, peer: str) -> Figure:
    ours, theirs = {"server": "memory", "to": to}, {"server": peer, "to": "everybody"}
    return lambda document: document.ratio("events", ours, theirs)


def _handshake(peer: str) -> Figure:
    ours = {"server": "redis", "first": "session.restore"}
    theirs = {"server": peer, "first": "session.login"}
    return lambda document: document.ratio("handshakes", ours, theirs)


def _returns(document: Document) -> float | None:
    return document.value("propagation", "per_s", measurement="return", connections=5000)


def _idle_kib(document: Document) -> float | None:
    found = document.value("idle", "bytes_each", server="sqlite")
    return None if found is None else found / 1024


def _idle_cpu(document: Document) -> float | None:
    return document.value("idle", "cpu_us_per_s", server="sqlite")


def _logout(document: Document) -> float | None:
    return document.value("propagation", "p99_ms", measurement="logout", connections=10_000)
