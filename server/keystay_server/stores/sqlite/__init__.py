"""
The embedded store: one process, one file, no other service.

| module | |
|---|---|
| `store` | the contract of `stores.base`, on the event loop |
| `memory` | all sessions: checks, restores and touches are answered from here |
| `writer` | the thread that owns the database, and its transactions |
| `operations` | what each command does to the tables |
| `batch` | the events that one operation appends, and the sessions it ends |
| `history`, `feed`, `once` | one table each |
| `housekeeping` | deletes what is too old, in small steps |
| `schema` | the tables, and how an older file is migrated |

Memory has what is committed. One thing is in memory first: the deadline of a
session that was extended; it is written within a second.
"""

from keystay_server.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
