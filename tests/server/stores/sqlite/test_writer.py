"""
The thread that owns the database.
"""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from keystay_protocol.errors import NoSession, Unavailable
from keystay_server.stores.errors import StoreError
from keystay_server.stores.sqlite import writer
from keystay_server.stores.sqlite.writer import MAX_GROUP, MAX_WAITING, Writer
from tests.server.stores.sqlite.full_disk import full_disk


class Database:
    """A writer over a file, with a table of numbers, and what was done to it."""

    def __init__(self, path: Path) -> None:
        self.writer = Writer(str(path))
        self.statements: list[str] = []
        self.db: sqlite3.Connection

    async def start(self) -> None:
        """Open it, and begin to take notes."""
        self.db = await self.writer.start()
        await self.writer.run(lambda: self.db.execute("CREATE TABLE numbers (number INTEGER)"))
        await self.writer.run(lambda: self.db.set_trace_callback(self.statements.append))
        self.statements.clear()

    def add(self, number: int) -> int:
        """Put a number into the table: an operation."""
        self.db.execute("INSERT INTO numbers VALUES (?)", (number,))
        return number

    def numbers(self) -> list[int]:
        """What is in the table: an operation."""
        return [n for (n,) in self.db.execute("SELECT number FROM numbers ORDER BY rowid")]

    @property
    def commits(self) -> int:
        """How many transactions there were."""
        return sum(statement.startswith("COMMIT") for statement in self.statements)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A database of the test's own."""
    database = Database(tmp_path / "numbers.db")
    await database.start()
    yield database
    await database.writer.stop()


async def test_operations_run_in_the_order_they_came(database: Database) -> None:
    """One after another, each with its own answer."""
    adding = [partial(database.add, number) for number in range(50)]
    answers = await asyncio.gather(*(database.writer.run(add) for add in adding))
    assert answers == list(range(50))
    assert await database.writer.run(database.numbers) == answers


async def test_a_hundred_callers_share_a_commit(database: Database) -> None:
    """What comes while a transaction is under way is the next one, together."""
    await asyncio.gather(*(database.writer.run(lambda: database.add(1)) for _ in range(100)))
    assert database.commits <= 2
    for _ in range(3):
        await database.writer.run(lambda: database.add(1))
    assert database.commits <= 5


async def test_a_group_has_a_size(database: Database) -> None:
    """However many wait, a transaction is not longer than it may be."""
    runs = 3 * MAX_GROUP
    await asyncio.gather(*(database.writer.run(lambda: database.add(1)) for _ in range(runs)))
    assert database.commits >= 3
    assert len(await database.writer.run(database.numbers)) == runs


async def test_operations_run_in_a_thread_of_their_own(database: Database) -> None:
    """A slow disk does not stop the event loop."""
    held = threading.Event()
    waiting = database.writer.run(lambda: held.wait(5))
    turns = 0
    for _ in range(10):
        await asyncio.sleep(0)
        turns += 1
    assert (turns, waiting.done()) == (10, False)
    held.set()
    assert await waiting


async def test_memory_learns_before_the_caller(database: Database) -> None:
    """`committed` is called after the commit, in order, and before anybody is answered."""
    learned: list[int] = []

    def learn(number: int) -> None:
        assert database.commits
        learned.append(number)

    first = database.writer.run(lambda: database.add(1), learn)
    second = database.writer.run(lambda: database.add(2), learn)
    await first
    assert learned == [1, 2]
    await second


async def test_memory_learns_even_if_the_caller_has_gone(database: Database) -> None:
    """A write whose caller gave up is done, and known."""
    learned: list[int] = []
    abandoned = database.writer.run(lambda: database.add(1), learned.append)
    abandoned.cancel()
    assert await database.writer.run(database.numbers) == [1]
    assert learned == [1]


async def test_a_refusal_concerns_its_caller_only(database: Database) -> None:
    """An operation that finds that it may not is no trouble for those beside it."""

    def refuse() -> None:
        raise NoSession

    results = await asyncio.gather(
        database.writer.run(lambda: database.add(1)),
        database.writer.run(refuse),
        database.writer.run(lambda: database.add(2)),
        return_exceptions=True,
    )
    assert isinstance(results[1], NoSession)
    assert await database.writer.run(database.numbers) == [1, 2]


async def test_a_crash_fails_the_whole_group(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of the transaction has happened, each caller is told, and the log has why."""
    learned: list[int] = []
    results = await asyncio.gather(
        database.writer.run(lambda: database.add(1), learned.append),
        database.writer.run(lambda: 1 // 0, learned.append),
        database.writer.run(lambda: database.add(2), learned.append),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [Unavailable] * 3
    assert learned == []
    assert await database.writer.run(database.numbers) == []
    assert "ZeroDivisionError" in caplog.text


async def test_a_commit_that_fails_fails_the_whole_group(database: Database) -> None:
    """On a full disk: no caller is told that it worked, and nothing has happened."""
    await database.writer.run(lambda: database.add(0))
    learned: list[int] = []
    with full_disk():
        results = await asyncio.gather(
            *(database.writer.run(lambda: database.add(1), learned.append) for _ in range(20)),
            return_exceptions=True,
        )
        assert await database.writer.run(database.numbers) == [0], "reads go on"
    assert {type(result) for result in results} == {Unavailable}
    assert learned == []
    await database.writer.run(lambda: database.add(20))
    assert await database.writer.run(database.numbers) == [0, 20]


async def test_a_read_does_not_fail_with_a_write_beside_it(database: Database) -> None:
    """It is done again, without the writes of its transaction."""
    await database.writer.run(lambda: database.add(0))
    with full_disk():
        results = await asyncio.gather(
            database.writer.run(lambda: database.add(1)),
            database.writer.run(database.numbers, is_read=True),
            database.writer.run(database.numbers),
            return_exceptions=True,
        )
    assert [type(result) for result in results] == [Unavailable, list, Unavailable]
    assert results[1] == [0]


async def test_whoever_waited_goes_before_the_next_transaction(database: Database) -> None:
    """What the first callers ask for next travels with what waits already."""

    async def add_twice(number: int) -> None:
        await database.writer.run(lambda: database.add(number))
        await database.writer.run(lambda: database.add(number + 100))

    await asyncio.gather(*map(add_twice, range(100)))
    assert database.commits <= 3


async def test_a_full_disk_is_logged_once(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """However often a write is tried; and once more when the disk takes writes again."""
    caplog.set_level("INFO", "keystay.store")
    for _ in range(2):
        with full_disk():
            for _ in range(3):
                with pytest.raises(Unavailable):
                    await database.writer.run(lambda: database.add(1))
                await database.writer.run(database.numbers)
        await database.writer.run(lambda: database.add(2))
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"] * 2
    assert "Traceback" not in caplog.text


async def test_a_database_without_room_fails_the_same_way(database: Database) -> None:
    """SQLite's own word for a full disk, as it comes from a database with a maximum size."""
    await database.writer.run(lambda: database.db.execute("PRAGMA max_page_count = 1"))
    with pytest.raises(Unavailable, match="refuses to write"):
        await database.writer.run(lambda: [database.add(2**60) for _ in range(1000)])
    await database.writer.run(lambda: database.db.execute("PRAGMA max_page_count = 10000"))
    await database.writer.run(lambda: database.add(1))


async def test_too_many_that_wait_are_refused(database: Database) -> None:
    """A disk that hangs does not fill the memory: beyond the bound it is `unavailable`."""
    held = threading.Event()
    first = database.writer.run(lambda: held.wait(5))
    for _ in range(3):
        await asyncio.sleep(0)  # The first is handed over, the others wait.
    others = [database.writer.run(lambda: None) for _ in range(MAX_WAITING)]
    with pytest.raises(Unavailable) as refusal:
        await database.writer.run(lambda: None)
    assert refusal.value.retry_after_s
    held.set()
    await asyncio.gather(first, *others)


async def test_a_listener_that_fails_stops_nobody(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """The write is committed: its caller hears so, and the writer goes on."""

    def fail(number: int) -> None:
        raise RuntimeError(f"cannot take {number}")

    first = database.writer.run(lambda: database.add(1), fail)
    second = database.writer.run(lambda: database.add(2))
    async with asyncio.timeout(5):
        assert (await first, await second) == (1, 2)
        assert await database.writer.run(database.numbers) == [1, 2]
    assert "cannot take 1" in caplog.text


async def test_what_waits_is_done_before_the_end(tmp_path: Path) -> None:
    """Stopping loses nothing that was asked for."""
    database = Database(tmp_path / "numbers.db")
    await database.start()
    asked = [database.writer.run(lambda: database.add(1)) for _ in range(3 * MAX_GROUP)]
    await database.writer.stop()
    assert await asyncio.gather(*asked) == [1] * (3 * MAX_GROUP)


async def test_a_full_disk_does_not_stop_the_stop(tmp_path: Path) -> None:
    """What could not be written is told to its caller; the database is closed all the same."""
    database = Database(tmp_path / "numbers.db")
    await database.start()
    with full_disk():
        asked = database.writer.run(lambda: database.add(1))
        async with asyncio.timeout(5):
            await database.writer.stop()
    with pytest.raises(Unavailable):
        await asked


@pytest.mark.parametrize("path", ["no/such/directory/x.db", ".", "nul\0.db"])
async def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path, path: str) -> None:
    """At the start, in words for the operator."""
    async with asyncio.timeout(5):
        with pytest.raises(StoreError, match="cannot be"):
            await Writer(f"{tmp_path}/{path}").start()


async def test_a_stalled_disk_does_not_keep_the_server_from_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However many writes wait: they are given up, and one line says so."""
    monkeypatch.setattr(writer, "STOP_S", 0.05)
    stalled, disk = Writer(str(tmp_path / "keystay.db")), threading.Event()
    await stalled.start()
    first = stalled.run(disk.wait)
    await asyncio.sleep(0)  # The first is under way.
    waiting = [stalled.run(lambda: None) for _ in range(MAX_WAITING)]
    async with asyncio.timeout(5):
        await stalled.stop()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert f"{len(waiting)} operations are given up" in caplog.text
    disk.set()
    await first
