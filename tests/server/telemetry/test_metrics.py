"""
`telemetry/metrics.py`: the counts as Prometheus reads them.
"""

import time
from collections.abc import Iterable

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from keystay_protocol.errors import NoSession
from keystay_server.telemetry.catalogue import METRICS
from keystay_server.telemetry.counts import UNKNOWN_METHOD, Counts
from keystay_server.telemetry.durations import Operations
from keystay_server.telemetry.metrics import Build, Metrics


def read(counts: Counts) -> dict[str, Family]:
    """The metrics of a node with these counts, as Prometheus' own parser reads them."""
    text = Metrics(counts, Build("1.2.3", "memory")).exposed().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def samples(family: Family) -> Iterable[tuple[str, dict[str, str], float]]:
    return [(sample.name, sample.labels, sample.value) for sample in family.samples]


def counted() -> Counts:
    """Counts of a node that has done something of everything."""
    counts = Counts()
    counts.know(["time.now"])
    counts.operations["check"] = Operations()
    return counts


def test_every_metric_of_the_table_is_exposed_as_it_says() -> None:
    """Name, kind, meaning and labels; and no metric of ours is in no table."""
    families = read(counted())
    ours = {name for name in families if name.startswith("keystay_")}
    assert ours == {metric.name.removesuffix("_total") for metric in METRICS}
    for metric in METRICS:
        family = families[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.meaning)
        own = {"le"} if metric.kind == "histogram" else set()
        for sample in family.samples:
            assert set(sample.labels) - own == set(metric.labels), metric.name


def test_the_process_is_measured_too() -> None:
    """Memory, CPU time and open files, under the names that Prometheus' clients share."""
    families = read(counted())
    assert families["process_resident_memory_bytes"].samples[0].value > 1_000_000
    assert families["process_open_fds"].samples[0].value > 0
    assert "process_cpu_seconds" in families


def test_commands_are_counted_by_method_and_result() -> None:
    """What was not refused is `ok`; the histogram has them all."""
    counts = counted()
    commands = counts.methods["time.now"]
    for seconds in (0.000_02, 0.003, 99.0):
        commands.add(seconds)
    commands.failed(NoSession())
    families = read(counts)
    told = samples(families["keystay_commands"])
    name = "keystay_commands_total"
    assert (name, {"method": "time.now", "result": "ok"}, 2.0) in told
    assert (name, {"method": "time.now", "result": "noSession"}, 1.0) in told
    assert (name, {"method": UNKNOWN_METHOD, "result": "ok"}, 0.0) in told
    histogram = {
        (sample.name.removeprefix("keystay_command_seconds"), sample.labels.get("le")): (
            sample.value
        )
        for sample in families["keystay_command_seconds"].samples
        if sample.labels["method"] == "time.now"
    }
    assert histogram["_bucket", "1e-05"] == 0
    assert histogram["_bucket", "2.5e-05"] == 1
    assert histogram["_bucket", "0.005"] == 2
    assert histogram["_bucket", "10"] == 2
    assert histogram["_bucket", "+Inf"] == histogram["_count", None] == 3
    assert histogram["_sum", None] == 99.003_02


def test_two_nodes_in_one_program_have_metrics_of_their_own() -> None:
    """Nothing is on the registry that all of a process shares."""
    busy, idle = counted(), counted()
    busy.events = 7
    assert samples(read(busy)["keystay_events_sent"]) == [("keystay_events_sent_total", {}, 7)]
    assert samples(read(idle)["keystay_events_sent"]) == [("keystay_events_sent_total", {}, 0)]


def test_a_webhook_is_told_of_by_the_node_that_delivers() -> None:
    """Until its lease is over; how far it is behind, which is never less than nothing."""
    counts, behind = counted(), "keystay_webhook_behind_seconds"
    counts.webhook_taken_until = time.time() - 100
    for lease_s, is_delivering, behind_s in ((60, 1, 100), (0, 0, 0)):
        counts.webhook_lease_until = time.monotonic() + lease_s
        families = read(counts)
        [(_, _, delivering)] = samples(families["keystay_webhook_delivering"])
        [(_, _, seconds)] = samples(families[behind])
        assert delivering == is_delivering
        assert 0 <= seconds - behind_s < 50
    counts.webhook_lease_until = time.monotonic() + 60
    counts.webhook_taken_until = time.time() + 100
    assert samples(read(counts)[behind]) == [(behind, {}, 0)]
