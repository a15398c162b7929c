"""Everything about a client has a bound: waits, queues, buffers, tasks."""

import asyncio
from typing import Any

import pytest

import keystay
from keystay import ConnectionState
from keystay_protocol.codec import encode
from keystay_protocol.frames import Event
from tests.support.client_py.golden import CURSOR, KEY, bound, done, refused, session_set
from tests.support.client_py.peer import FAST, WAIT_S, Peer


class TestTimeouts:
    """No command waits for longer than it may."""

    async def test_a_server_that_does_not_answer(self, peer: Peer) -> None:
        """The error says that the command may have run."""
        client = await peer.client()
        with pytest.raises(keystay.Timeout, match=r"no reply within 0\.05 s"):
            await client.now(timeout_s=0.05)

    async def test_the_default_of_the_client(self, peer: Peer) -> None:
        """`connect(timeout_s=...)` holds for every command that says nothing else."""
        async with keystay.connect(peer.url, timeout_s=0.05, options=FAST) as client:
            with pytest.raises(keystay.Timeout):
                await client.logout()
            answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
            client.is_valid(KEY, answer.set_result)
            assert await answer == "timeout"

    async def test_a_server_that_is_away(self, peer: Peer) -> None:
        """The error says that the command was not sent, and it never will be."""
        client, line = await peer.bound_client()
        line.drop()
        await client.wait_for(ConnectionState.RECONNECTING)
        with pytest.raises(keystay.Timeout, match="not sent"):
            await client.logout(timeout_s=0.05)
        line = await peer.accept()
        await line.serve_restore(KEY, CURSOR + 1, after=CURSOR)
        now = asyncio.ensure_future(client.now())
        await line.serve_now(3)
        assert await now == 3

    async def test_a_line_that_breaks_under_the_command(self, peer: Peer) -> None:
        """The error does not say that the command was not sent, and it is not sent again."""
        client, line = await peer.bound_client()
        now = asyncio.ensure_future(client.now(timeout_s=0.2))
        await line.command()
        line.drop()
        with pytest.raises(keystay.Timeout, match="it may have been executed"):
            await now
        line = await peer.accept()
        await line.serve_restore(KEY, CURSOR + 1, after=CURSOR)
        listed = asyncio.ensure_future(client.list())
        command = await line.command()
        assert command.method == "session.list"
        await line.send(done(command.id, []))
        assert await listed == []

    async def test_an_answer_that_comes_too_late(self, peer: Peer) -> None:
        """It answers nothing else, and what it says still counts."""
        client = await peer.client()
        line = await peer.accept()
        with pytest.raises(keystay.Timeout):
            await client.login("anonymous", timeout_s=0.05)
        login = (await line.command()).id
        now = asyncio.ensure_future(client.now())
        await line.send(session_set(), bound(login))
        await line.serve_now(4)
        assert await now == 4
        assert client.session is not None

    async def test_a_cancelled_command(self, peer: Peer) -> None:
        """Cancelling stops the waiting, and disturbs nobody."""
        client = await peer.client()
        line = await peer.accept()
        waiting = asyncio.ensure_future(client.logout())
        id_ = (await line.command()).id
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await line.send(done(id_))
        now = asyncio.ensure_future(client.now())
        await line.serve_now(5)
        assert await now == 5


class TestQueues:
    """What has no room is refused or reported, never kept without limit."""

    async def test_too_many_commands(self, peer: Peer) -> None:
        """One more than `max_pending` is refused at once."""
        client = await peer.client(max_pending=2)
        waiting = [asyncio.ensure_future(client.now()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(keystay.QueueFull):
            await client.now()
        codes: list[str | None] = []
        client.is_valid(KEY, codes.append)
        await client.close()
        assert codes == ["queueFull"]
        for command in waiting:
            with pytest.raises(keystay.ClientClosed):
                await command

    async def test_handlers_that_are_too_slow(self, peer: Peer) -> None:
        """They are told how many events were dropped, in their place."""
        client, line = await peer.bound_client(event_buffer=2)
        heard: list[Any] = []
        go = asyncio.Event()
        busy = asyncio.Event()

        async def slow(path: str, data: Any) -> None:
            heard.append((path, data))
            busy.set()
            await go.wait()

        client.on("", slow)
        await line.send(encode(Event("n", 0, None)))
        async with asyncio.timeout(WAIT_S):
            await busy.wait()
        now = asyncio.ensure_future(client.now())
        await line.send(*(encode(Event("n", number, None)) for number in range(1, 6)))
        await line.serve_now()
        await now
        go.set()
        end = asyncio.Event()
        client.on("end", lambda path, data: end.set())
        while not end.is_set():
            now = asyncio.ensure_future(client.now())
            await line.send(encode(Event("end", None, None)))
            await line.serve_now()
            await now
        assert heard[:4] == [
            ("n", 0),
            ("n", 1),
            ("n", 2),
            (keystay.EVENTS_LOST, {"count": 3}),
        ]

    async def test_an_iterator_that_is_too_slow(self, peer: Peer) -> None:
        """The iteration raises `EventsLost`; another client's buffer is its own."""
        client, line = await peer.bound_client()
        small, large = client.events("n", buffer=1), client.events("n")
        now = asyncio.ensure_future(client.now())
        await line.send(*(encode(Event("n", number, None)) for number in range(3)))
        await line.serve_now()
        await now
        assert (await anext(small)).data == 0
        with pytest.raises(keystay.EventsLost, match="2 events"):
            await anext(small)
        assert [(await anext(large)).data for _ in range(3)] == [0, 1, 2]


class TestClosing:
    """A client that is closed has left nothing behind."""

    async def test_no_task_is_left(self, peer: Peer) -> None:
        """After `close`, the program has exactly the tasks it had before."""
        before = asyncio.all_tasks()
        client, line = await peer.bound_client()
        client.is_valid(KEY, lambda error: None)
        await line.command()
        await client.close()
        left = asyncio.all_tasks() - before
        assert [task for task in left if task.get_name().startswith("keystay")] == []

    async def test_a_failed_attempt_leaves_no_task(self, peer: Peer) -> None:
        """Nor does a client that never was connected."""
        peer.stop()
        before = asyncio.all_tasks()
        with pytest.raises(keystay.ConnectFailed):
            await keystay.connect(peer.url, options=FAST)
        assert asyncio.all_tasks() <= before

    async def test_closing_twice(self, peer: Peer) -> None:
        """The second time does nothing."""
        client = await peer.client()
        await client.close()
        await client.close()
        assert client.state is ConnectionState.CLOSED
        assert client.error is None

    async def test_an_unused_client(self) -> None:
        """Made, never connected, closed: nothing happens."""
        client = keystay.connect("ws://127.0.0.1:1")
        states = [client.state]
        await client.close()
        states.append(client.state)
        assert states == [ConnectionState.CONNECTING, ConnectionState.CLOSED]

    async def test_a_handler_may_close_the_client(self, peer: Peer) -> None:
        """It is not waited for by what it waits for."""
        client, line = await peer.bound_client()
        steps: list[str] = []
        ended = asyncio.Event()

        @client.on("stop")
        async def stop(path: str, data: Any) -> None:
            await client.close()
            steps.append("closed")
            ended.set()

        await line.send(encode(Event("stop", None, None)))
        async with asyncio.timeout(WAIT_S):
            await ended.wait()
        assert client.state is ConnectionState.CLOSED
        assert steps == ["closed"]
        await client.close()

    async def test_handlers_finish_what_was_heard(self, peer: Peer) -> None:
        """Events that came before the end are delivered before `close` returns."""
        client, line = await peer.bound_client()
        heard: list[int] = []

        async def slow(path: str, data: int) -> None:
            for _ in range(3):
                await asyncio.sleep(0)
            heard.append(data)

        client.on("n", slow)
        now = asyncio.ensure_future(client.now())
        await line.send(*(encode(Event("n", number, None)) for number in range(3)))
        await line.serve_now()
        await now
        await client.close()
        assert heard == [0, 1, 2]

    async def test_a_handler_that_never_ends(self, peer: Peer) -> None:
        """It is cancelled when `close_timeout_s` is over."""
        client, line = await peer.bound_client(close_timeout_s=0.05)
        cancelled = asyncio.Event()
        busy = asyncio.Event()

        @client.on("n")
        async def forever(path: str, data: Any) -> None:
            busy.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        await line.send(encode(Event("n", None, None)))
        async with asyncio.timeout(WAIT_S):
            await busy.wait()
            await client.close()
        assert cancelled.is_set()

    async def test_callbacks_are_called_at_the_end(self, peer: Peer) -> None:
        """What had no answer gets one: unknown, or not carried out."""
        client = await peer.client()
        line = await peer.accept()
        answers: list[tuple[str, str | None]] = []
        client.logout(callback=lambda error: answers.append(("logout", error)))
        client.is_valid(KEY, lambda error: answers.append(("is_valid", error)))
        client.restore(callback=lambda error: answers.append(("restore", error)))
        await line.command()
        await line.command()
        await client.close()
        assert sorted(answers, key=str) == [
            ("is_valid", "clientClosed"),
            ("logout", "connectionLost"),
            ("restore", "noSession"),
        ]

    async def test_a_callback_that_fails_is_logged(
        self, peer: Peer, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It takes nothing with it."""
        client = await peer.client()
        line = await peer.accept()

        def broken(error: str | None) -> None:
            raise RuntimeError("a bug of the program")

        client.is_valid(KEY, broken)
        await line.send(refused((await line.command()).id, "expired"))
        await client.close()
        assert "a bug of the program" in caplog.text

    async def test_an_exception_of_the_program_passes_through(self, peer: Peer) -> None:
        """`async with` closes the client and raises what the program raised, as it is."""
        with pytest.raises(ZeroDivisionError):
            async with keystay.connect(peer.url, options=FAST) as client:
                raise ZeroDivisionError
        assert client.state is ConnectionState.CLOSED
