"""
What clients were answered during a failover is not lost.
"""

from pathlib import Path

import pytest

from tests.support.stores.failover import CLIENTS, fail_over, sentinels

pytestmark = pytest.mark.long


@pytest.mark.parametrize("fault", ["planned", "SIGKILL", "SIGSTOP"])
async def test_a_failover_loses_at_most_what_was_in_flight(tmp_path: Path, fault: str) -> None:
    """Of all logins and logouts that were answered: no more than there are clients."""
    with sentinels(tmp_path, fault) as (url, bring_about):
        outcome = await fail_over(url, bring_about)
    assert len(outcome.answered.logged_in) > 2 * CLIENTS
    assert outcome.lost_logins + outcome.lost_logouts <= CLIENTS
    if fault == "planned":
        assert outcome.lost_logins == outcome.lost_logouts == 0
