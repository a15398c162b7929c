"""
`telemetry/merging.py`: the counts of several processes as one.
"""

import json

from keystay_protocol.errors import NoSession
from keystay_server.telemetry.counts import Counts
from keystay_server.telemetry.merging import add_document, to_document


def busy(times: int) -> Counts:
    """Counts of a process that has done something of everything."""
    counts = Counts(connections_now=times, connections=2 * times, none_overdue_at=float(times))
    counts.refused["origin"] = times
    counts.know(["time.now"])
    commands = counts.methods["time.now"]
    for _ in range(times):
        commands.add(0.003)
        commands.failed(NoSession())
        counts.propagation.add(0.1)
    return counts


def test_counts_are_added_and_times_are_the_latest() -> None:
    """Through JSON, as they travel; of a process that has ended, what only goes up."""
    total = Counts()
    add_document(total, json.loads(json.dumps(to_document(busy(2)))))
    add_document(total, json.loads(json.dumps(to_document(busy(3)))), is_gone=True)
    assert (total.connections_now, total.connections) == (2, 10)
    assert total.none_overdue_at == 3.0
    assert total.refused == {"origin": 5}
    commands = total.methods["time.now"]
    assert (commands.total, commands.failures) == (5, {"noSession": 5})
    assert total.propagation.total == 5
    assert not total.is_draining
