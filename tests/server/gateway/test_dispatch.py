"""
From a command to its reply.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgpack
import pytest

from keystay_protocol.errors import LoginFailed, RateLimited, Unavailable
from keystay_protocol.frames import Command
from keystay_server.gateway.commands.signature import Row, anything
from keystay_server.gateway.dispatch import Dispatcher
from tests.support.server.wire import WAIT_S

Handler = Callable[..., Any]


def run(handler: Handler, *, deadline_s: float = WAIT_S) -> "bytes | asyncio.Task[bytes]":
    """Run a command that this handler answers, as a callback of the loop would."""
    context: Any = None
    return dispatcher_of(handler, deadline_s=deadline_s).run(
        context, Command(7, "test.it", ["param"])
    )


def dispatcher_of(handler: Handler, *, deadline_s: float = WAIT_S) -> Dispatcher:
    """A dispatcher with one command, `test.it`."""
    return Dispatcher(
        {"test.it": Row(handler, anything("it", optional=True))}, deadline_s=deadline_s
    )


async def reply_of(running: "bytes | asyncio.Task[bytes]") -> Any:
    """The reply that was waited for."""
    assert isinstance(running, asyncio.Task)
    async with asyncio.timeout(WAIT_S):
        return msgpack.unpackb(await running)


async def test_a_command_that_does_not_wait_is_answered_at_once() -> None:
    """Without a task: the reply is there when the call returns."""

    async def handler(_: Any, it: str) -> list[str]:
        return [it]

    reply = run(handler)
    assert isinstance(reply, bytes)
    assert msgpack.unpackb(reply) == [1, 7, None, ["param"]]


async def test_a_command_that_waits_is_answered_by_a_task() -> None:
    """It has begun when the call returns, and goes on when what it waits for is there."""
    begun: list[str] = []
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def handler(_: Any, it: str) -> str:
        begun.append(it)
        return f"{it} {await answer}"

    running = run(handler)
    assert begun == ["param"]
    answer.set_result("answered")
    assert await reply_of(running) == [1, 7, None, "param answered"]


async def test_a_command_may_wait_as_often_as_it_likes() -> None:
    """For turns of the loop, futures that are done, tasks and failures."""

    async def failing() -> None:
        await asyncio.sleep(0)
        raise KeyError("caught")

    async def handler(_: Any, __: Any) -> str:
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        done.set_result("done")
        await asyncio.sleep(0)
        try:
            await failing()
        except KeyError:
            return await asyncio.create_task(asyncio.wait_for(done, 1))
        return ""

    assert await reply_of(run(handler)) == [1, 7, None, "done"]


async def test_refusing_is_raising() -> None:
    """A refusal's code is the reply's error; message and time to wait are its details."""

    async def at_once(_: Any, __: Any) -> None:
        raise LoginFailed("who are you?")

    async def later(_: Any, __: Any) -> None:
        await asyncio.sleep(0)
        raise RateLimited(retry_after_s=1.5)

    reply = run(at_once)
    assert isinstance(reply, bytes)
    assert msgpack.unpackb(reply) == [1, 7, "loginFailed", {"message": "who are you?"}]
    assert await reply_of(run(later)) == [1, 7, "rateLimited", {"retryAfter": 1.5}]


@pytest.mark.parametrize("waits", [False, True])
async def test_a_crash_is_internal_without_details(
    caplog: pytest.LogCaptureFixture, *, waits: bool
) -> None:
    """The client learns nothing of the error; the log has it, and which command it was."""

    async def handler(_: Any, __: Any) -> None:
        if waits:
            await asyncio.sleep(0)
        raise RuntimeError("a secret of the server")

    running = run(handler)
    reply = msgpack.unpackb(running) if isinstance(running, bytes) else await reply_of(running)
    assert reply == [1, 7, "internal", None]
    (record,) = caplog.records
    assert (record.levelno, vars(record)["method"]) == (logging.ERROR, "test.it")
    assert "a secret of the server" in caplog.text


@pytest.mark.parametrize("waits", [False, True])
async def test_a_result_that_cannot_be_told_is_internal(
    caplog: pytest.LogCaptureFixture, *, waits: bool
) -> None:
    """A handler that returns what the wire has no form for has crashed: it is answered."""

    async def handler(_: Any, __: Any) -> object:
        if waits:
            await asyncio.sleep(0)
        return {"not": object()}

    running = run(handler)
    reply = msgpack.unpackb(running) if isinstance(running, bytes) else await reply_of(running)
    assert reply == [1, 7, "internal", None]
    assert len(caplog.records) == 1


async def test_an_unknown_command_is_told() -> None:
    """Whatever its name is; the name is not repeated at any length."""
    context: Any = None
    for method in ("session.dance", "", "x" * 60_000):
        reply = Dispatcher({}, deadline_s=1).run(context, Command(7, method, []))
        assert isinstance(reply, bytes)
        assert msgpack.unpackb(reply)[:3] == [1, 7, "unknownCommand"]
        assert len(reply) < 1024


async def test_wrong_params_are_told() -> None:
    """The handler has not run."""
    context: Any = None
    dispatcher = dispatcher_of(pytest.fail)
    reply = dispatcher.run(context, Command(7, "test.it", [1, 2]))
    assert isinstance(reply, bytes)
    assert msgpack.unpackb(reply)[:3] == [1, 7, "invalidParams"]


async def test_a_command_that_takes_too_long_is_a_timeout() -> None:
    """At its deadline the handler is cancelled, cleans up, and the reply is `timeout`."""
    cleaned: list[str] = []

    async def handler(_: Any, __: Any) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cleaned.append("up")

    assert await reply_of(run(handler, deadline_s=0.01)) == [1, 7, "timeout", None]
    assert cleaned == ["up"]


async def test_a_handler_that_finishes_at_its_deadline_is_answered() -> None:
    """Cancelled, it may still bring what it was doing to an end: that is the reply."""

    async def handler(_: Any, __: Any) -> str:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            return "just in time"
        return ""

    reply = await reply_of(run(handler, deadline_s=0.01))
    assert reply == [1, 7, None, "just in time"]


async def test_what_happened_before_the_deadline_counts() -> None:
    """A refusal of the handler's own is told as it is."""

    async def handler(_: Any, __: Any) -> None:
        await asyncio.sleep(0)
        raise Unavailable("the store does not answer", retry_after_s=1)

    assert (await reply_of(run(handler)))[2] == "unavailable"


async def test_a_drain_waits_for_what_is_under_way() -> None:
    """Commands that finish in time are answered."""
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def handler(_: Any, __: Any) -> str:
        return await answer

    dispatcher = dispatcher_of(handler)
    context: Any = None
    running = dispatcher.run(context, Command(7, "test.it", []))
    draining = asyncio.create_task(dispatcher.drain(WAIT_S))
    await asyncio.sleep(0)
    answer.set_result("in time")
    await draining
    assert (await reply_of(running))[3] == "in time"


async def test_a_drain_waits_for_what_follows() -> None:
    """A command that begins when the one before it is answered is under way as well."""
    context: Any = None
    answers: list[Any] = []

    async def handler(_: Any, it: int) -> int:
        await asyncio.sleep(0)
        return it

    dispatcher = dispatcher_of(handler)

    def start(number: int) -> None:
        running = dispatcher.run(context, Command(number, "test.it", [number]))
        assert isinstance(running, asyncio.Task)
        running.add_done_callback(finish)

    def finish(task: "asyncio.Task[bytes]") -> None:
        answers.append(msgpack.unpackb(task.result())[1])
        if len(answers) < 5:
            start(len(answers))

    start(0)
    await dispatcher.drain(WAIT_S)
    assert answers == [0, 1, 2, 3, 4]


async def test_a_drain_gives_up_what_takes_too_long() -> None:
    """It is cancelled, and gone when the drain is over."""
    cleaned: list[str] = []

    async def handler(_: Any, __: Any) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cleaned.append("up")

    dispatcher = dispatcher_of(handler)
    context: Any = None
    running = dispatcher.run(context, Command(7, "test.it", []))
    await dispatcher.drain(0.01)
    assert isinstance(running, asyncio.Task)
    assert (running.cancelled(), cleaned) == (True, ["up"])


async def test_a_drain_with_nothing_under_way_is_over_at_once() -> None:
    """There is nothing to wait for."""
    async with asyncio.timeout(WAIT_S):
        await dispatcher_of(pytest.fail).drain(3600)
