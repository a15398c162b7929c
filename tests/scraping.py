"""
What a server says of itself to Prometheus.
"""

import asyncio
from collections.abc import Callable

import httpx
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from tests.server_process import ServerProcess

SOON_S = 15.0

Families = dict[str, Family]
"""By name, without `_total`."""


async def scraped(server: ServerProcess) -> Families:
    """The metrics of the server."""
    async with httpx.AsyncClient(base_url=server.control, trust_env=False) as http:
        answer = await http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


async def until_scraped(server: ServerProcess, is_so: Callable[[Families], bool]) -> Families:
    """Scrape until something is so."""
    async with asyncio.timeout(SOON_S):
        while not is_so(families := await scraped(server)):
            pass
    return families


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
