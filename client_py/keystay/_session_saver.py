"""
Keeps the store up to date with the session, beside the conversation.

The law of this module: the newest state is written, those that it overtook are
not; at most one write is under way; and what a store raises ends in the log.
"""

import asyncio
import logging

from keystay.options import Options
from keystay.session_store import SessionStore, StoredSession

_log = logging.getLogger("keystay.client")


class Keeper:
    """
    Loads from a store, and writes to it. Without a store it does nothing.

    Args:
        options: Loading may take as long as opening, the last write as long as closing.
    """

    def __init__(self, store: SessionStore | None, options: Options) -> None:
        self._store = store
        self._load_timeout_s = options.open_timeout_s
        self._close_timeout_s = options.close_timeout_s
        self._current: StoredSession | None = None
        self._is_due = False
        """Whether `current` is not with the store yet."""
        self._is_failed = False
        """Whether the store did not take what it was handed last."""
        self._task: asyncio.Task[None] | None = None

    async def load(self) -> StoredSession | None:
        """Return what is stored; None if that is nothing, or the store fails."""
        if self._store is None:
            return None
        try:
            async with asyncio.timeout(self._load_timeout_s):
                self._current = await asyncio.to_thread(self._store.load)
        except Exception:  # Whatever it is, it is the store's, and the client goes on.
            _log.exception("the session store could not be read")
        return self._current

    def note(self, current: StoredSession | None) -> None:
        """This is what should be stored from now on. Does not wait."""
        if self._store is not None and current != self._current:
            self._current = current
            self._write_soon(self._store)

    async def close(self) -> None:
        """
        Wait until everything is written, but for no write longer than closing may take.

        What the store did not take is offered to it once more.
        """
        await self._finish_writing()
        if self._is_failed and self._store is not None:
            self._write_soon(self._store)
            await self._finish_writing()

    async def _finish_writing(self) -> None:
        if self._task is None:
            return
        _, late = await asyncio.wait([self._task], timeout=self._close_timeout_s)
        if late:
            _log.warning("the session store takes too long: what is in it may be old")
            self._task.cancel()
            await asyncio.wait(late)

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
