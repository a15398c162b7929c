"""
Writes the session to the program's session store, in the background.

Invariant: the newest state is written, and older ones that were not written yet are skipped;
at most one write runs at a time; exceptions of the store are logged.
"""

import asyncio
import logging

from keystay._deadline import after, is_done
from keystay.options import Options
from keystay.session_store import SessionStore, StoredSession

_log = logging.getLogger("keystay.client")


class SessionSaver:
    """
    Loads from a session store, and writes to it. Without a store it does nothing.

    Args:
        options: `open_timeout_s` bounds loading, `close_timeout_s` the last write.
    """

    def __init__(self, store: SessionStore | None, options: Options) -> None:
        self._store = store
        self._load_timeout_s = options.open_timeout_s
        self._close_timeout_s = options.close_timeout_s
        self._current: StoredSession | None = None
        self._is_due = False
        """Whether `_current` is not written yet."""
        self._is_failed = False
        """Whether the last write failed."""
        self._task: asyncio.Task[None] | None = None

    async def load(self) -> StoredSession | None:
        """Return the stored session; None if there is none, or if the store fails."""
        if self._store is None:
            return None
        try:
            async with after(self._load_timeout_s):
                self._current = await asyncio.to_thread(self._store.load)
        except Exception:  # A fault of the store: the client continues without.
            _log.exception("the session store could not be read")
        return self._current

    def update(self, current: StoredSession | None) -> None:
        """Write this state soon; None clears the store. Does not wait."""
        if self._store is not None and current != self._current:
            self._current = current
            self._write_soon(self._store)

    async def close(self) -> None:
        """
        Wait until the newest state is written, at most `close_timeout_s` for a write.

        A write that failed is tried once more.
        """
        await self._finish_writing()
        if self._is_failed and self._store is not None:
            self._write_soon(self._store)
            await self._finish_writing()

    async def _finish_writing(self) -> None:
        if self._task is None:
            return
        if not await is_done(self._task, self._close_timeout_s):
            _log.warning("the session store takes too long: its content may be out of date")
            self._task.cancel()
            await asyncio.wait([self._task])

    def _write_soon(self, store: SessionStore) -> None:
        self._is_due = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write(store), name="keystay-store")

    async def _write(self, store: SessionStore) -> None:
        while self._is_due:
            self._is_due = False
            try:
                if self._current is None:
                    await asyncio.to_thread(store.clear)
                else:
                    await asyncio.to_thread(store.save, self._current)
            except Exception:
                _log.exception("the session store could not be written")
                self._is_failed = True
            else:
                self._is_failed = False
