"""
`admin/doctor/store.py`: what is to be said of a store's servers.
"""

import pytest

from keystay_server.cli.doctor.store import judge
from keystay_server.stores.diagnosis import Diagnosis

GOOD = {
    "appendonly": "yes",
    "appendfsync": "always",
    "save": "",
    "maxmemory-policy": "noeviction",
}


def levels(server: Diagnosis) -> dict[str, str]:
    """How each thing was found to be."""
    return {finding.about: finding.level for finding in judge(server)}


def test_a_server_as_it_should_be_is_good() -> None:
    """It can be reached, keeps time, evicts nothing, and keeps everything."""
    good = {"store": "good", "clock": "good", "eviction": "good", "persistence": "good"}
    assert levels(Diagnosis("redis://a:1/0", None, 3.0, GOOD)) == good


@pytest.mark.parametrize(
    ("ahead_ms", "level", "found"),
    [
        (-499, "good", "499 ms behind"),
        (-600, "doubtful", "600 ms behind"),
        (600, "doubtful", "600 ms ahead of"),
        (-40_000, "bad", "40000 ms behind"),
    ],
)
def test_clocks_that_differ_are_reported(ahead_ms: float, level: str, found: str) -> None:
    """Either way, and by how much."""
    [clock] = [
        each for each in judge(Diagnosis("a", None, ahead_ms, GOOD)) if each.about == "clock"
    ]
    assert clock.level == level
    assert found in clock.found


@pytest.mark.parametrize(
    ("changed", "about", "level", "advice"),
    [
        ({"maxmemory-policy": "allkeys-lru"}, "eviction", "bad", "noeviction"),
        ({"appendonly": "no"}, "persistence", "bad", "appendonly yes"),
        ({"appendonly": "no", "save": "60 1"}, "persistence", "bad", "appendonly yes"),
        ({"appendfsync": "no"}, "persistence", "doubtful", "everysec"),
        ({"appendfsync": "everysec"}, "persistence", "good", ""),
    ],
)
def test_each_setting_that_loses_sessions_is_reported(
    changed: dict[str, str], about: str, level: str, advice: str
) -> None:
    """With what to set it to."""
    findings = judge(Diagnosis("a", None, 0, {**GOOD, **changed}))
    [finding] = [each for each in findings if each.about == about]
    assert finding.level == level
    assert advice in finding.advice


def test_what_cannot_be_seen_is_doubtful() -> None:
    """A server that does not show its settings to the user may be well or not."""
    assert levels(Diagnosis("a", None, 0, None))["store settings"] == "doubtful"


def test_a_server_of_no_use_is_all_there_is_to_say() -> None:
    """Why, and where to look."""
    [finding] = judge(Diagnosis("redis://a:1/0", "no use: it is away"))
    assert (finding.level, finding.found) == ("bad", "redis://a:1/0: no use: it is away")
