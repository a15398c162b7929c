"""
CPU time of the server process for each client that comes: `python -m benchmarks.handshakes`.

See README.md for what exactly is measured, and for results.
"""

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from statistics import median

from benchmarks.peer_servers import FLOOR, PEERS
from benchmarks.report import Report, command_line, option, ratio
from benchmarks.servers import STORES, Server, running, split_cores
from benchmarks.wire import Client


@dataclass(slots=True)
class Case:
    """What clients of a server do first, and what each round showed."""

    server: Server
    first: str
    enter: Callable[[Client], None]
    cpu_us: list[float] = field(default_factory=list)

    def measure(self, clients: int) -> None:
        """Have so many come and go, one after another, and add one round."""
        before = self.server.cpu_ns()
        for _ in range(clients):
            with closing(self.server.connect()) as client:
                self.enter(client)
        self.cpu_us.append((self.server.cpu_ns() - before) / clients / 1000)


@dataclass(frozen=True, slots=True)
class Result:
    """CPU microseconds for each client: median and extremes over the rounds."""

    server: str
    first: str
    """The command that follows the handshake."""
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

    clients: int = option(500, "clients in a round")
    rounds: int = option(7, "rounds, all servers in turn")
    stores: tuple[str, ...] = option(("memory", "sqlite"), f"of {','.join(STORES)}")
    peers: tuple[str, ...] = option((FLOOR,), f"of {','.join(PEERS)}; ratios are to the first")


def measure(sizes: Sizes) -> Report:
    """Start all servers, and have clients come to each of them in turn."""
    with split_cores() as core, ExitStack() as cleanup:
        cases: list[Case] = []
        for name in (*sizes.peers, *sizes.stores):
            server = cleanup.enter_context(running(name, core, pings=False))
            cases.append(Case(server, "session.login", _log_in))
            if name not in PEERS:
                cases.append(Case(server, "session.restore", _restorer(server)))
        for case in cases:
            case.measure(max(1, sizes.clients // 5))
            case.cpu_us.clear()
        for number in range(sizes.rounds):
            for case in cases if number % 2 == 0 else reversed(cases):
                case.measure(sizes.clients)
    columns = {"server": "", "first": "", "cpu_us": ".0f", "least": ".0f", "most": ".0f"}
    title = "CPU microseconds per handshake with its first command"
    return Report(title, {**columns, "ratio": ".2f"}, _results(cases))


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print what it showed."""
    command_line(Sizes, measure, __doc__, arguments)


def _log_in(client: Client) -> None:
    client.send(client.dialect.command("session.login", "anonymous"))
    client.key_of_login()


def _restorer(server: Server) -> Callable[[Client], None]:
    """What takes up a session that is there already."""
    with closing(server.connect()) as client:
        client.send(client.dialect.command("session.login", "anonymous"))
        key = client.key_of_login()
    frame = server.dialect.command("session.restore", key)

    def restore(client: Client) -> None:
        client.send(frame)
        assert client.key_of_login() == key

    return restore


def _results(cases: list[Case]) -> list[Result]:
    return [
        Result(
            server=case.server.name,
            first=case.first,
            cpu_us=median(case.cpu_us),
            least=min(case.cpu_us),
            most=max(case.cpu_us),
            ratio=ratio(case.cpu_us, cases[0].cpu_us),
            rounds=case.cpu_us,
        )
        for case in cases
    ]


if __name__ == "__main__":
    main()
