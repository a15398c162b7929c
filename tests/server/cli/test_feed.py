"""
`keystay feed`, against a stand-in for `GET /v1/feed`.
"""

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.server.shell import SOON_S, running

SET = {
    "actorId": "player:8",
    "cursor": 7,
    "at": 1_700_000_000_000,
    "session": {
        "actorId": "player:8",
        "meta": {"name": "Ada"},
        "id": "s.1",
        "language": "en",
        "version": None,
        "createdAt": 1,
        "expiresAt": 2,
        "endsAt": None,
        "revision": 1,
    },
}
UNSET = {
    "actorId": "player:8",
    "cursor": 8,
    "at": 1_700_000_001_000,
    "id": "s.1",
    "reason": "replaced",
    "by": {"id": "s.2", "createdAt": 1},
}


def sse(position: str, name: str, data: object) -> bytes:
    """An event as it is sent."""
    return f"id: {position}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()


@dataclass(slots=True)
class Feed:
    """What a stand-in for the server answers, request by request, and what it was asked."""

    answers: list[tuple[str, bytes]]
    asked: list[str] = field(default_factory=list)

    async def answer(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Answer a request with the next answer, the last one for ever, in chunks."""
        try:
            self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
            status, body = self.answers.pop(0)
            kind = "text/event-stream" if status == "200 OK" else "application/problem+json"
            head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked"
            writer.write(f"{head}\r\n\r\n".encode())
            # Cut in the middle of a line: chunks are not lines.
            for part in (body[:10], body[10:]):
                if part:
                    writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            if self.answers:
                writer.write(b"0\r\n\r\n")
            else:
                await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def watching(feed: Feed, *flags: str) -> AsyncIterator[Process]:
    """`keystay feed`, called with its former name."""
    server = await asyncio.start_server(feed.answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    env = {
        "KEYSTAY_CONTROL": f"http://127.0.0.1:{port}",
        "KEYSTAY_API_KEY": "key",
        "PYTHONUNBUFFERED": "1",
    }
    async with server, running("watch", *flags, env=env) as process, asyncio.timeout(SOON_S):
        yield process
        server.close()


async def line(process: Process) -> str:
    """The next line that it prints."""
    assert process.stdout is not None
    return (await process.stdout.readline()).decode()


async def test_each_event_is_a_line() -> None:
    """When, whose, what, which session, and how it is or why it is over."""
    feed = Feed([("200 OK", sse("1", "session.set", SET) + sse("2", "session.unset", UNSET))])
    async with watching(feed) as process:
        assert (await line(process)).split("  ") == [
            *("2023-11-14 22:13:20Z", "player:8", "session.set", "", "s.1", '{"name": "Ada"}\n')
        ]
        assert (await line(process)).split("  ") == [
            *("2023-11-14 22:13:21Z", "player:8", "session.unset", "s.1", "replaced"),
            "by s.2\n",
        ]
    [request] = feed.asked
    assert request.startswith("GET /v1/feed HTTP/1.1\r\n")
    assert "\r\nauthorization: bearer key\r\n" in request.lower()
    assert "last-event-id" not in request.lower()


async def test_programs_get_one_json_object_a_line() -> None:
    """`--json` passes on what the server sent, with the position to resume from."""
    feed = Feed([("200 OK", b": alive\n\n" + sse("1", "session.set", SET))])
    async with watching(feed, "--json") as process:
        told = json.loads(await line(process))
    assert told == {"event": "session.set", "position": "1", "data": SET}


async def test_actors_can_be_chosen() -> None:
    """`--actor` can be there several times, with any characters."""
    feed = Feed([("200 OK", sse("1", "session.set", SET))])
    async with watching(feed, "--actor", "a/b&c", "--actor", "d") as process:
        await line(process)
    assert feed.asked[0].startswith("GET /v1/feed?actor=a%2Fb%26c&actor=d HTTP/1.1\r\n")


async def test_a_stream_that_ends_is_resumed_from_where_it_broke() -> None:
    """With the last position; also after a node that had no time for it."""
    feed = Feed(
        [
            ("200 OK", sse("41", "session.set", SET) + b"event: session.unset\ndata: {"),
            ("503 Service Unavailable", b""),
            ("200 OK", sse("42", "session.unset", UNSET)),
        ]
    )
    async with watching(feed, "--json") as process:
        assert json.loads(await line(process))["position"] == "41"
        assert json.loads(await line(process))["position"] == "42"
        assert process.stderr is not None
        for _ in range(2):
            assert b"; reconnecting in " in await process.stderr.readline()
        assert await process.stderr.readline() == b"keystay: the feed: connected again\n"
    assert ["last-event-id: 41" in request.lower() for request in feed.asked] == [
        *(False, True, True)
    ]


async def test_lost_events_are_reported() -> None:
    """A line reports that the history does not reach back so far."""
    feed = Feed([("200 OK", sse("9", "feed.lost", {}) + sse("10", "session.set", SET))])
    async with watching(feed) as process:
        assert (await line(process)).startswith("events are missing")
        assert "session.set" in await line(process)


async def test_a_name_cannot_rewrite_the_screen() -> None:
    """What is not printable in an event is escaped."""
    evil = {**SET, "actorId": "\x1b[2J"}
    feed = Feed([("200 OK", sse("1", "session.set", evil))])
    async with watching(feed) as process:
        assert "\x1b" not in await line(process)


async def test_a_refusal_ends_it() -> None:
    """A key that is wrong is not tried again: one line, and 1."""
    problem = b'{"title": "Forbidden", "status": 403, "detail": "this key may not"}'
    feed = Feed([("403 Forbidden", problem), ("200 OK", b"")])
    async with watching(feed) as process:
        _, said = await process.communicate()
    assert (process.returncode, said) == (1, b"keystay: this key may not\n")
    assert len(feed.asked) == 1


async def test_ctrl_c_is_its_end() -> None:
    """It exits with 0 and prints nothing more."""
    feed = Feed([("200 OK", sse("1", "session.set", SET))])
    async with watching(feed) as process:
        await line(process)
        process.send_signal(2)
        out, said = await process.communicate()
    assert (process.returncode, out, said) == (0, b"", b"")
