"""
Memory of the server process for each idle connection: `python -m benchmarks.idle`.

See README.md for what exactly is measured, and for results.
"""

import argparse
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from benchmarks.report import ratio, show
from benchmarks.servers import PEER, Server, allow_sockets, running, split_cores
from benchmarks.wire import logged_in

STORES = ("memory", "sqlite", "redis")
AT_ONCE = 250
"""Connections that log in together."""


@dataclass(frozen=True, slots=True)
class Result:
    """Bytes for each connection: median, least and most over the rounds."""

    server: str
    bytes_each: float
    least: float
    most: float
    ratio: float
    """To the peer."""


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print what it showed."""
    options = _parser().parse_args(arguments)
    allow_sockets(options.connections + options.warm_up)
    _, core = split_cores()
    names = (PEER, *options.stores.split(","))
    rounds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            rounds[name].append(_bytes_each(name, core, options.warm_up, options.connections))
    results = [
        Result(name, median(each), min(each), max(each), ratio(each, rounds[PEER]))
        for name, each in rounds.items()
    ]
    columns = {"server": "", "bytes_each": ".0f", "least": ".0f", "most": ".0f", "ratio": ".2f"}
    show("Bytes per idle connection", results, columns, as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=3000, metavar="N")
    parser.add_argument("--warm-up", type=int, default=500, metavar="N", help="opened before")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--stores", default="memory,sqlite", help=f"of {','.join(STORES)}")
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser


def _bytes_each(name: str, core: int, warm_up: int, connections: int) -> float:
    """What one more connection takes, in a server that has some already."""
    with ExitStack() as cleanup:
        server = cleanup.enter_context(running(name, core))
        _open(server, warm_up, cleanup)
        before = server.resident_bytes()
        _open(server, connections, cleanup)
        return (server.resident_bytes() - before) / connections


def _open(server: Server, count: int, cleanup: ExitStack) -> None:
    for begun in range(0, count, AT_ONCE):
        cleanup.enter_context(logged_in(server.address, min(AT_ONCE, count - begun)))


if __name__ == "__main__":
    main()
