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
from keystay_server.sessions.policy import parse_policy
from keystay_server.stores.retention import Retention
from tests.soak.backend import Backend
from tests.soak.checker import check
from tests.soak.faults import Chaos, plan
from tests.soak.feed_reader import FeedReader
from tests.soak.history import HistoryReader
from tests.soak.nodes import Node
from tests.soak.player import Player
from tests.soak.recorder import Recorder
from tests.soak.violations import Violation
from tests.support.valkey import Valkey, running_valkey

HISTORY_EVENTS = 128
"""Few enough that a client which comes back with an old cursor is sometimes not recovered."""

CLIENTS_PER_ACTOR = 10 / 3
BACKENDS = 8
FEED_READERS = 2
SETTLE_S = 120.0
QUIET_S = 60.0
LOOK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """How long, how many, under which policy, and which run of all that are possible."""

    seconds: float = 180.0
    clients: int = 500
    seed: int = 1
    policy: str = "many"


async def run(options: Options) -> tuple[Recorder, list[Violation]]:
    """Let it all happen; return what was counted, and what was wrong."""
    recorder = Recorder(HISTORY_EVENTS, parse_policy(options.policy))
    with TemporaryDirectory() as folder, running_valkey(Path(folder)) as valkey:
        async with AsyncExitStack() as stack:
            soak = _Soak(options, recorder, valkey)
            stack.push_async_callback(soak.stop)
            await soak.start()
            await soak.play()
            return recorder, await soak.verdict()


class _Soak:
    """Everything that takes part in a run."""

    def __init__(self, options: Options, recorder: Recorder, valkey: Valkey) -> None:
        flags = (
            *("--store", valkey.url(), "--history-events", str(HISTORY_EVENTS)),
            *("--policy", options.policy),
        )
        count = max(2, round(options.clients / CLIENTS_PER_ACTOR))
        self._options = options
        self._recorder = recorder
        self._actor_ids = [f"player:{number}" for number in range(count)]
        self._nodes = [Node(number, recorder, flags) for number in range(2)]
        self._players = [self._player(number) for number in range(options.clients)]
        self._backends = [
            Backend(recorder, self._nodes, self._actor_ids, self._random(f"backend {number}"))
            for number in range(BACKENDS)
        ]
        self._feeds = [
            FeedReader(recorder, self._nodes, self._random(f"feed {number}"))
            for number in range(FEED_READERS)
        ]
        self._reading: list[asyncio.Task[None]] = []
        self._history = HistoryReader(valkey.url(), Retention(HISTORY_EVENTS), recorder.record)
        self._valkey = valkey
        self._store = Redis(port=valkey.port, protocol=2)

    def _random(self, name: object) -> random.Random:
        """The randomness of one of them, the same in every run with this seed."""
        return random.Random(f"{self._options.seed}:{name}")

    def _player(self, number: int) -> Player:
        rng = self._random(number)
        hears_app = rng.random() < 0.8
        return Player(self._recorder, self._nodes, self._actor_ids, rng, hears_app=hears_app)

    async def start(self) -> None:
        """Start the nodes, and all that reads what happens."""
        await asyncio.gather(*(node.start() for node in self._nodes))
        await self._history.start()
        self._reading = [asyncio.create_task(feed.read()) for feed in self._feeds]
        await asyncio.gather(*(feed.has_begun.wait() for feed in self._feeds))

    async def stop(self) -> None:
        """End all that was started."""
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)
        await asyncio.gather(*(player.leave() for player in self._players))
        await asyncio.gather(*(node.kill() for node in self._nodes))
        await self._history.stop()
        await self._store.aclose()

    async def play(self) -> None:
        """Let clients, backends and faults loose; return when all of them have settled."""
        is_ending, is_over = asyncio.Event(), asyncio.Event()
        faults = plan(self._random("chaos"), self._options.seconds)
        chaos = Chaos(self._recorder, self._nodes, self._players, self._valkey, self._store)
        async with asyncio.TaskGroup() as history, asyncio.TaskGroup() as group:
            history.create_task(self._history.read_until(is_over, self._actor_ids))
            tasks = [group.create_task(player.play()) for player in self._players]
            tasks += [group.create_task(backend.work(is_ending)) for backend in self._backends]
            await chaos.happen(faults)
            is_ending.set()
            for player in self._players:
                player.end()
            # Nothing follows on what is missed now: to have it, a node must look for it.
            await chaos.break_announcements(self._random("end"))
            async with asyncio.timeout(SETTLE_S):
                await asyncio.wait(tasks)
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
                await self._history.read_live(self._actor_ids)
                record.read = self._recorder.now()
                await self._history.read(self._actor_ids)
                return check(record)
            await asyncio.sleep(LOOK_AGAIN_S)

    def _unheld(self) -> set[str]:
        """The sessions that live for seconds only, and are held by nobody."""
        held = {player.bound for player in self._players}
        return {
            key.session_id
            for key in self._recorder.short_keys()
            if key not in held and key.session_id in self._recorder.record.live[key.actor_id]
        }
