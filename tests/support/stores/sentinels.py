"""
A master, its replicas, and the sentinels that watch them.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from tests.support.stores.valkey_cluster import until
from tests.support.valkey import Valkey, replicate

SENTINEL = """
sentinel monitor keystay 127.0.0.1 {port} {quorum}
sentinel down-after-milliseconds keystay 400
sentinel failover-timeout keystay 4000
"""


@dataclass(frozen=True, slots=True)
class Watched:
    """The servers, the first of them the master at the start, and the sentinels."""

    servers: Sequence[Valkey]
    sentinels: Sequence[Valkey]

    def url(self, *first: str) -> str:
        """The store URL; `first` are sentinels that are named before the others."""
        hosts = [*first, *(f"127.0.0.1:{each.port}" for each in self.sentinels)]
        return f"redis+sentinel://{','.join(hosts)}/keystay"

    def master_port(self) -> int:
        """The port of the master by the last sentinel."""
        answer = call(self.sentinels[-1], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "keystay")
        return int(answer[1])

    def fail_over(self) -> None:
        """Have a replica promoted, as an operator does; return when it is the master."""
        before = self.master_port()
        until(self._begins_failover)
        until(lambda: self.master_port() != before)

    def _begins_failover(self) -> bool:
        # It is refused until the sentinel finds a replica good enough.
        with suppress(ResponseError):
            call(self.sentinels[-1], "SENTINEL", "FAILOVER", "keystay")
            return True
        return False


@contextmanager
def watched(
    folder: Path, *options: str, replicas: int = 1, sentinels: int = 1
) -> Iterator[Watched]:
    """Run them; `options` are those of all servers."""
    folders = iter(folder / f"valkey{number}" for number in range(1 + replicas + sentinels))

    def make(*more: str) -> Valkey:
        (where := next(folders)).mkdir()
        return Valkey(where, "--repl-diskless-sync-delay", "0", *options, *more)

    master = make()
    servers = [master]
    servers += [make("--replicaof", f"127.0.0.1 {master.port}") for _ in range(replicas)]
    quorum = sentinels // 2 + 1
    guards = [sentinel_of(next(folders), master.port, quorum) for _ in range(sentinels)]
    with ExitStack() as stack:
        for server in servers:
            stack.callback(server.kill)
            server.start()
        # A replica that is not in step when a sentinel first looks is passed over for long.
        replicate(master, replicas)
        for guard in guards:
            stack.callback(guard.kill)
            guard.start()
        until(lambda: all(_knows(guard, replicas, sentinels - 1) for guard in guards))
        yield Watched(servers, guards)


def sentinel_of(folder: Path, port: int, quorum: int = 1) -> Valkey:
    """A sentinel that takes the server on this port for the master."""
    folder.mkdir()
    config = folder / "sentinel.conf"
    config.write_text(SENTINEL.format(port=port, quorum=quorum))
    return Valkey(folder, sentinel=config)


@asynccontextmanager
async def saying(fields: Sequence[str]) -> AsyncIterator[str]:
    """Run a sentinel that answers `SENTINEL MASTER` with these fields; return its host."""
    answer = f"*{len(fields)}\r\n" + "".join(f"${len(it)}\r\n{it}\r\n" for it in fields)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                words = [b""] * int((await reader.readuntil())[1:])
                for i in range(len(words)):
                    length = int((await reader.readuntil())[1:])
                    words[i] = (await reader.readexactly(length + 2))[:-2]
                is_asked = words[:2] == [b"SENTINEL", b"MASTER"]
                writer.write(answer.encode() if is_asked else b"+OK\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"{host}:{port}"


def _knows(sentinel: Valkey, replicas: int, others: int) -> bool:
    known = call(sentinel, "SENTINEL", "REPLICAS", "keystay")
    sentinels = call(sentinel, "SENTINEL", "SENTINELS", "keystay")
    return len(known) == replicas and len(sentinels) == others


def call(server: Valkey, *words: str | int) -> Any:
    """Send a server a command."""
    with Redis(port=server.port, protocol=2) as client:
        execute: Any = client.execute_command
        return execute(*words)
