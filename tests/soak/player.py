"""
One client: it logs in, listens, drops, comes back with its cursor, and logs out, at random.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from tests.soak.connection import Client, Lost
from tests.soak.nodes import Node
from tests.soak.record import Command, Reply
from tests.soak.recorder import Recorder, SharedKey

TRY_AGAIN_S = 0.5
PAUSE_S = (0.5, 4.0)
AWAY_S = 5.0
LAST_S = 2.0
"""Within which all of them restore for the last time."""
SHARED = 0.7
"""How often it takes a key that others have too, if there is one, and does not log in."""
PASSING = ("unavailable", "timeout", "internal")

ACTIONS = {
    "listen": 30,
    "restore": 12,
    "check": 14,
    "check_past": 8,
    "list": 6,
    "move": 5,
    "change_actor": 5,
    "drop": 14,
    "leave": 5,
    "log_out": 5,
    "log_out_others": 1,
    "log_out_all": 1,
}
"""What it does, and how often."""


class Player:
    """A client of one actor at a time, which acts at random."""

    def __init__(
        self,
        recorder: Recorder,
        nodes: Sequence[Node],
        actor_ids: Sequence[str],
        rng: random.Random,
        *,
        hears_app: bool,
    ) -> None:
        self.client: Client | None = None
        self.key: SharedKey | None = None
        self._recorder = recorder
        self._nodes = nodes
        self._actor_ids = actor_ids
        self._actor_id = rng.choice(actor_ids)
        self._rng = rng
        self._hears_app = hears_app
        self._cursors: dict[str, int] = {}
        self._first_cursors: dict[str, int] = {}
        self._is_ending = asyncio.Event()

    @property
    def bound(self) -> SharedKey | None:
        """What it is bound to now."""
        if self.client is None or self.client.is_closed.is_set() or self.key is None:
            return None
        return None if self.key.session_id in self.client.ended else self.key

    def end(self) -> None:
        """Have it restore what it holds once more, and then only listen."""
        self._is_ending.set()

    async def leave(self) -> None:
        """Go for good."""
        if self.client is not None:
            self.client.abort()
            await self.client.close()

    async def play(self) -> None:
        """Do this and that until told to end; return once it is bound, or has no session."""
        while not self._is_ending.is_set():
            await self._stay_or_wait()
        await asyncio.sleep(self._rng.uniform(0, LAST_S))
        while self.key is not None:
            with suppress(Lost):
                if await self._bind(await self._connected()):
                    return
            await asyncio.sleep(TRY_AGAIN_S)

    async def _stay_or_wait(self) -> None:
        try:
            await self._stay(await self._connected())
        except Lost:
            client, self.client = self.client, None
            if client is not None:
                await self._leave_draining(client)
        await self._wait(self._rng.uniform(0, TRY_AGAIN_S))

    async def _leave_draining(self, client: Client) -> None:
        self._keep_cursors(client)
        if client.reconnect_after_s is not None and not client.is_closed.is_set():
            await self._wait(client.reconnect_after_s)
        await client.close()
        self._keep_cursors(client)

    async def _wait(self, seconds: float) -> None:
        """Let time pass, but no more of it than is left."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._is_ending.wait()

    async def _connected(self) -> Client:
        client = self.client
        if client is not None and not client.is_closed.is_set():
            return client
        if client is not None:
            self._keep_cursors(client)
        client = await Client.open(self._recorder, self._rng.choice(self._nodes))
        self.client = client
        if self._hears_app:
            reply = await client.ask(self._command("events.subscribe"), ["game"])
            client.connection.hears_app = reply.error is None
        return client

    async def _stay(self, client: Client) -> None:
        """Bind the connection and do a few things on it."""
        if not await self._bind(client):
            return
        for _ in range(self._rng.randint(1, 12)):
            await self._wait(self._rng.uniform(*PAUSE_S))
            self._keep_cursors(client)
            if self._is_ending.is_set():
                return
            if client.is_closed.is_set() or client.reconnect_after_s is not None:
                raise Lost
            if self.bound is None:
                self.key = None
                return
            [action] = self._rng.choices(list(ACTIONS), list(ACTIONS.values()))
            await self._do(action, client, self.bound)
            if action in ("drop", "leave"):
                return

    async def _bind(self, client: Client) -> bool:
        """Restore what it holds, or what another client of the actor does, or log in."""
        if self.key is None:
            self.key = self._some_key(self._actor_id)
        if self.key is None:
            return await self._log_in(client, self._actor_id)
        key = self.key
        if await self._restore(client, key):
            return True
        if not self._recorder.is_shared(key):
            self.key = None
        return False

    def _some_key(self, actor_id: str) -> SharedKey | None:
        keys = self._recorder.keys_of(actor_id)
        return self._rng.choice(keys) if keys and self._rng.random() < SHARED else None

    async def _log_in(self, client: Client, actor_id: str) -> bool:
        command = Command(self._recorder.now(), "session.login", actor_id)
        reply = await client.ask(command, "anonymous", {"actorId": actor_id})
        if reply.error is None:
            self.key, self._actor_id = client.opened, actor_id
        return reply.error is None

    async def _move(self, client: Client, key: SharedKey, actor_id: str) -> None:
        """Have the connection leave its session for another one of the actor, or a new one."""
        other = self._some_key(actor_id)
        if other is None:
            await self._log_in(client, actor_id)
        elif other != key and await self._restore(client, other):
            self.key, self._actor_id = other, actor_id

    async def _restore(self, client: Client, key: SharedKey) -> bool:
        actor_id = key.actor_id
        cursors = (self._cursors.get(actor_id), self._first_cursors.get(actor_id), None)
        [after] = self._rng.choices(cursors, weights=(90, 5, 5))
        command = self._command("session.restore", key, after=after)
        try:
            reply = await client.ask(command, key.key, {"cursor": after})
        finally:
            self._keep_cursors(client)
        if reply.error is not None and reply.error not in PASSING:
            self._recorder.withdraw(key.session_id)
        return reply.error is None

    def _keep_cursors(self, client: Client) -> None:
        for actor_id, cursor in client.cursors.items():
            if cursor:
                self._cursors[actor_id] = max(self._cursors.get(actor_id, 0), cursor)
                self._first_cursors.setdefault(actor_id, cursor)

    async def _do(self, action: str, client: Client, key: SharedKey) -> None:
        match action:
            case "restore":
                await self._restore(client, key)
            case "check" | "check_past":
                await self._check(client, key, is_past=action == "check_past")
            case "move":
                await self._move(client, key, self._actor_id)
            case "change_actor":
                await self._move(client, key, self._rng.choice(self._actor_ids))
            case "list":
                await self._ask(client, "session.list", key)
            case "drop":
                client.abort()
                await client.close()
                await self._wait(self._rng.uniform(0, AWAY_S))
            case "leave":
                await client.close()
                await self._wait(self._rng.uniform(0, TRY_AGAIN_S))
            case "log_out" | "log_out_others" | "log_out_all":
                await self._log_out(client, key, action.removeprefix("log_out_"))

    async def _check(self, client: Client, key: SharedKey, *, is_past: bool) -> None:
        past = self._recorder.past_keys_of(self._actor_id)
        if past and is_past:
            key = self._rng.choice(past)
        await self._ask(client, "session.isValid", key, key.key)

    async def _ask(self, client: Client, method: str, key: SharedKey, *params: str) -> Reply:
        return await client.ask(self._command(method, key), *params)

    def _command(self, method: str, key: SharedKey | None = None, **more: Any) -> Command:
        actor_id, session_id = (key.actor_id, key.session_id) if key else ("", "")
        return Command(self._recorder.now(), method, actor_id, session_id, **more)

    async def _log_out(self, client: Client, key: SharedKey, scope: str) -> None:
        scope = "this" if scope == "log_out" else scope
        command = self._command("session.logout", key, scope=scope)
        reply = await client.ask(command, {"scope": scope})
        if reply.error is None and scope != "others":
            self._recorder.withdraw(key.session_id)
            self.key = None
