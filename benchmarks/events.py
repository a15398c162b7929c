"""
CPU time of the server process for each event that is delivered: `python -m benchmarks.events`.

See README.md for what exactly is measured, and for results.
"""

import argparse
import http.client
import json
import os
import select
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from statistics import median

from benchmarks.report import ratio, show
from benchmarks.servers import (
    API_KEY,
    FLOOR,
    PEERS,
    Server,
    allow_sockets,
    running,
    split_cores,
)
from benchmarks.wire import ANSWER_S, Client, command

ACTOR = "all-of-us"
DATA = {"team": "red", "score": [3, 4], "scorer": {"id": "player:7", "name": "Zoë", "shirt": 9}}
NAME = "score.set"
TAKEN_AT_ONCE = 1 << 20


@dataclass(slots=True)
class Case:
    """A server whose connections all get every event, and what each round showed."""

    server: str
    to: str
    publish: Callable[[], None]
    cpu_ns: Callable[[], int]
    taker: "Taker"
    cpu_us: list[float] = field(default_factory=list)

    def measure(self, events: int) -> None:
        """Publish this many, have each taken by everybody, and add one round."""
        before = self.cpu_ns()
        for _ in range(events):
            self.publish()
            self.taker.take()
        self.cpu_us.append((self.cpu_ns() - before) / (events * self.taker.count) / 1000)


class Taker:
    """Takes one event from each of the connections, which must all get as many bytes."""

    def __init__(self, clients: list[Client], epoll: select.epoll) -> None:
        self.count = len(clients)
        self._epoll = epoll
        self._bytes = 0
        for client in clients:
            client.socket.setblocking(False)
            epoll.register(client.socket.fileno(), select.EPOLLIN)

    def learn(self) -> None:
        """Take the first event from everybody: its length is that of all that follow."""
        missing, sizes = self.count, set[int]()
        while missing:
            for fd, _ in self._ready():
                sizes.add(len(os.read(fd, TAKEN_AT_ONCE)))
                missing -= 1
        [self._bytes] = sizes

    def take(self) -> None:
        """Take one more from everybody."""
        missing = self.count * self._bytes
        while missing > 0:
            for fd, _ in self._ready():
                missing -= len(os.read(fd, TAKEN_AT_ONCE))
        assert missing == 0, "more came than was published"

    def _ready(self) -> list[tuple[int, int]]:
        ready = self._epoll.poll(ANSWER_S)
        assert ready, "an event did not come"
        return ready


@dataclass(frozen=True, slots=True)
class Result:
    """CPU microseconds for each event and connection: median and extremes over the rounds."""

    server: str
    to: str
    cpu_us: float
    least: float
    most: float
    ratio: float
    """To the first server."""


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print what it showed."""
    options = _parser().parse_args(arguments)
    names = [*options.peers.split(","), *options.stores.split(",")]
    allow_sockets((options.connections + 1) * 2 * len(names))
    _, core = split_cores()
    with ExitStack() as cleanup:
        cases = [
            cleanup.enter_context(_case(name, to, core, options.connections))
            for name in names
            for to in (("everybody",) if name in PEERS else ("everybody", "actor"))
        ]
        for case in cases:
            case.publish()
            case.taker.learn()
        for number in range(options.rounds):
            for case in cases if number % 2 == 0 else reversed(cases):
                case.measure(options.events)
    first = cases[0].cpu_us
    results = [
        Result(
            c.server,
            c.to,
            median(c.cpu_us),
            min(c.cpu_us),
            max(c.cpu_us),
            ratio(c.cpu_us, first),
        )
        for c in cases
    ]
    columns = {"server": "", "to": "", "cpu_us": ".2f", "least": ".2f", "most": ".2f"}
    title = f"CPU microseconds per event and connection, {options.connections} connections"
    show(title, results, {**columns, "ratio": ".2f"}, as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=3000, metavar="N")
    parser.add_argument("--events", type=int, default=5, metavar="N", help="in a round")
    parser.add_argument("--rounds", type=int, default=7, metavar="N")
    parser.add_argument("--stores", default="memory", help="of memory,sqlite,redis")
    parser.add_argument("--peers", default=FLOOR, help=f"of {','.join(PEERS)}")
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser


@contextmanager
def _case(name: str, to: str, core: int, connections: int) -> Iterator[Case]:
    """A server with connections that are all subscribed to everything."""
    with ExitStack() as cleanup:
        server = cleanup.enter_context(running(name, core, pings=False))
        clients = [
            cleanup.enter_context(closing(Client(*server.address))) for _ in range(connections)
        ]
        credentials = [{"actorId": ACTOR}] if to == "actor" else []
        for client in clients:
            client.send(command("session.login", "anonymous", *credentials))
            client.key_of_login()
        if name not in PEERS:
            for client in clients:
                client.send(command("events.subscribe", [NAME]))
            for client in clients:
                client.receive()
            publish = cleanup.enter_context(_by_backend(server, to))
        else:
            publish = cleanup.enter_context(_by_client(server))
        epoll = cleanup.enter_context(select.epoll())
        yield Case(name, to, publish, server.cpu_ns, Taker(clients, epoll))


@contextmanager
def _by_client(server: Server) -> Iterator[Callable[[], None]]:
    """A peer publishes what a client says; this one is not counted among the others."""
    with closing(Client(*server.address)) as client:

        def publish() -> None:
            client.send(command("pub", NAME, DATA))
            client.receive()  # The event comes to this one too, before or after the reply.
            client.receive()

        yield publish


@contextmanager
def _by_backend(server: Server, to: str) -> Iterator[Callable[[], None]]:
    assert server.control is not None
    headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
    path = f"/v1/actors/{ACTOR}/events" if to == "actor" else "/v1/broadcast"
    body = json.dumps({"name": NAME, "data": DATA})
    with closing(http.client.HTTPConnection(*server.control, timeout=ANSWER_S)) as control:

        def publish() -> None:
            control.request("POST", path, body, headers)
            answer = control.getresponse()
            said = answer.read()
            assert answer.status < 300, (answer.status, said)

        yield publish


if __name__ == "__main__":
    main()
