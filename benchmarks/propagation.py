"""
How soon clients get events, on two nodes and one Valkey: `python -m benchmarks.propagation`.

See README.md for what exactly is measured, and for results.
"""

import argparse
from dataclasses import dataclass, field

import uvloop

from benchmarks.delays import PAIRS, come_back, expire_together, log_out_elsewhere
from benchmarks.report import show
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


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print what it showed."""
    options = _parser().parse_args(arguments)
    sizes = [int(size) for size in options.connections.split(",")]
    allow_sockets(max(*sizes, options.expiring, options.returning) + 2 * PAIRS)
    logouts = [Case("logout", size) for size in sizes]
    expiry = Case("expiry", options.expiring)
    storm = Case("return", options.returning, is_rush=True)
    for _ in range(options.rounds):
        with two_nodes("--session-timeout-s", "0") as nodes:
            for case in logouts:
                delays = uvloop.run(log_out_elsewhere(nodes, case.connections, options.logouts))
                case.rounds.append(delays)
            delays = uvloop.run(expire_together(nodes, options.expiring, options.within_ms))
            expiry.rounds.append(delays)
            storm.rounds.append(uvloop.run(come_back(nodes, options.returning)))
    columns = {"measurement": "", "connections": "", "delays": "", "p50_ms": ".1f"}
    columns |= {"p99_ms": ".1f", "max_ms": ".1f", "per_s": ".0f"}
    results = [case.result() for case in (*logouts, expiry, storm)]
    show("Milliseconds until clients get an event", results, columns, as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--connections", default="1000,10000", metavar="N,N", help="held while others log out"
    )
    parser.add_argument("--logouts", type=int, default=1000, metavar="N", help="at each size")
    parser.add_argument("--expiring", type=int, default=10_000, metavar="N", help="sessions")
    parser.add_argument(
        "--within-ms", type=int, default=1000, metavar="MS", help="their deadlines, at random"
    )
    parser.add_argument("--returning", type=int, default=5000, metavar="N", help="clients")
    parser.add_argument("--rounds", type=int, default=2, metavar="N")
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser


if __name__ == "__main__":
    main()
