"""The store is written beside the conversation: the newest state, one write at a time."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from keystay import Options, StoredSession
from keystay._session_saver import SessionSaver
from tests.support.client_py.golden import KEY
from tests.support.client_py.peer import WAIT_S


class SlowStore:
    """A store of a program, whose writes take until the test lets them go."""

    def __init__(self) -> None:
        self.written: list[StoredSession | None] = []
        self.has_begun = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._go = threading.Event()
        self._one_at_a_time = threading.Lock()

    def load(self) -> StoredSession | None:
        """Take as long as a write."""
        self._write(None)
        return None

    def save(self, session: StoredSession) -> None:
        """Note it, when it is let go."""
        self._write(session)

    def clear(self) -> None:
        """Note that too."""
        self._write(None)

    def let_go(self) -> None:
        """Let this write and all later ones be done."""
        self._go.set()

    def _write(self, session: StoredSession | None) -> None:
        assert self._one_at_a_time.acquire(blocking=False)
        self._loop.call_soon_threadsafe(self.has_begun.set)
        assert self._go.wait(WAIT_S)
        self.written.append(session)
        self._one_at_a_time.release()


class BrokenStore:
    """A store of a program that fails as often as the test says."""

    def __init__(self, failures: int) -> None:
        self.written: list[StoredSession | None] = []
        self._failures = failures

    def load(self) -> StoredSession | None:
        """Fail, if it is to."""
        self._fail()
        return None

    def save(self, session: StoredSession) -> None:
        """Fail, if it is to; else note it."""
        self._fail()
        self.written.append(session)

    def clear(self) -> None:
        """Fail, if it is to; else note it."""
        self._fail()
        self.written.append(None)

    def _fail(self) -> None:
        if self._failures:
            self._failures -= 1
            raise OSError("no space left on device")


@pytest.fixture
async def slow() -> AsyncIterator[SlowStore]:
    """A slow store, let go at the end."""
    store = SlowStore()
    yield store
    store.let_go()


async def test_what_comes_during_a_write_is_written_once() -> None:
    """Of the states that come while the first is written, only the last is written next."""
    store = SlowStore()
    saver = SessionSaver(store, Options())
    saver.update(StoredSession(KEY, 0))
    async with asyncio.timeout(WAIT_S):
        await store.has_begun.wait()
    for cursor in range(1, 100):
        saver.update(StoredSession(KEY, cursor))
    store.let_go()
    await saver.close()
    assert store.written == [StoredSession(KEY, 0), StoredSession(KEY, 99)]


async def test_a_session_that_ends_during_a_write() -> None:
    """The store is cleared after it: the key does not come back."""
    store = SlowStore()
    saver = SessionSaver(store, Options())
    saver.update(StoredSession(KEY, 0))
    async with asyncio.timeout(WAIT_S):
        await store.has_begun.wait()
    saver.update(None)
    store.let_go()
    await saver.close()
    assert store.written == [StoredSession(KEY, 0), None]


async def test_what_is_stored_already_is_not_written() -> None:
    """A state that is told again costs nothing."""
    store = BrokenStore(0)
    saver = SessionSaver(store, Options())
    for _ in range(3):
        saver.update(StoredSession(KEY, 1))
        await saver.close()
    assert store.written == [StoredSession(KEY, 1)]


async def test_a_store_that_takes_too_long(
    slow: SlowStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither loading nor closing waits for it beyond the timeouts of the options."""
    options = replace(Options(), open_timeout_s=0.05, close_timeout_s=0.05)
    async with asyncio.timeout(WAIT_S):
        assert await SessionSaver(slow, options).load() is None
        assert "could not be read" in caplog.text
        slow.let_go()

    writing = SlowStore()
    saver = SessionSaver(writing, options)
    saver.update(StoredSession(KEY, 1))
    async with asyncio.timeout(WAIT_S):
        await saver.close()
    writing.let_go()
    assert "takes too long" in caplog.text


async def test_a_write_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """With the next change, and at the end; each failure is logged, none is raised."""
    store = BrokenStore(2)
    saver = SessionSaver(store, Options())
    saver.update(StoredSession(KEY, 1))
    await saver.close()
    assert store.written == []
    saver.update(StoredSession(KEY, 2))
    await saver.close()
    assert store.written == [StoredSession(KEY, 2)]
    assert caplog.text.count("could not be written") == 2
    assert "kst_" not in caplog.text


async def test_without_a_store() -> None:
    """Nothing is loaded, and nothing is written."""
    saver = SessionSaver(None, Options())
    assert await saver.load() is None
    saver.update(StoredSession(KEY, 1))
    await saver.close()
