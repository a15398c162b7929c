"""
A real cluster: three masters, and a replica of the first.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS

from tests.support.valkey import Valkey, free_port

SOON_S = 20.0


def until(condition: Callable[[], bool]) -> None:
    """Wait for something in other processes, which nothing can tell us of."""
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline, "a cluster did not come to agree"
        time.sleep(0.02)


class ValkeyCluster:
    """Four processes that agree who has which slot."""

    def __init__(self, folder: Path) -> None:
        self.nodes: list[Valkey] = []
        self._bus_ports = [free_port() for _ in range(4)]
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "600"]
        options += ["--repl-diskless-sync-delay", "0"]
        # By the default, 10,000 above the other port, it can be out of range.
        options += ["--cluster-replica-validity-factor", "0", "--cluster-port"]
        for i, bus_port in enumerate(self._bus_ports):
            (folder / str(i)).mkdir()
            self.nodes.append(Valkey(folder / str(i), *options, str(bus_port)))

    def url(self, prefix: str = "ks") -> str:
        """The store URL of this cluster."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:2])
        return f"redis+cluster://{hosts}?prefix={prefix}"

    def call(self, i: int, *words: str | int) -> Any:
        """Send one node a command."""
        with Redis(port=self.nodes[i].port, decode_responses=True, protocol=2) as client:
            execute: Callable[..., Any] = client.execute_command
            return execute(*words)

    def ids(self) -> list[str]:
        """What the nodes call themselves."""
        return [self.call(i, "CLUSTER", "MYID") for i in range(len(self.nodes))]

    def start(self) -> None:
        """Start the processes and make them a cluster."""
        for node in self.nodes:
            node.start()
        third = REDIS_CLUSTER_HASH_SLOTS // 3 + 1
        for i in range(3):
            last = min((i + 1) * third, REDIS_CLUSTER_HASH_SLOTS) - 1
            self.call(i, "CLUSTER", "ADDSLOTSRANGE", i * third, last)
        # Distinct epochs from the start: otherwise nodes settle them one by one.
        for i, node in enumerate(self.nodes):
            self.call(i, "CLUSTER", "SET-CONFIG-EPOCH", i + 1)
            self.call(0, "CLUSTER", "MEET", "127.0.0.1", node.port, self._bus_ports[i])
        until(lambda: all(self._knows_all(i) for i in range(4)))
        self.call(3, "CLUSTER", "REPLICATE", self.ids()[0])
        until(lambda: all(self._is_whole(i) for i in range(4)))

    def stop(self) -> None:
        """Kill the processes."""
        for node in self.nodes:
            node.kill()

    def _knows_all(self, i: int) -> bool:
        return len(self.call(i, "CLUSTER", "SLOTS")) == 3 and self._info(i, "known_nodes:4")

    def _is_whole(self, i: int) -> bool:
        replica = len(self.call(i, "CLUSTER", "SLOTS")[0]) == 4
        return self._info(i, "cluster_state:ok") and replica and self._replicates()

    def _replicates(self) -> bool:
        info: dict[str, str] = self.call(3, "INFO", "replication")
        return info["master_link_status"] == "up"

    def _info(self, i: int, words: str) -> bool:
        return words in str(self.call(i, "CLUSTER", "INFO"))


@contextmanager
def running_cluster(folder: Path) -> Iterator[ValkeyCluster]:
    """Run a cluster that keeps its files in this folder; stop it at the end."""
    cluster = ValkeyCluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
