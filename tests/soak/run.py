"""
One run, from the first process to the verdict.
"""

import asyncio
import random
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from redis.asyncio import Redis

from keystay_protocol.errors import Unavailable
from keystay_server.stores.base import Retention
from tests.soak.backend import Backend
from tests.soak.chaos import Chaos, plan
from tests.soak.checker import check
from tests.soak.nodes import Node
from tests.soak.player import Player
from tests.soak.recorder import Recorder
from tests.soak.scribe import Scribe
from tests.soak.violations import Violation
from tests.valkey import Valkey, running_valkey

HISTORY_EVENTS = 128
"""Few enough that a client which comes back with an old cursor is sometimes not recovered."""

CLIENTS_PER_ACTOR = 10 / 3
BACKENDS = 8
SETTLE_S = 120.0
QUIET_S = 60.0
LOOK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """How long, how many, and which run of all that are possible."""

    seconds: float = 180.0
    clients: int = 500
    seed: int = 1


async def run(options: Options) -> tuple[Recorder, list[Violation]]:
    """Let it all happen; return what was counted, and what was wrong."""
    recorder = Recorder(HISTORY_EVENTS)
    with TemporaryDirectory() as folder, running_valkey(Path(folder)) as valkey:
        async with AsyncExitStack() as stack:
            cast = _Cast(options, recorder, valkey)
            stack.push_async_callback(cast.go_home)
            await cast.enter()
            await cast.play()
            return recorder, await cast.verdict()


class _Cast:
    """Everything that takes part in a run."""

    def __init__(self, options: Options, recorder: Recorder, valkey: Valkey) -> None:
        flags = ("--store", valkey.url(), "--history-events", str(HISTORY_EVENTS))
        count = max(1, round(options.clients / CLIENTS_PER_ACTOR))
        self._options = options
        self._recorder = recorder
        self._actor_ids = [f"player:{number}" for number in range(count)]
        self._nodes = [Node(flags), Node(flags)]
        self._players = [self._player(number) for number in range(options.clients)]
        self._backends = [self._backend(number) for number in range(BACKENDS)]
        self._scribe = Scribe(valkey.url(), Retention(HISTORY_EVENTS), recorder.record)
        self._store = Redis(port=valkey.port, protocol=2)

    def _random(self, name: object) -> random.Random:
        """The randomness of one of them, the same in every run with this seed."""
        return random.Random(f"{self._options.seed}:{name}")

    def _player(self, number: int) -> Player:
        rng = self._random(number)
        hears_app = rng.random() < 0.8
        actor_id = self._actor_ids[number % len(self._actor_ids)]
        return Player(self._recorder, self._nodes, actor_id, rng, hears_app=hears_app)

    def _backend(self, number: int) -> Backend:
        rng = self._random(f"backend {number}")
        return Backend(self._recorder, self._nodes, self._actor_ids, rng)

    async def enter(self) -> None:
        """Start the nodes, and the copying of the history."""
        await asyncio.gather(*(node.start() for node in self._nodes))
        await self._scribe.start()

    async def go_home(self) -> None:
        """End all that was started."""
        await asyncio.gather(*(player.leave() for player in self._players))
        await asyncio.gather(*(node.kill() for node in self._nodes))
        await self._scribe.stop()
        await self._store.aclose()

    async def play(self) -> None:
        """Let clients, backends and troubles loose; return when all of them have settled."""
        is_ending, is_over = asyncio.Event(), asyncio.Event()
        troubles = plan(self._random("chaos"), self._options.seconds)
        chaos = Chaos(self._recorder, self._nodes, self._players, self._store)
        async with asyncio.TaskGroup() as scribe, asyncio.TaskGroup() as cast:
            scribe.create_task(self._scribe.read_until(is_over, self._actor_ids))
            cast_tasks = [cast.create_task(player.play()) for player in self._players]
            cast_tasks += [
                cast.create_task(backend.work(is_ending)) for backend in self._backends
            ]
            await chaos.happen(troubles)
            is_ending.set()
            for player in self._players:
                player.end()
            # Nothing follows on what the feeds lose now: to have it, a node must look for it.
            await chaos.break_feeds(self._random("end"))
            async with asyncio.timeout(SETTLE_S):
                await asyncio.wait(cast_tasks)
            is_over.set()

    async def verdict(self) -> list[Violation]:
        """
        Wait until nothing is amiss, and return nothing; or what is still amiss in the end.

        What is late is not lost: an event may be on its way, and a session may
        have to expire.
        """
        wrong: list[Violation] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(QUIET_S):
                while True:
                    wrong = await self._judge()
                    if not wrong and not self._unheld():
                        return []
                    await asyncio.sleep(LOOK_AGAIN_S)
        return wrong

    async def _judge(self) -> list[Violation]:
        record = self._recorder.record
        while True:
            with suppress(Unavailable):
                await self._scribe.read_live(self._actor_ids)
                record.read = self._recorder.now()
                await self._scribe.read(self._actor_ids)
                return check(record)
            await asyncio.sleep(LOOK_AGAIN_S)

    def _unheld(self) -> set[str]:
        """The sessions that live for seconds only, and are held by nobody."""
        held = {player.bound for player in self._players}
        return {
            ticket.session_id
            for actor_id, tickets in self._recorder.tickets.items()
            for ticket in tickets.values()
            if ticket.is_short
            and ticket not in held
            and ticket.session_id in self._recorder.record.live[actor_id]
        }
