"""
CPU time of the server process for each event that is delivered: `python -m benchmarks.events`.

See README.md for what exactly is measured, and for results.
"""

import http.client
import json
import os
import select
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.dialects import CHANNEL
from benchmarks.peer_servers import CENTRIFUGO, FLOOR, PEERS
from benchmarks.report import Report, command_line, option, ratio
from benchmarks.servers import API_KEY, STORES, Server, allow_sockets, running, split_cores
from benchmarks.wire import ANSWER_S, Client

ACTOR = "all-of-us"
DATA = {"team": "red", "score": [3, 4], "scorer": {"id": "player:7", "name": "Zoë", "shirt": 9}}
NAME = "score.set"
TAKEN_AT_ONCE = 1 << 20
MANY = ("--max-sessions", "0")
"""One actor has as many sessions as there are connections."""


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
    rounds: list[float]
    """CPU microseconds in each round."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured, and what."""

    connections: int = option(3000, "connections that get each event")
    events: int = option(5, "events in a round")
    rounds: int = option(7, "rounds, all servers in turn")
    stores: tuple[str, ...] = option(("memory",), f"of {','.join(STORES)}")
    peers: tuple[str, ...] = option((FLOOR,), f"of {','.join(PEERS)}; ratios are to the first")


def measure(sizes: Sizes) -> Report:
    """Start all servers, and publish events on each of them in turn."""
    names = [*sizes.peers, *sizes.stores]
    # One server at a time gets its clients; all keep them.
    allow_sockets((sizes.connections + 1) * (len(sizes.peers) + 2 * len(sizes.stores)))
    with split_cores() as core, ExitStack() as cleanup:
        cases = [
            cleanup.enter_context(_case(name, to, core, sizes.connections))
            for name in names
            for to in (("everybody",) if name in PEERS else ("everybody", "actor"))
        ]
        for case in cases:
            case.publish()
            case.taker.learn()
        for number in range(sizes.rounds):
            for case in cases if number % 2 == 0 else reversed(cases):
                case.measure(sizes.events)
    columns = {"server": "", "to": "", "cpu_us": ".2f", "least": ".2f", "most": ".2f"}
    title = f"CPU microseconds per event and connection, {sizes.connections} connections"
    return Report(title, {**columns, "ratio": ".2f"}, _results(cases))


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print what it showed."""
    command_line(Sizes, measure, __doc__, arguments)


def _results(cases: list[Case]) -> list[Result]:
    first = cases[0].cpu_us
    return [
        Result(
            server=case.server,
            to=case.to,
            cpu_us=median(case.cpu_us),
            least=min(case.cpu_us),
            most=max(case.cpu_us),
            ratio=ratio(case.cpu_us, first),
            rounds=case.cpu_us,
        )
        for case in cases
    ]


@contextmanager
def _case(name: str, to: str, core: int, connections: int) -> Iterator[Case]:
    """A server with connections that all get every event."""
    with ExitStack() as cleanup:
        server = cleanup.enter_context(running(name, core, pings=False, flags=MANY))
        clients = [cleanup.enter_context(closing(server.connect())) for _ in range(connections)]
        if server.dialect.has_sessions:
            _log_in(clients, [{"actorId": ACTOR}] if to == "actor" else [])
        if name not in PEERS:
            _subscribe(clients)
        by = _by_backend if server.control else _by_client
        publish = cleanup.enter_context(by(server, to))
        epoll = cleanup.enter_context(select.epoll())
        yield Case(name, to, publish, server.cpu_ns, Taker(clients, epoll))


def _log_in(clients: list[Client], credentials: list[Any]) -> None:
    for client in clients:
        client.send(client.dialect.command("session.login", "anonymous", *credentials))
        client.key_of_login()


def _subscribe(clients: list[Client]) -> None:
    for client in clients:
        client.send(client.dialect.command("events.subscribe", [NAME]))
    for client in clients:
        client.receive()


@contextmanager
def _by_client(server: Server, _: str) -> Iterator[Callable[[], None]]:
    """A peer publishes what a client says; this one is not counted among the others."""
    with closing(server.connect()) as client:

        def publish() -> None:
            client.send(client.dialect.command("pub", NAME, DATA))
            client.receive()  # The event comes to this one too, before or after the reply.
            client.receive()

        yield publish


@contextmanager
def _by_backend(server: Server, to: str) -> Iterator[Callable[[], None]]:
    assert server.control is not None
    headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
    path = f"/v1/actors/{ACTOR}/events" if to == "actor" else "/v1/broadcast"
    request: dict[str, Any] = {"name": NAME, "data": DATA}
    if server.name == CENTRIFUGO:
        headers = {"X-API-Key": API_KEY, "Content-Type": "application/json"}
        path, request = "/api/publish", {"channel": CHANNEL, "data": request}
    body = json.dumps(request)
    with closing(http.client.HTTPConnection(*server.control, timeout=ANSWER_S)) as control:

        def publish() -> None:
            control.request("POST", path, body, headers)
            answer = control.getresponse()
            said = answer.read()
            assert answer.status < 300, (answer.status, said)

        yield publish


if __name__ == "__main__":
    main()
