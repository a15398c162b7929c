"""
The embedded store: one process, one file, no other service.

SQLite is the truth; memory mirrors what is committed, and serves every check.
One thread owns the database and runs each operation to its end (`writer`);
what an operation does is SQL (`operations`), over the tables of `schema`.
"""

from keystay_server.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
