"""
A node whose announcements get lost tells its clients the whole story all the same.

Things happen to sessions on one node; the connections are on another, which hears
of them through a Valkey that does not deliver. What each connection was told is
compared with the history in the store: the same events, in the same order, once.
"""

from random import Random

import pytest
from redis.asyncio import Redis

from tests.support.end_to_end.story import ACTORS, EVENTS, telling
from tests.support.server_process import serving
from tests.support.stores.losses import Losses
from tests.support.stores.proxy import proxy_to
from tests.support.valkey import Valkey

REMEMBER = ("--history-events", str(EVENTS))
CHAPTERS, AT_ONCE = 3, 10
"""After each chapter everything must have been told; changes that come together."""


@pytest.mark.parametrize("share", [0.3, 0.9])
async def test_announcements_dropped_at_random(valkey: Valkey, share: float) -> None:
    """What a dropped announcement was about is told with the actor's next one."""
    losses = Losses(Random(7))
    async with (
        proxy_to(valkey.port, new_sieve=losses.new_sieve) as proxy,
        serving("--store", f"redis://127.0.0.1:{proxy.port}/0?prefix=ks", *REMEMBER) as node,
        telling(node.url, valkey.url(), Random(7)) as story,
    ):
        for _ in range(CHAPTERS):
            losses.share = share
            for _ in range(10):
                await story.go_on(AT_ONCE)
            await story.join()
            await story.end_some()
            losses.share = 0.0
            await story.show_up()
            await story.check_what_was_told()
        assert losses.lost > 50
        assert losses.passed > CHAPTERS * len(ACTORS)


SUBSCRIBES = b"\r\nSSUBSCRIBE\r\n"
"""A command, and not a word in a script."""


async def test_a_feed_that_is_cut(valkey: Valkey) -> None:
    """Whatever happens while the feed's connection is down is told once there is another."""
    async with (
        proxy_to(valkey.port) as proxy,
        serving("--store", f"redis://127.0.0.1:{proxy.port}/0?prefix=ks", *REMEMBER) as node,
        telling(node.url, valkey.url(), Random(8)) as story,
    ):
        for _ in range(CHAPTERS):
            assert proxy.cut(SUBSCRIBES) == 1
            for _ in range(10):
                await story.go_on(AT_ONCE)
            await story.end_some()
            await story.check_what_was_told()


async def test_a_subscriber_that_valkey_throws_out(valkey: Valkey) -> None:
    """An operator's CLIENT KILL costs no event."""
    async with (
        serving("--store", valkey.url(), *REMEMBER) as node,
        telling(node.url, valkey.url(), Random(9)) as story,
        Redis(port=valkey.port) as admin,
    ):
        for _ in range(CHAPTERS):
            assert await admin.client_kill_filter(_type="pubsub") >= 1
            for _ in range(10):
                await story.go_on(AT_ONCE)
            await story.end_some()
            await story.check_what_was_told()


async def test_a_subscriber_whose_buffer_is_overrun(valkey: Valkey) -> None:
    """Valkey drops a subscriber that has too much waiting for it: that costs no event."""
    async with (
        serving("--store", valkey.url(), *REMEMBER) as node,
        telling(node.url, valkey.url(), Random(10)) as story,
        Redis(port=valkey.port) as admin,
    ):
        await admin.config_set("client-output-buffer-limit", "pubsub 16384 0 0")
        for _ in range(CHAPTERS):
            for _ in range(3):
                await story.go_on(5 * AT_ONCE)  # Together, they are more than that.
            await story.end_some()
            await story.check_what_was_told()
        dropped = (await admin.info("stats"))["client_output_buffer_limit_disconnections"]
        assert dropped >= CHAPTERS
