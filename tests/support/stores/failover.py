"""
What a failover costs: how many answered logins and logouts are lost.

    python -m tests.support.stores.failover

Clients log in, and some of them out again, while the master is replaced: by an operator,
by SIGKILL, by SIGSTOP. Afterwards each session that was answered is looked for.
"""

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from keystay_protocol.commands import LogoutScope
from keystay_protocol.errors import NoSession, SessionEnded, Unavailable
from keystay_server.stores.base import Store
from keystay_server.stores.records import NewSession
from keystay_server.stores.redis.tuning import DEFAULT
from tests.support.stores.installation import new_session, opened
from tests.support.stores.redis_node import node
from tests.support.stores.sentinels import watched
from tests.support.stores.valkey_cluster import running_cluster

CLIENTS = 100
SAFE = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "1")
AFTER_S = 1.0
"""How long clients go on at the new master."""
SOON_S = 40.0


@dataclass(slots=True)
class Answered:
    """What clients were answered."""

    logged_in: list[NewSession] = field(default_factory=list)
    logged_out: list[NewSession] = field(default_factory=list)
    unavailable: int = 0
    is_over: bool = False

    async def client(self, store: Store, name: str) -> None:
        """Log in again and again, and out every second time."""
        number = 0
        while not self.is_over:
            new = new_session(f"{name}-{number}")
            number += 1
            try:
                await opened(store, new)
                if number % 2:
                    self.logged_in.append(new)
                    continue
                await store.end(new.actor_id, new.id, LogoutScope.THIS, "loggedOut")
                self.logged_out.append(new)
            except (Unavailable, NoSession):
                self.unavailable += 1
                await asyncio.sleep(0.01)

    async def lost(self, store: Store) -> tuple[int, int]:
        """Return how many logins and logouts that were answered the store does not have."""
        logins = [await _is_live(store, new) for new in self.logged_in].count(False)
        return logins, [await _is_live(store, new) for new in self.logged_out].count(True)


async def _is_live(store: Store, new: NewSession) -> bool:
    while True:
        with suppress(Unavailable):
            try:
                await store.check(new.actor_id, new.digest)
            except (NoSession, SessionEnded):
                return False
            return True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a failover."""

    answered: Answered
    lost_logins: int
    lost_logouts: int


Fault = Callable[[], None]


@contextmanager
def sentinels(
    folder: Path, fault: str, options: Sequence[str] = ()
) -> Iterator[tuple[str, Fault]]:
    """Three servers and three sentinels, and how to bring the fault about."""
    with watched(folder, *options, replicas=2, sentinels=3) as servers:
        master = servers.servers[0]
        faults = {"planned": servers.fail_over, "SIGKILL": master.kill, "SIGSTOP": master.pause}
        yield servers.url(), faults[fault]


@contextmanager
def cluster(folder: Path, fault: str) -> Iterator[tuple[str, Fault]]:
    """A cluster whose first master has a replica."""
    with running_cluster(folder) as nodes:
        master = nodes.nodes[0]

        def planned() -> None:
            nodes.call(3, "CLUSTER", "FAILOVER")

        faults = {"planned": planned, "SIGKILL": master.kill, "SIGSTOP": master.pause}
        yield nodes.url(), faults[fault]


async def logins(answered: Answered, number: int) -> None:
    """Wait for so many answered logins."""
    async with asyncio.timeout(SOON_S):
        while len(answered.logged_in) < number:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.02)


async def fail_over(url: str, fault: Fault) -> Outcome:
    """Bring the fault about while clients log in and out; return what was lost."""
    answered = Answered()
    async with node(url, tuning=DEFAULT) as (store, _):
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(answered.client(store, f"client{number}"))
            await logins(answered, CLIENTS)
            await asyncio.to_thread(fault)
            # By now there may be no master: they go on when there is one.
            await logins(answered, len(answered.logged_in) + CLIENTS)
            await asyncio.sleep(AFTER_S)
            answered.is_over = True
        return Outcome(answered, *await answered.lost(store))


CASES: dict[str, Callable[[Path, str], "AbstractContextManager[tuple[str, Fault]]"]] = {
    "Sentinel": sentinels,
    "Sentinel, min-replicas-to-write 1": partial(sentinels, options=SAFE),
    "Cluster": cluster,
}
FAULTS = ("planned", "SIGKILL", "SIGSTOP")


def main() -> None:
    """Print a table of all cases."""
    print("| | fault | answered logins | lost logins | lost logouts | unavailable |")
    print("|---|---|---|---|---|---|")
    for name, case in CASES.items():
        for fault in FAULTS:
            with (
                tempfile.TemporaryDirectory() as folder,
                case(Path(folder), fault) as (url, do),
            ):
                outcome = asyncio.run(fail_over(url, do))
            answered = outcome.answered
            print(
                f"| {name} | {fault} | {len(answered.logged_in)} | {outcome.lost_logins} "
                f"| {outcome.lost_logouts} of {len(answered.logged_out)} "
                f"| {answered.unavailable} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
