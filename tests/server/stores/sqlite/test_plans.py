"""
What each statement reads: rows that an index finds, however many others there are.
"""

import sqlite3
from collections.abc import Iterator

import pytest

from keystay_protocol.commands import LogoutScope
from keystay_server.stores.events import Emitted
from keystay_server.stores.records import Changes, IdempotencyRecord, NewSession, Policy
from keystay_server.stores.retention import Retention
from keystay_server.stores.sqlite import feed, housekeeping
from keystay_server.stores.sqlite.operations import Ending, Operations
from keystay_server.stores.sqlite.schema import connect
from tests.support.stores.installation import EMPTY_MAP, new_session

NOW = 1_800_000_000_000
HOUR = 3_600_000


class Tables:
    """A database in memory, and the statements that were run on it."""

    def __init__(self, retention: Retention) -> None:
        self.db = connect(":memory:")
        self.retention = retention
        self.operations = Operations(self.db, retention, {})
        self.operations.load(NOW)
        self.statements: list[str] = []

    def create(self, number: int, actor_id: str = "alice") -> list[NewSession]:
        """Create sessions."""
        news = [new_session(actor_id) for _ in range(number)]
        for new in news:
            self.operations.create(NOW, new, Policy())
        return news

    def every_operation(self) -> None:
        """Run each operation that a command, a node or housekeeping runs."""
        operations, news = self.operations, self.create(8)
        once = IdempotencyRecord("name", "content")
        digest, last = news[0].digest, news[-1]
        operations.create(NOW, new_session(idempotency=once), Policy(5))
        operations.create(
            NOW, new_session(idempotency=once, actor_id="bob"), Policy(5, is_strict=True)
        )
        operations.change(NOW, news[-1].digest, Changes(language="fi"), None)
        operations.emit(NOW, "alice", Emitted(last.id, "app.said", EMPTY_MAP), last.digest)
        operations.emit(
            NOW, "alice", Emitted(None, "app.said", EMPTY_MAP, IdempotencyRecord("b", "")), None
        )
        operations.write_deadlines([(digest, NOW + HOUR)])
        operations.touch_overdue(NOW, [digest])
        for after in (0, NOW * 1024):
            operations.history(NOW, "alice", after)
        for newest in (False, True):
            operations.page("alice", 2, operations.opened(news[-1].digest), newest=newest)
        operations.end(NOW, Ending("alice", news[-1].digest, LogoutScope.THIS, "loggedOut"))
        operations.end(NOW, Ending("alice", news[-2].digest, LogoutScope.OTHERS, "loggedOut"))
        operations.end_late(NOW, {news[-2].digest: "loggedOut"})
        self.create(3)
        operations.expire(NOW + HOUR)
        feed.read(self.db, (NOW * 1024,), 10)
        feed.prune(self.db, NOW * 1024 + 2)
        feed.save_position(self.db, "webhook", "")
        feed.saved_position(self.db, "webhook")
        for step in housekeeping.STEPS:
            step(self.db, NOW + 100 * HOUR, self.retention)


@pytest.fixture
def tables() -> Iterator[Tables]:
    """Tables that trim histories and tombstones at once."""
    tables = Tables(Retention(history_events=4, tombstones=2))
    yield tables
    tables.db.close()


def steps(db: sqlite3.Connection, statement: str) -> list[str]:
    """The query plan of a statement, line by line."""
    return [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}")]


def test_no_statement_scans_a_table_or_sorts(tables: Tables) -> None:
    """Each finds its rows by an index, in its order; but for the feed's first and last row."""
    tables.db.set_trace_callback(tables.statements.append)
    tables.every_operation()
    tables.db.set_trace_callback(None)
    assert len(set(tables.statements)) > 60
    for statement in set(tables.statements):
        if statement.startswith("--"):
            continue
        for step in steps(tables.db, statement):
            # The first and the last row are found at once, and a LIMIT ends the reading.
            is_end = "FROM feed" in statement and ("min(" in statement or "LIMIT" in statement)
            assert not step.startswith("SCAN") or is_end or "CONSTANT ROW" in step, statement
            assert "TEMP B-TREE" not in step, statement


def work_of(tables: Tables, new: NewSession, policy: Policy) -> int:
    """How many instructions SQLite runs to create a session."""
    instructions = 0

    def count() -> int:
        nonlocal instructions
        instructions += 1
        return 0

    tables.db.set_progress_handler(count, 1)
    tables.operations.create(NOW + 1, new, policy)
    tables.db.set_progress_handler(None, 0)
    return instructions


@pytest.mark.parametrize("is_strict", [False, True])
def test_a_login_costs_the_same_among_thousands(is_strict: bool) -> None:
    """Counted in instructions of SQLite: with 3 sessions, with 3,000, and after 900 more."""
    costs = []
    for number, ended in ((3, 0), (3000, 0), (3, 900), (3000, 900)):
        tables = Tables(Retention(feed_events=0))
        tables.create(ended)
        rest: Ending | None = Ending("alice", None, LogoutScope.ALL, "revoked")
        while rest is not None:
            _, rest = tables.operations.end(NOW, rest)
        tables.create(number)
        limit = number + 1 if is_strict else number
        costs.append(work_of(tables, new_session(), Policy(limit, is_strict)))
        tables.db.close()
    assert max(costs) <= 1.2 * min(costs), costs
