"""
The thread that owns the database: one writer, and one commit for all that waits.

Invariant: the caller gets the result of an operation only after the
transaction it ran in is on disk; if the commit fails, every operation of that
transaction fails and none has happened.
"""

import asyncio
import logging
import math
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from keystay_protocol.errors import CommandError
from keystay_server.stores.errors import (
    AlreadyApplied,
    IdempotencyConflict,
    NoFeed,
    RevisionConflict,
    StoreError,
    out_of_reach,
)
from keystay_server.stores.sqlite import schema
from keystay_server.stores.sqlite.file import DatabaseFile

T = TypeVar("T")
Operation = Callable[[], T]

MAX_WAITING = 10_000
"""Operations that may wait for the thread; one more is refused."""

MAX_GROUP = 256
"""Operations in one transaction."""

STOP_S = 5.0
"""How long the disk may take with what waits at the end, and again to close the database."""

PROBE_EVERY_S = 5.0
"""A probe writes so often; one in between gets the result of the last one."""

# What an operation raises before it has changed anything.
_REFUSALS = (CommandError, NoFeed, RevisionConflict, AlreadyApplied, IdempotencyConflict)

log = logging.getLogger("keystay.store")


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """One operation, and who waits for it."""

    operation: Operation[T]
    future: "asyncio.Future[T]"
    committed: Callable[[T], None] | None
    is_read: bool


class Writer:
    """
    Runs operations one after another in its own thread, many to a transaction.

    One transaction is under way at a time; what comes meanwhile is the next one.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = DatabaseFile(path)
        self._waiting: list[Job[Any]] = []
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._is_refused = False
        self._problem: str | None = None
        self._probed_at = -math.inf
        self._groups: queue.SimpleQueue[list[Job[Any]]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="keystay-sqlite", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._opened: asyncio.Future[sqlite3.Connection]
        self._closed: asyncio.Future[None]

    async def start(self) -> sqlite3.Connection:
        """
        Open the database and return it, for operations run by this writer only.

        Raises:
            StoreError: If it cannot be opened.
        """
        self._loop = asyncio.get_running_loop()
        self._opened = self._loop.create_future()
        self._closed = self._loop.create_future()
        self._thread.start()
        return await self._opened

    async def stop(self) -> None:
        """Run what waits, then close the database; give both up if the disk takes too long."""
        try:
            async with asyncio.timeout(STOP_S):
                await self._is_idle.wait()
        except TimeoutError:
            given_up, self._waiting = self._waiting, []
            log.error("the disk takes too long: %d operations are given up", len(given_up))
            for job in given_up:
                if not job.future.done():
                    job.future.set_exception(out_of_reach("the server stops"))
        self._groups.put([])
        await asyncio.wait({self._closed}, timeout=STOP_S)

    def run(
        self,
        operation: Operation[T],
        committed: Callable[[T], None] | None = None,
        *,
        is_read: bool = False,
    ) -> "asyncio.Future[T]":
        """
        Run an operation in the next transaction.

        Args:
            committed: Called with the result on the event loop, before the caller
                gets it, and even if the caller has gone.
            is_read: It writes nothing, and is not to fail with a write beside it.

        Raises:
            Unavailable: If too many wait, or the transaction could not be committed.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise out_of_reach("too many writes are waiting")
        job = Job(operation, self._loop.create_future(), committed, is_read)
        self._waiting.append(job)
        if self._is_idle.is_set():
            self._is_idle.clear()
            # Not at once: the rest of this turn of the loop travels in the same transaction.
            self._loop.call_soon(self._hand_over)
        return job.future

    async def probe(self, operation: Operation[object]) -> None:
        """
        Run an operation that writes, unless one has succeeded a moment ago.

        Raises:
            Unavailable: If the disk does not take writes.
        """
        now = self._loop.time()
        is_due = self._is_refused or now - self._probed_at >= PROBE_EVERY_S
        await self.run(operation if is_due else lambda: None)
        if is_due:
            self._probed_at = now

    def _hand_over(self) -> None:
        group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
        self._groups.put(group)

    def _run(self) -> None:
        try:
            db = schema.connect(self._path)
            self._file.opened()
        except StoreError as error:
            self._call(self._opened.set_exception, error)
            return
        self._call(self._opened.set_result, db)
        while group := self._groups.get():
            self._call(self._deliver, group, self._transact(db, group))
        db.close()
        self._call(self._closed.set_result, None)

    def _transact(self, db: sqlite3.Connection, group: list[Job[Any]]) -> list[Any]:
        """Run the group in one transaction; an exception stands for its operation's result."""
        if self._is_lost():
            return [out_of_reach("the database file is gone")] * len(group)
        results: list[Any] = []
        changes = db.total_changes
        try:
            db.execute("BEGIN IMMEDIATE")
            for job in group:
                try:
                    results.append(job.operation())
                except _REFUSALS as error:
                    results.append(error)
            db.execute("COMMIT")
        except Exception as error:
            with suppress(sqlite3.Error):
                if db.in_transaction:
                    db.execute("ROLLBACK")
            return self._only_reads(db, group, out_of_reach(self._why(error)))
        if self._is_refused and db.total_changes > changes:  # Reads succeed all the time.
            self._is_refused = False
            log.info("the disk takes writes again")
        return results

    def _is_lost(self) -> bool:
        """Return whether what is written would not be there at the next start; log it once."""
        problem = self._file.problem()
        if problem != self._problem:
            self._problem = problem
            if problem is None:
                log.warning("the database file is back")
            else:
                log.error("%s: nothing is written any more, start the server again", problem)
        return problem is not None

    def _only_reads(
        self, db: sqlite3.Connection, group: list[Job[Any]], error: Exception
    ) -> list[Any]:
        """The results of a group whose transaction failed: its reads are done once more."""
        reads = [job for job in group if job.is_read]
        if not reads or len(reads) == len(group):
            return [error] * len(group)
        done = iter(self._transact(db, reads))
        return [next(done) if job.is_read else error for job in group]

    def _why(self, error: Exception) -> str:
        """Log what happened, a disk that refuses to write only once; the words for a client."""
        if not isinstance(error, sqlite3.Error):
            log.error("a transaction failed", exc_info=error)
            return "failed"
        if not self._is_refused:
            self._is_refused = True
            if schema.is_damage(error):
                log.error("the database is damaged (%s): see %s", error, schema.REPAIR)
            else:
                log.error("the disk refuses to write, trying again (%s)", error)
        return "the disk refuses to write"

    def _deliver(self, group: list[Job[Any]], results: list[Any]) -> None:
        for job, result in zip(group, results, strict=True):
            failed = isinstance(result, Exception)
            if not failed and job.committed is not None:
                _tell(job.committed, result)
            if not job.future.done():
                (job.future.set_exception if failed else job.future.set_result)(result)
        if self._waiting:
            # Not at once: whoever waited for this group goes first, and what it asks for
            # travels in the next one.
            self._loop.call_soon(self._hand_over)
        else:
            self._is_idle.set()

    def _call(self, function: Callable[..., object], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            # The loop is gone: the process is going down, and nobody waits for an answer.
            log.debug("the event loop closed before the database")


def _tell(committed: Callable[[T], None], result: T) -> None:
    try:
        committed(result)
    except Exception:
        # It is on disk: whoever cannot take the news must not stop the writer.
        log.exception("telling of a committed operation failed")
