"""
CPU time of the server process for each command: `python -m benchmarks.commands`.

See README.md for what exactly is measured, and for results.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.closed_loop import Caller, run
from benchmarks.report import ratio, show
from benchmarks.servers import FLOOR, NODE, PEER, PEERS, Server, running, split_cores
from benchmarks.wire import Client, command, logged_in

STORES = ("memory", "sqlite", "redis")
# These write, and wait for the disk: a smaller number takes long enough.
WRITES = ("session.restore", "session.login")
WRITES_ARE_FEWER = 4


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
        return commands // WRITES_ARE_FEWER if self.method in WRITES else commands


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
    """To the `session.isValid` of the first peer."""
    busy: float
    """The part of the time that the server was at work: near 1 if the clients were fast."""


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print what it showed."""
    options = _parser().parse_args(arguments)
    _, core = split_cores()
    with ExitStack() as cleanup:
        cases: list[Case] = []
        for name in (*options.peers.split(","), *options.stores.split(",")):
            server = cleanup.enter_context(running(name, core, pings=False))
            opened = cleanup.enter_context(logged_in(server.address, options.connections))
            cases += _cases(server, opened, options.in_flight)
        for case in cases:
            run(case.callers, case.share_of(options.warm_up))
        for number in range(options.rounds):
            # To and fro, so that no case is always the first after a pause.
            for case in cases if number % 2 == 0 else reversed(cases):
                case.measure(case.share_of(options.commands))
    columns = {
        "command": "",
        "server": "",
        "in_flight": "d",
        "cpu_us": ".1f",
        "least": ".1f",
        "most": ".1f",
    }
    columns |= {"ratio": ".2f", "busy": ".2f"}
    show("CPU microseconds per command", _results(cases), columns, as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=64, metavar="N")
    parser.add_argument("--commands", type=int, default=20_000, metavar="N", help="in a round")
    parser.add_argument(
        "--warm-up", type=int, default=5_000, metavar="N", help="commands before"
    )
    parser.add_argument("--rounds", type=int, default=9, metavar="N")
    parser.add_argument(
        "--stores",
        default="memory,sqlite",
        help=f"of {','.join(STORES)}; redis runs a Valkey on the core of the clients",
    )
    parser.add_argument(
        "--peers",
        default=f"{FLOOR},{PEER}",
        help=f"of {','.join((FLOOR, PEER, NODE))}; ratios are to the first",
    )
    parser.add_argument(
        "--in-flight",
        type=int,
        default=16,
        metavar="N",
        help="commands that leave together, measured beside one at a time",
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser


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
        many = in_flight if server.name not in PEERS and method not in WRITES else 1
        for number in dict.fromkeys((1, many)):
            callers = [
                Caller(client, command(method, *params(key)), is_right, number)
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
        )
        for case in cases
    ]


if __name__ == "__main__":
    main()
