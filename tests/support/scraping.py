"""
What a server says of itself to Prometheus.
"""

from collections.abc import Callable

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from tests.support.asking import until
from tests.support.backend import backend_of
from tests.support.server_process import ServerProcess

Families = dict[str, Family]
"""By name, without `_total`."""


async def scraped(server: ServerProcess) -> Families:
    """The metrics of the server."""
    async with backend_of(server.control) as http:
        answer = await http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


async def until_scraped(server: ServerProcess, is_so: Callable[[Families], bool]) -> Families:
    """Scrape until something is so."""
    return await until(lambda: scraped(server), is_so)


def value(families: Families, name: str, **labels: str) -> float:
    """One sample; 0 if it is not there."""
    family = families[name.removesuffix("_total").removesuffix("_count").removesuffix("_sum")]
    found = [
        sample.value
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    assert len(found) <= 1
    return sum(found)
