"""Handlers: one at a time, in order, and none can hurt another."""

import asyncio
import logging
from typing import Any

import pytest

from keystay._handlers import Handlers, call
from keystay._stream import Broadcaster
from keystay_protocol.frames import Event


async def heard(handlers: Handlers, *names: str, buffer: int = 100) -> None:
    """Run the handlers over events of these names."""
    broadcaster: Broadcaster[Event] = Broadcaster()
    events = broadcaster.open(buffer)
    for name in names:
        broadcaster.publish(Event(name, name.upper(), None))
    broadcaster.end()
    async with asyncio.timeout(5):
        await handlers.run(events)


async def test_a_handler_hears_its_path_and_everything_below() -> None:
    """`session` hears `session.set`, not `sessions`; the empty path hears all."""
    calls: list[tuple[str, Any]] = []
    everything: list[str] = []
    handlers = Handlers()
    handlers.on("session", lambda path, data: calls.append((path, data)))
    handlers.on("", lambda path, data: everything.append(path))
    await heard(handlers, "session", "session.set", "sessions", "chat.session")
    assert calls == [("session", "SESSION"), ("session.set", "SESSION.SET")]
    assert everything == ["session", "session.set", "sessions", "chat.session"]


async def test_handlers_run_one_at_a_time_in_order() -> None:
    """The next handler, and the next event, wait for an async handler to finish."""
    steps: list[str] = []
    handlers = Handlers()

    async def slow(path: str, data: Any) -> None:
        steps.append(f"{path} begins")
        for _ in range(3):
            await asyncio.sleep(0)
        steps.append(f"{path} ends")

    handlers.on("a", slow)
    handlers.on("a", lambda path, data: steps.append("the second handler"))
    await heard(handlers, "a.1", "a.2")
    assert steps == [
        *("a.1 begins", "a.1 ends", "the second handler"),
        *("a.2 begins", "a.2 ends", "the second handler"),
    ]


async def test_a_handler_that_fails_is_logged_and_stops_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its traceback is in the log; later handlers and events are unharmed."""
    calls: list[str] = []
    handlers = Handlers()

    def broken(path: str, data: Any) -> None:
        raise RuntimeError("a bug of the program")

    async def cancelled(path: str, data: Any) -> None:
        raise asyncio.CancelledError

    handlers.on("a", broken)
    handlers.on("a", cancelled)
    handlers.on("a", lambda path, data: calls.append(path))
    await heard(handlers, "a", "a")
    assert calls == ["a", "a"]
    assert "a bug of the program" in caplog.text
    assert "broken failed" in caplog.text
    assert "cancelled raised CancelledError" in caplog.text


async def test_a_removed_handler_is_not_called() -> None:
    """`off` undoes one `on`; twice does no harm."""
    calls: list[str] = []
    handlers = Handlers()

    def handler(path: str, data: Any) -> None:
        calls.append(path)

    handlers.on("a", handler)
    handlers.on("b", handler)
    handlers.off("a", handler)
    handlers.off("a", handler)
    await heard(handlers, "a", "b")
    assert calls == ["b"]


async def test_a_handler_may_remove_itself() -> None:
    """The others are still called for the same event."""
    calls: list[str] = []
    handlers = Handlers()

    def once(path: str, data: Any) -> None:
        calls.append("once")
        handlers.off("a", once)

    handlers.on("a", once)
    handlers.on("a", lambda path, data: calls.append("always"))
    await heard(handlers, "a", "a")
    assert calls == ["once", "always", "always"]


async def test_handlers_are_told_what_they_missed(caplog: pytest.LogCaptureFixture) -> None:
    """When the buffer was full, `events.lost` comes in the place of what was dropped."""
    calls: list[tuple[str, Any]] = []
    handlers = Handlers()
    handlers.on("", lambda path, data: calls.append((path, data)))
    with caplog.at_level(logging.WARNING):
        await heard(handlers, "a", "b", "c", buffer=1)
    assert calls == [("a", "A"), ("events.lost", {"count": 2})]
    assert "2 events were dropped" in caplog.text


async def test_cancelling_the_task_cancels_the_handler() -> None:
    """A handler cannot keep a client from closing."""
    started = asyncio.Event()

    async def forever() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(call(forever))
    async with asyncio.timeout(5):
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
