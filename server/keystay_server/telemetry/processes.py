"""
What the system says of the processes of a node: CPU time, memory, file descriptors.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

_OF_THIS_PROCESS = ("process_start_time_seconds", "process_max_fds")


class ProcessesCollector(Collector):
    """
    The metrics of this process; those of the others are added.

    Args:
        others: Returns the ids of the other processes.
    """

    def __init__(self, others: Callable[[], Sequence[int]]) -> None:
        self._others = others

    def collect(self) -> Iterator[Metric]:
        """Return the metrics now. There are none where the system has no /proc."""
        total = {metric.name: metric for metric in _metrics("self")}
        for pid in self._others():
            for metric in _metrics(pid):
                _add(total[metric.name], metric)
        yield from total.values()


def _metrics(pid: int | str) -> Iterator[Metric]:
    collector = ProcessCollector(pid=partial(str, pid), registry=None)
    return iter(collector.collect())


def _add(total: Metric, metric: Metric) -> None:
    for number, sample in enumerate(metric.samples):
        if sample.name not in _OF_THIS_PROCESS:
            sum_ = total.samples[number].value + sample.value
            total.samples[number] = sample._replace(value=sum_)
