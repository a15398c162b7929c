"""
How soon clients get events, on two nodes and one Valkey: `python -m benchmarks.propagation`.

See README.md for what exactly is measured, and for results.
"""

from dataclasses import dataclass, field

import uvloop

from benchmarks.delays import PAIRS, come_back, expire_together, log_out_elsewhere
from benchmarks.report import Report, command_line, option
from benchmarks.servers import allow_sockets, two_nodes


@dataclass(slots=True)
class Case:
    """One measurement at one size, and the delays that each round showed."""

    name: str
    connections: int
    is_rush: bool = False
    """Whether all begin at once, so that the last delay is the time that all of them take."""
    rounds: list[list[float]] = field(default_factory=list)

    def result(self) -> "Result":
        """What all rounds together showed."""
        delays_ms = sorted(1000 * delay for each in self.rounds for delay in each)
        return Result(
            measurement=self.name,
            connections=self.connections,
            delays=len(delays_ms),
            p50_ms=delays_ms[len(delays_ms) // 2],
            p99_ms=delays_ms[len(delays_ms) * 99 // 100],
            max_ms=delays_ms[-1],
            per_s=min(len(each) / max(each) for each in self.rounds) if self.is_rush else None,
        )


@dataclass(frozen=True, slots=True)
class Result:
    """Milliseconds, over the delays of all rounds."""

    measurement: str
    connections: int
    delays: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    per_s: float | None
    """How many in a second, in the slowest round of a rush."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    connections: tuple[int, ...] = option((1000, 10_000), "held while others log out")
    logouts: int = option(1000, "logouts at each size")
    expiring: int = option(10_000, "sessions that expire")
    within_ms: int = option(1000, "their deadlines, at random")
    returning: int = option(5000, "clients whose node is killed")
    rounds: int = option(2, "rounds, each with new processes")


def measure(sizes: Sizes) -> Report:
    """Run two nodes, and note when clients get what."""
    allow_sockets(max(*sizes.connections, sizes.expiring, sizes.returning) + 2 * PAIRS)
    logouts = [Case("logout", size) for size in sizes.connections]
    expiry = Case("expiry", sizes.expiring)
    storm = Case("return", sizes.returning, is_rush=True)
    for _ in range(sizes.rounds):
        with two_nodes("--session-timeout-s", "0") as nodes:
            for case in logouts:
                delays = uvloop.run(log_out_elsewhere(nodes, case.connections, sizes.logouts))
                case.rounds.append(delays)
            delays = uvloop.run(expire_together(nodes, sizes.expiring, sizes.within_ms))
            expiry.rounds.append(delays)
            storm.rounds.append(uvloop.run(come_back(nodes, sizes.returning)))
    columns = {"measurement": "", "connections": "", "delays": "", "p50_ms": ".1f"}
    columns |= {"p99_ms": ".1f", "max_ms": ".1f", "per_s": ".0f"}
    results = [case.result() for case in (*logouts, expiry, storm)]
    return Report("Milliseconds until clients get an event", columns, results)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print what it showed."""
    command_line(Sizes, measure, __doc__, arguments)


if __name__ == "__main__":
    main()
