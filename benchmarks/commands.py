"""
CPU time of the server process for each command: `python -m benchmarks.commands`.

See README.md for what exactly is measured, and for results.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.closed_loop import Caller, run
from benchmarks.peer_servers import FLOOR, PEER, PEERS
from benchmarks.report import Report, command_line, option, ratio
from benchmarks.servers import STORES, Server, running, split_cores
from benchmarks.wire import Client, logged_in

# These take longer: a smaller number takes long enough.
LONG = ("session.restore", "session.login")
LONG_ARE_FEWER = 4


@dataclass(slots=True)
class Case:
    """One command on one server, and what each round showed."""

    server: Server
    method: str
    callers: list[Caller]
    cpu_us: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    def measure(self, commands: int) -> None:
        """Have the commands run, and add one round."""
        started, cpu_before = time.perf_counter_ns(), self.server.cpu_ns()
        run(self.callers, commands)
        cpu = self.server.cpu_ns() - cpu_before
        self.cpu_us.append(cpu / commands / 1000)
        self.busy.append(cpu / (time.perf_counter_ns() - started))

    def share_of(self, commands: int) -> int:
        """How many commands a round of this case has."""
        return commands // LONG_ARE_FEWER if self.method in LONG else commands


@dataclass(frozen=True, slots=True)
class Result:
    """CPU microseconds for each command: median, least and most over the rounds."""

    command: str
    server: str
    in_flight: int
    cpu_us: float
    least: float
    most: float
    ratio: float
    """To the `session.isValid` of the first server."""
    busy: float
    """The part of the time that the server was at work: near 1 if the clients were fast."""
    rounds: list[float]
    """CPU microseconds in each round."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured, and what."""

    connections: int = option(64, "connections to each server")
    commands: int = option(20_000, "commands in a round; a quarter for restore and login")
    warm_up: int = option(5_000, "commands before the first round")
    rounds: int = option(9, "rounds, all servers and commands in turn")
    stores: tuple[str, ...] = option(("memory", "sqlite"), f"of {','.join(STORES)}")
    peers: tuple[str, ...] = option((FLOOR, PEER), "ratios are to the first")
    in_flight: int = option(16, "commands that leave together, measured beside one at a time")


def measure(sizes: Sizes) -> Report:
    """Start all servers, and measure each command on each of them in turn."""
    with split_cores() as core, ExitStack() as cleanup:
        cases: list[Case] = []
        for name in (*sizes.peers, *sizes.stores):
            server = cleanup.enter_context(running(name, core, pings=False))
            opened = cleanup.enter_context(logged_in(server.connect, sizes.connections))
            cases += _cases(server, opened, sizes.in_flight)
        for case in cases:
            run(case.callers, case.share_of(sizes.warm_up))
        for number in range(sizes.rounds):
            # To and fro, so that no case is always the first after a pause.
            for case in cases if number % 2 == 0 else reversed(cases):
                case.measure(case.share_of(sizes.commands))
    columns = {"command": "", "server": "", "in_flight": "d", "cpu_us": ".1f", "least": ".1f"}
    columns |= {"most": ".1f", "ratio": ".2f", "busy": ".2f"}
    return Report("CPU microseconds per command", columns, _results(cases))


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print what it showed."""
    command_line(Sizes, measure, __doc__, arguments)


def _cases(server: Server, opened: list[tuple[Client, str]], in_flight: int) -> list[Case]:
    calls: dict[str, Callable[[str], tuple[Any, ...]]] = {"session.isValid": lambda key: (key,)}
    if server.name not in PEERS:
        calls["time.now"] = lambda key: ()
    if server.name not in (*PEERS, "memory"):
        calls["session.restore"] = lambda key: (key,)
        calls["session.login"] = lambda key: ("anonymous",)
    cases = []
    for method, params in calls.items():
        is_right = RIGHT.get(method, _is_session)
        # The peers take one frame at a time, and logins wait for one another.
        many = in_flight if server.name not in PEERS and method not in LONG else 1
        for number in dict.fromkeys((1, many)):
            callers = [
                Caller(client, client.dialect.command(method, *params(key)), is_right, number)
                for client, key in opened
            ]
            cases.append(Case(server, method, callers))
    return cases


def _is_empty_reply(messages: list[Any]) -> bool:
    return messages == [[1, 7, None, None]]


def _is_time(messages: list[Any]) -> bool:
    match messages:
        case [[1, 7, None, int(now)]]:
            return abs(now - time.time() * 1000) < 60_000
    return False


def _is_session(messages: list[Any]) -> bool:
    match messages:
        case [[2, "session.set", [pushed, _]], [1, 7, None, {"session": returned}]]:
            return bool(pushed == returned)
    return False


RIGHT = {"session.isValid": _is_empty_reply, "time.now": _is_time}


def _results(cases: list[Case]) -> list[Result]:
    peer = cases[0]
    return [
        Result(
            command=case.method,
            server=case.server.name,
            in_flight=case.callers[0].in_flight,
            cpu_us=median(case.cpu_us),
            least=min(case.cpu_us),
            most=max(case.cpu_us),
            ratio=ratio(case.cpu_us, peer.cpu_us),
            busy=median(case.busy),
            rounds=case.cpu_us,
        )
        for case in cases
    ]


if __name__ == "__main__":
    main()
