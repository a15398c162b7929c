"""
One client: it logs in, listens, drops, comes back with its cursor, and logs out, at random.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress

from tests.soak.line import Line, Lost
from tests.soak.nodes import Node
from tests.soak.record import Answered, Asked
from tests.soak.recorder import Recorder, Ticket

TRY_AGAIN_S = 0.5
PAUSE_S = (0.5, 4.0)
AWAY_S = 5.0
LAST_S = 2.0
"""Within which all of them restore for the last time."""
SHARED = 0.7
"""How often it takes a key that others have too, if there is one, and does not log in."""
PASSING = ("unavailable", "timeout", "internal")

HABITS = {
    "listen": 30,
    "restore": 12,
    "check": 14,
    "check_past": 8,
    "list": 6,
    "move": 5,
    "drop": 14,
    "leave": 5,
    "log_out": 5,
    "log_out_others": 1,
    "log_out_all": 1,
}
"""What it does, and how often."""


class Player:
    """A client of one actor, with a will of its own."""

    def __init__(
        self,
        recorder: Recorder,
        nodes: Sequence[Node],
        actor_id: str,
        rng: random.Random,
        *,
        hears_app: bool,
    ) -> None:
        self.line: Line | None = None
        self.ticket: Ticket | None = None
        self._recorder = recorder
        self._nodes = nodes
        self._actor_id = actor_id
        self._rng = rng
        self._hears_app = hears_app
        self._cursor: int | None = None
        self._first_cursor: int | None = None
        self._is_ending = asyncio.Event()

    @property
    def bound(self) -> Ticket | None:
        """What it holds now, and hears of."""
        if self.line is None or self.line.is_closed.is_set() or self.ticket is None:
            return None
        return None if self.ticket.session_id in self.line.ended else self.ticket

    def end(self) -> None:
        """Have it restore what it holds once more, and then only listen."""
        self._is_ending.set()

    async def leave(self) -> None:
        """Go for good."""
        if self.line is not None:
            self.line.abort()
            await self.line.close()

    async def play(self) -> None:
        """Do this and that until told to end; return once it is bound, or has no session."""
        while not self._is_ending.is_set():
            await self._stay_or_wait()
        await asyncio.sleep(self._rng.uniform(0, LAST_S))
        while self.ticket is not None:
            with suppress(Lost):
                if await self._take_seat(await self._connected()):
                    return
            await asyncio.sleep(TRY_AGAIN_S)

    async def _stay_or_wait(self) -> None:
        try:
            await self._stay(await self._connected())
        except Lost:
            line, self.line = self.line, None
            if line is not None:
                await self._leave_draining(line)
        await self._wait(self._rng.uniform(0, TRY_AGAIN_S))

    async def _leave_draining(self, line: Line) -> None:
        self._keep_cursor(line)
        if line.reconnect_after_s is not None and not line.is_closed.is_set():
            await self._wait(line.reconnect_after_s)
        await line.close()
        self._keep_cursor(line)

    async def _wait(self, seconds: float) -> None:
        """Let time pass, but no more of it than is left."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._is_ending.wait()

    async def _connected(self) -> Line:
        line = self.line
        if line is not None and not line.is_closed.is_set():
            return line
        if line is not None:
            self._keep_cursor(line)
        node = self._rng.choice(self._nodes)
        line = await Line.open(self._recorder, node.url, self._actor_id)
        self.line = line
        if self._hears_app:
            answer = await line.ask(Asked(self._recorder.now(), "events.subscribe"), ["game"])
            line.connection.hears_app = answer.error is None
        return line

    async def _stay(self, line: Line) -> None:
        """Bind the connection and do a few things on it."""
        if not await self._take_seat(line):
            return
        for _ in range(self._rng.randint(1, 12)):
            await self._wait(self._rng.uniform(*PAUSE_S))
            self._keep_cursor(line)
            if self._is_ending.is_set():
                return
            if line.is_closed.is_set() or line.reconnect_after_s is not None:
                raise Lost
            if self.bound is None:
                self.ticket = None
                return
            [habit] = self._rng.choices(list(HABITS), list(HABITS.values()))
            await self._follow(habit, line, self.bound)
            if habit in ("drop", "leave"):
                return

    async def _take_seat(self, line: Line) -> bool:
        """Restore what it holds, or what another client of the actor does, or log in."""
        if self.ticket is None:
            self.ticket = self._some_ticket()
        if self.ticket is None:
            return await self._log_in(line)
        ticket = self.ticket
        if await self._restore(line, ticket):
            return True
        if ticket.session_id not in self._recorder.tickets.get(self._actor_id, {}):
            self.ticket = None
        return False

    def _some_ticket(self) -> Ticket | None:
        tickets = list(self._recorder.tickets.get(self._actor_id, {}).values())
        return self._rng.choice(tickets) if tickets and self._rng.random() < SHARED else None

    async def _log_in(self, line: Line) -> bool:
        asked = Asked(self._recorder.now(), "session.login")
        answer = await line.ask(asked, "anonymous", {"actorId": self._actor_id})
        if answer.error is None:
            self.ticket = line.opened
        return answer.error is None

    async def _move(self, line: Line, ticket: Ticket) -> None:
        """Have the connection leave its session for another one of the actor, or a new one."""
        other = self._some_ticket()
        if other is None:
            await self._log_in(line)
        elif other != ticket and await self._restore(line, other):
            self.ticket = other

    async def _restore(self, line: Line, ticket: Ticket) -> bool:
        cursors = (self._cursor, self._first_cursor, None)
        [after] = self._rng.choices(cursors, weights=(90, 5, 5))
        asked = Asked(self._recorder.now(), "session.restore", ticket.session_id, after=after)
        try:
            answer = await line.ask(asked, ticket.key, {"cursor": after})
        finally:
            self._keep_cursor(line)
        if answer.error is not None and answer.error not in PASSING:
            self._recorder.withdraw(self._actor_id, ticket.session_id)
        return answer.error is None

    def _keep_cursor(self, line: Line) -> None:
        if line.cursor:
            self._cursor = max(self._cursor or 0, line.cursor)
            self._first_cursor = self._first_cursor or self._cursor

    async def _follow(self, habit: str, line: Line, ticket: Ticket) -> None:
        match habit:
            case "restore":
                await self._restore(line, ticket)
            case "check":
                await self._ask(line, "session.isValid", ticket, ticket.key)
            case "check_past":
                past = self._recorder.past.get(self._actor_id)
                if past:
                    other = self._rng.choice(past)
                    await self._ask(line, "session.isValid", other, other.key)
            case "move":
                await self._move(line, ticket)
            case "list":
                await self._ask(line, "session.list", ticket)
            case "drop":
                line.abort()
                await line.close()
                await self._wait(self._rng.uniform(0, AWAY_S))
            case "leave":
                await line.close()
                await self._wait(self._rng.uniform(0, TRY_AGAIN_S))
            case "log_out" | "log_out_others" | "log_out_all":
                await self._log_out(line, ticket, habit.removeprefix("log_out_"))

    async def _ask(self, line: Line, method: str, ticket: Ticket, *params: str) -> Answered:
        asked = Asked(self._recorder.now(), method, ticket.session_id)
        return await line.ask(asked, *params)

    async def _log_out(self, line: Line, ticket: Ticket, scope: str) -> None:
        scope = "this" if scope == "log_out" else scope
        asked = Asked(self._recorder.now(), "session.logout", ticket.session_id, scope)
        answer = await line.ask(asked, {"scope": scope})
        if answer.error is None and scope != "others":
            self._recorder.withdraw(self._actor_id, ticket.session_id)
            self.ticket = None
