"""
Memory and disk for each stored session: `python -m benchmarks.stored`.

See README.md for what exactly is measured, and for results.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from redis import Redis

import keystay
from benchmarks.report import Report, command_line, option
from benchmarks.servers import API_KEY, Server, node, valkey

META = {"name": "player-000000", "plan": "free"}
AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Measured:
    """Bytes that are in use."""

    server: int
    store: int


@dataclass(frozen=True, slots=True)
class Result:
    """Bytes for each session, with the event of its creation in the history."""

    store: str
    sessions: int
    server_bytes: float
    store_bytes: float
    kept_bytes: float | None
    """In the store, once the history is over (`history_s`); None: files do not shrink."""


class SqliteNode:
    """One node on a SQLite file."""

    def __init__(self, server: Server, file: Path) -> None:
        self.server = server
        self._file = file

    def measure(self) -> Measured:
        """Memory of the server, and the size of the file with its log."""
        files = self._file.parent.glob(f"{self._file.name}*")
        return Measured(self.server.resident_bytes(), sum(f.stat().st_size for f in files))

    def forget_history(self) -> bool:
        """Whether the store is smaller without it."""
        return False


class RedisNode:
    """One node on a Valkey."""

    def __init__(self, server: Server, url: str) -> None:
        self.server = server
        self._url = url

    def measure(self) -> Measured:
        """Memory of the server, and of the Valkey."""
        with Redis.from_url(self._url) as client:
            return Measured(self.server.resident_bytes(), client.info("memory")["used_memory"])

    def forget_history(self) -> bool:
        """Delete the events of all actors, as their time to live does."""
        with Redis.from_url(self._url) as client:
            for name in client.scan_iter("ks:{*}:events:*", count=1000):
                client.delete(name)
        return True


@contextmanager
def _running(store: str) -> Iterator[SqliteNode | RedisNode]:
    cores = os.sched_getaffinity(0)
    if store == "sqlite":
        with TemporaryDirectory() as folder:
            file = Path(folder) / "keystay.db"
            with node(f"sqlite:///{file}", cores) as server:
                yield SqliteNode(server, file)
    else:
        with valkey(cores) as url, node(url, cores) as server:
            yield RedisNode(server, url)


async def _create(server: Server, first: int, last: int) -> None:
    assert server.control is not None
    host, port = server.control
    async with keystay.Control(f"http://{host}:{port}", API_KEY, timeout_s=60) as control:

        async def some(numbers: range) -> None:
            for number in numbers:
                meta = {**META, "name": f"player-{number:06}"}
                await control.create_session(f"player:{number:06}", meta=meta, ttl_s=86_400)

        async with asyncio.TaskGroup() as tasks:
            for start in range(AT_ONCE):
                tasks.create_task(some(range(first + start, last, AT_ONCE)))


def _result(store: str, warm_up: int, sessions: int) -> Result:
    with _running(store) as running:
        empty = running.measure()
        asyncio.run(_create(running.server, 0, warm_up))
        before = running.measure()
        asyncio.run(_create(running.server, warm_up, warm_up + sessions))
        after = running.measure()
        kept = running.measure() if running.forget_history() else None
    return Result(
        store,
        sessions,
        (after.server - before.server) / sessions,
        (after.store - before.store) / sessions,
        # The history of the sessions before is deleted too: all are counted.
        None if kept is None else (kept.store - empty.store) / (warm_up + sessions),
    )


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured, and in which stores."""

    sessions: int = option(50_000, "sessions that are counted")
    warm_up: int = option(5_000, "sessions created before")
    stores: tuple[str, ...] = option(("sqlite", "redis"), "of sqlite,redis")


def measure(sizes: Sizes) -> Report:
    """Create sessions in each store."""
    results = [_result(store, sizes.warm_up, sizes.sessions) for store in sizes.stores]
    columns = {"store": "", "sessions": "d", "server_bytes": ".0f", "store_bytes": ".0f"}
    return Report("Bytes per stored session", {**columns, "kept_bytes": ".0f"}, results)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print what it showed."""
    command_line(Sizes, measure, __doc__, arguments)


if __name__ == "__main__":
    main()
