"""
What an idle connection takes, memory and CPU time: `python -m benchmarks.idle`.

See README.md for what exactly is measured, and for results.
"""

import select
import time
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from benchmarks.peer_servers import PEER
from benchmarks.report import Report, command_line, option, ratio
from benchmarks.servers import STORES, Server, allow_sockets, running, split_cores
from benchmarks.wire import RECEIVE_BYTES, Client, logged_in, pong, split

AT_ONCE = 250
"""Connections that log in together."""


@dataclass(frozen=True, slots=True)
class Result:
    """For each connection: median, least and most over the rounds."""

    server: str
    bytes_each: float
    least: float
    most: float
    ratio: float
    """Of the bytes, to the peer."""
    cpu_us_per_s: float | None
    """CPU microseconds a second, pings and their answers included; None: not measured."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured, and what."""

    connections: int = option(3000, "connections that are counted")
    warm_up: int = option(500, "connections opened before")
    rounds: int = option(3, "rounds, each with new processes")
    stores: tuple[str, ...] = option(("memory", "sqlite"), f"of {','.join(STORES)}")
    idle_s: float = option(0.0, "seconds of CPU time; a ping comes every 20 s")


@dataclass(frozen=True, slots=True)
class _Round:
    bytes_each: float
    cpu_us_per_s: float | None


def measure(sizes: Sizes) -> Report:
    """Open connections to one server after another, and leave them alone."""
    allow_sockets(sizes.connections + sizes.warm_up)
    names = (PEER, *sizes.stores)
    rounds: dict[str, list[_Round]] = {name: [] for name in names}
    with split_cores() as core:
        for _ in range(sizes.rounds):
            for name in names:
                rounds[name].append(_round(name, core, sizes))
    columns = {"server": "", "bytes_each": ".0f", "least": ".0f", "most": ".0f", "ratio": ".2f"}
    results = [_result(name, each, rounds[PEER]) for name, each in rounds.items()]
    title = f"Bytes per idle connection, {sizes.warm_up + sizes.connections} connections"
    return Report(title, {**columns, "cpu_us_per_s": ".2f"}, results)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print what it showed."""
    command_line(Sizes, measure, __doc__, arguments)


def _result(name: str, rounds: list[_Round], peer: list[_Round]) -> Result:
    each = [round_.bytes_each for round_ in rounds]
    cpu = [round_.cpu_us_per_s for round_ in rounds if round_.cpu_us_per_s is not None]
    return Result(
        server=name,
        bytes_each=median(each),
        least=min(each),
        most=max(each),
        ratio=ratio(each, [round_.bytes_each for round_ in peer]),
        cpu_us_per_s=median(cpu) if cpu else None,
    )


def _round(name: str, core: int, sizes: Sizes) -> _Round:
    """What one more connection takes, in a server that has some already."""
    with ExitStack() as cleanup:
        server = cleanup.enter_context(running(name, core))
        clients = open_clients(server, sizes.warm_up, cleanup)
        before = server.resident_bytes()
        clients += open_clients(server, sizes.connections, cleanup)
        bytes_each = (server.resident_bytes() - before) / sizes.connections
        if not sizes.idle_s:
            return _Round(bytes_each, None)
        answer_pings(clients, 1.0)  # Until what the logins left to do is done.
        cpu_before = server.cpu_ns()
        answer_pings(clients, sizes.idle_s)
        cpu_us = (server.cpu_ns() - cpu_before) / 1000
        return _Round(bytes_each, cpu_us / sizes.idle_s / len(clients))


def open_clients(server: Server, count: int, cleanup: ExitStack) -> list[Client]:
    """Connections that are bound to a session each."""
    return [client for client, _ in open_sessions(server, count, cleanup)]


def open_sessions(server: Server, count: int, cleanup: ExitStack) -> list[tuple[Client, str]]:
    """Connections that are bound to a session each, with its key."""
    opened: list[tuple[Client, str]] = []
    for begun in range(0, count, AT_ONCE):
        batch = logged_in(server.connect, min(AT_ONCE, count - begun))
        opened += cleanup.enter_context(batch)
    return opened


def answer_pings(clients: list[Client], seconds: float) -> None:
    """Answer the pings of a server, and do nothing else, for this long."""
    deadline = time.monotonic() + seconds
    client_of = {client.socket.fileno(): client for client in clients}
    with select.epoll() as epoll:
        for fd in client_of:
            epoll.register(fd, select.EPOLLIN)
        while (left := deadline - time.monotonic()) > 0:
            for fd, _ in epoll.poll(left):
                client = client_of[fd]
                frame = split(client.socket.recv(RECEIVE_BYTES))
                assert frame is not None
                assert frame[0], "a server that is idle sends pings alone"
                client.send(pong(frame[1]))


if __name__ == "__main__":
    main()
