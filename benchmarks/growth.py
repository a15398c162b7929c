"""
What a command costs while many connections are open: `python -m benchmarks.growth`.

See README.md for what exactly is measured, and for results.
"""

import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from benchmarks.closed_loop import Caller, run
from benchmarks.idle import open_sessions
from benchmarks.peer_servers import FLOOR, PEERS
from benchmarks.report import Report, command_line, option, ratio
from benchmarks.servers import STORES, Server, allow_sockets, running, split_cores
from benchmarks.wire import Client


@dataclass(frozen=True, slots=True)
class Result:
    """CPU microseconds for each `session.isValid`, over the rounds, and memory."""

    server: str
    connections: int
    asking: int
    cpu_us: float
    least: float
    most: float
    ratio: float
    """To the first server with as many connections."""
    bytes_each: float
    """Memory of the server process for each connection, above what it had with none."""
    rounds: list[float]
    """CPU microseconds in each round."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured, and what."""

    connections: tuple[int, ...] = option((100, 1000, 5000, 15_000), "open at the same time")
    asking: int = option(2000, "of them send commands, at random")
    commands: int = option(20_000, "commands at each size")
    rounds: int = option(3, "rounds, each with new processes, all servers in turn")
    stores: tuple[str, ...] = option(("sqlite",), f"of {','.join(STORES)}")
    peers: tuple[str, ...] = option((FLOOR,), f"of {','.join(PEERS)}; ratios are to the first")


@dataclass(frozen=True, slots=True)
class _Point:
    """What one size showed in one round."""

    cpu_us: float
    bytes_each: float


def measure(sizes: Sizes) -> Report:
    """Let the connections to one server after another grow in number, in every round."""
    allow_sockets(max(sizes.connections))
    names = (*sizes.peers, *sizes.stores)
    points: dict[tuple[str, int], list[_Point]] = {}
    with split_cores() as core:
        for number in range(sizes.rounds):
            for name in names if number % 2 == 0 else reversed(names):
                for size, point in _round(name, core, sizes):
                    points.setdefault((name, size), []).append(point)
    results = [
        _result(name, size, sizes, points) for size in sizes.connections for name in names
    ]
    columns = {"server": "", "connections": "d", "asking": "d", "cpu_us": ".1f"}
    columns |= {"least": ".1f", "most": ".1f", "ratio": ".2f", "bytes_each": ".0f"}
    return Report("CPU microseconds per session.isValid", columns, results)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print what it showed."""
    command_line(Sizes, measure, __doc__, arguments)


def _round(name: str, core: int, sizes: Sizes) -> list[tuple[int, _Point]]:
    found = []
    with ExitStack() as cleanup:
        server = cleanup.enter_context(running(name, core, pings=False))
        opened: list[tuple[Client, str]] = []
        empty = server.resident_bytes()
        for size in sizes.connections:
            opened += open_sessions(server, size - len(opened), cleanup)
            bytes_each = (server.resident_bytes() - empty) / size
            found.append((size, _Point(_cpu_us(server, opened, sizes), bytes_each)))
    return found


def _cpu_us(server: Server, opened: Sequence[tuple[Client, str]], sizes: Sizes) -> float:
    callers = [
        Caller(client, client.dialect.command("session.isValid", key), _is_valid)
        for client, key in random.sample(opened, min(sizes.asking, len(opened)))
    ]
    run(callers, sizes.commands // 4)
    before = server.cpu_ns()
    run(callers, sizes.commands)
    return (server.cpu_ns() - before) / sizes.commands / 1000


def _is_valid(messages: list[object]) -> bool:
    return messages == [[1, 7, None, None]]


def _result(
    name: str, size: int, sizes: Sizes, points: dict[tuple[str, int], list[_Point]]
) -> Result:
    found = points[name, size]
    first = (*sizes.peers, *sizes.stores)[0]
    cpu_us = [point.cpu_us for point in found]
    return Result(
        server=name,
        connections=size,
        asking=min(sizes.asking, size),
        cpu_us=median(cpu_us),
        least=min(cpu_us),
        most=max(cpu_us),
        ratio=ratio(cpu_us, [point.cpu_us for point in points[first, size]]),
        bytes_each=median(point.bytes_each for point in found),
        rounds=cpu_us,
    )


if __name__ == "__main__":
    main()
