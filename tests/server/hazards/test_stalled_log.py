"""
A log that nobody reads, or that is read by nobody any more.
"""

import asyncio
import fcntl
import json
import os
import select
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.raw_client import connected
from tests.support.server.shell import COMMAND, environment
from tests.support.server_process import START_S, ServerProcess

FREE = ("--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--store", "memory://")


@asynccontextmanager
async def logging_into(stderr: int, *flags: str) -> AsyncIterator[ServerProcess]:
    """Run a server whose standard error is this descriptor."""
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "serve", *FREE, "--dev", *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        env=environment({"KEYSTAY_API_KEY": "test-api-key-of-22-characters"}),
    )
    try:
        async with asyncio.timeout(START_S):
            assert process.stdout is not None
            line = await process.stdout.readline()
        yield ServerProcess(process, json.loads(line))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        getattr(process, "_transport").close()  # noqa: B009


async def is_served(server: ServerProcess, connections: int) -> None:
    """Open and close so many connections, with a command each, and ask whether it lives."""
    for _ in range(connections):
        async with connected(server.url) as client:
            assert (await client.call("time.now"))[0] is None
    async with httpx.AsyncClient(base_url=server.control, timeout=5) as control:
        assert (await control.get("/livez")).status_code == 200


async def test_a_log_that_nobody_reads_stops_nothing() -> None:
    """Clients are served, `/livez` answers, and SIGTERM ends the server with 0."""
    reader, writer = os.pipe()
    try:
        async with logging_into(writer) as server:
            while select.select([], [writer], [], 0)[1]:
                await is_served(server, 50)
            await is_served(server, 50)
            assert await server.terminate() == 0
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.long
async def test_a_log_that_is_read_again_tells_what_was_dropped() -> None:
    """A line says how many lines are missing, and the metric counts them."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    try:
        async with logging_into(writer, "--log-level", "info") as server:
            async with httpx.AsyncClient(base_url=server.control, timeout=5) as control:
                await flood(server, control)
            text = b""
            while b"dropped: the log was not read fast enough" not in text:
                text += await asyncio.to_thread(os.read, reader, 65536)
    finally:
        os.close(reader)
        os.close(writer)


async def flood(server: ServerProcess, control: httpx.AsyncClient) -> None:
    """Open connections until lines are dropped."""
    async with asyncio.timeout(60):
        while await dropped(control) == 0:
            await asyncio.gather(*(is_served(server, 20) for _ in range(20)))


async def dropped(control: httpx.AsyncClient) -> float:
    """The metric."""
    text = (await control.get("/metrics")).text
    [value] = [
        line.rpartition(" ")[2]
        for line in text.splitlines()
        if line.startswith("keystay_log_lines_dropped_total ")
    ]
    return float(value)


async def test_a_log_whose_reader_is_gone_stops_nothing() -> None:
    """Writing it fails at once, and nothing else does."""
    reader, writer = os.pipe()
    os.close(reader)
    async with logging_into(writer) as server:
        os.close(writer)
        await is_served(server, 10)
        assert await server.terminate() == 0


CLOSED = [(0,), (1,), (2,), (0, 1, 2)]


@pytest.mark.parametrize("closed", CLOSED)
def test_a_wrong_setting_is_2_without_standard_streams(closed: tuple[int, ...]) -> None:
    """Whichever of them the process was started without."""
    with started_without(closed, "--policy", "none") as process:
        assert process.wait(START_S) == 2


@pytest.mark.parametrize("closed", CLOSED)
async def test_a_server_without_standard_streams_stops_in_order(
    tmp_path: Path, closed: tuple[int, ...]
) -> None:
    """No socket takes the place of a closed stream: SIGTERM ends the server with 0."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(START_S)
        with started_without(closed, notify=tmp_path / "notify") as process:
            assert await asyncio.to_thread(manager.recv, 4096) == b"READY=1"
            process.terminate()
            assert process.wait(START_S) == 0


@contextmanager
def started_without(
    closed: tuple[int, ...], *flags: str, notify: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server without some of its standard streams."""

    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    env = {
        "KEYSTAY_API_KEY": "test-api-key-of-22-characters",
        "NOTIFY_SOCKET": str(notify or ""),
    }
    process = subprocess.Popen(
        [*COMMAND, "serve", *FREE, *flags],
        env=environment(env),
        stdout=subprocess.DEVNULL,
        preexec_fn=close,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
