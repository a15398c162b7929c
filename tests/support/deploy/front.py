"""
nginx or HAProxy in front of two nodes, run with the files in `deploy/`.

Only addresses, paths and users are others than there: everything else is as shipped.
"""

import asyncio
import os
import re
import shutil
import signal
import ssl
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.certificate import make_certificate
from tests.support.deploy.files import text
from tests.support.server_process import ServerProcess
from tests.support.valkey import free_port

SOON_S = 20.0

Nodes = tuple[ServerProcess, ServerProcess]

# Debian has daemons where users do not look.
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))

# What Debian's nginx.conf is for: a file in conf.d says nothing of it.
_AROUND_NGINX = """
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr notice;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy;
    fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    include {file};
}}
"""


@dataclass(frozen=True, slots=True)
class _Program:
    """A proxy: how it is run, and how it speaks of itself."""

    file: str
    """Below deploy/."""
    changes: Callable[[int, Path, Nodes], dict[str, str]]
    """What else than in the file it has, of port, directory and nodes."""
    arguments: Callable[[Path], tuple[str, ...]]
    serves: str
    """What its log has when it accepts connections."""
    reload: Callable[[Process, Path], Awaitable[None]]
    """Has it read its file and its certificate anew."""


@dataclass(frozen=True, slots=True)
class Front:
    """A running proxy, which clients reach over TLS."""

    program: _Program
    process: Process
    directory: Path
    port: int
    tls: ssl.SSLContext
    """Trusts its certificate."""

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"wss://localhost:{self.port}/keystay"

    @property
    def secured(self) -> dict[str, Any]:
        """TLS for a connection that is opened without a URL."""
        return {"ssl": self.tls, "server_hostname": "localhost"}

    async def says(self, pattern: str) -> None:
        """Wait until its log has this, after what was waited for before."""
        assert self.process.stderr is not None
        line = b""
        async with asyncio.timeout(SOON_S):
            while not re.search(pattern, line.decode()):
                line = await self.process.stderr.readline()
                assert line, f"{self.program.file}: it ended"
                sys.stderr.buffer.write(line)  # pytest shows it when a test fails.

    async def reload(self) -> None:
        """Have it read its file and its certificate anew; return when it has."""
        await self.program.reload(self.process, self.directory)
        await self.says(self.program.serves)


@asynccontextmanager
async def in_front_of(
    name: str, nodes: Nodes, directory: Path, silence: str
) -> AsyncIterator[Front]:
    """
    Run `nginx` or `haproxy`; end it at the end.

    Args:
        silence: What every timeout of 75 s is in its stead.
    """
    path, program, port = _path(name), _PROGRAMS[name], free_port()
    certificate, key = make_certificate(directory)
    (directory / "both.pem").write_bytes(certificate.read_bytes() + key.read_bytes())
    file = directory / program.file
    changes = {**program.changes(port, directory, nodes), "75s": silence}
    file.write_text(_adapted(text(program.file), changes))
    process = await asyncio.create_subprocess_exec(
        path, *program.arguments(file), cwd=directory, stderr=PIPE
    )
    tls = ssl.create_default_context(cafile=str(certificate))
    front = Front(program, process, directory, port, tls)
    try:
        await front.says(program.serves)
        yield front
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(SOON_S):
            await process.communicate()


@asynccontextmanager
async def running_nginx(conf: str, directory: Path) -> AsyncIterator[None]:
    """Run nginx with this file; end it at the end."""
    file = directory / "nginx.conf"
    file.write_text(conf)
    process = await asyncio.create_subprocess_exec(
        _path("nginx"), *_nginx_arguments(file), cwd=directory, stderr=PIPE
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(SOON_S):
            while b"start worker process " not in (line := await process.stderr.readline()):
                assert line, "nginx ended"
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(SOON_S):
            await process.communicate()


def _path(name: str) -> str:
    """Where the program is. Without it these tests are skipped, but never in CI."""
    path = shutil.which(name, path=_PATH)
    if path is None and not os.environ.get("CI"):
        pytest.skip(f"there is no {name} here: apt-get install {name}")
    assert path, f"{name} must be there in CI"
    return path


def _adapted(file: str, changes: Mapping[str, str]) -> str:
    """The file with these texts for those, each of which it has."""
    for old, new in changes.items():
        assert old in file, old
        file = file.replace(old, new)
    return file


def _nginx_changes(port: int, directory: Path, nodes: Nodes) -> dict[str, str]:
    return {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl/game.example.pem": f"{directory}/certificate.pem",
        "/etc/ssl/game.example.key": f"{directory}/key.pem",
        "127.0.0.1:8330": urlsplit(nodes[0].url).netloc,
        "127.0.0.1:8340": urlsplit(nodes[1].url).netloc,
    }


def _nginx_arguments(file: Path) -> tuple[str, ...]:
    around = file.with_name("around.conf")
    around.write_text(_AROUND_NGINX.format(file=file))
    return ("-p", str(file.parent), "-c", str(around), "-e", "stderr")


async def _reload_nginx(process: Process, _directory: Path) -> None:
    process.send_signal(signal.SIGHUP)


def _haproxy_changes(port: int, directory: Path, nodes: Nodes) -> dict[str, str]:
    first, second = nodes
    return {
        "bind :443": f"bind 127.0.0.1:{port}",
        "/etc/ssl/game.example.pem": f"{directory}/both.pem",
        "127.0.0.1:8330 port 8331": _checked_at(first),
        "127.0.0.1:8340 port 8341": _checked_at(second),
        # To become another user takes root, and a user of that name.
        "user haproxy": "",
        "group haproxy": "",
    }


def _checked_at(node: ServerProcess) -> str:
    return f"{urlsplit(node.url).netloc} port {urlsplit(node.control).port}"


def _haproxy_arguments(file: Path) -> tuple[str, ...]:
    return ("-W", "-db", "-S", str(file.with_name("master")), "-f", str(file))


async def _reload_haproxy(_process: Process, directory: Path) -> None:
    # The signal would be lost on a master that has only just begun. This is not: it does not
    # listen before, and nowhere says when it does.
    async with asyncio.timeout(SOON_S):
        while True:
            try:
                _, writer = await asyncio.open_unix_connection(directory / "master")
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
    writer.write(b"reload\n")
    await writer.drain()
    writer.close()
    await writer.wait_closed()


_PROGRAMS = {
    "nginx": _Program(
        "nginx.conf",
        _nginx_changes,
        _nginx_arguments,
        "start worker process ",
        _reload_nginx,
    ),
    "haproxy": _Program(
        "haproxy.cfg",
        _haproxy_changes,
        _haproxy_arguments,
        "Loading success",
        _reload_haproxy,
    ),
}
