"""
Sessions end at their deadline, and live on while they are held.
"""

import time

import pytest

from tests.support.asking import until
from tests.support.raw_client import RawClient, connected
from tests.support.scraping import until_scraped, value
from tests.support.server_process import serving
from tests.support.valkey import Valkey

AT_MOST_LATE_MS = 1000


async def wait_until(client: RawClient, at_ms: int) -> None:
    """Ask the server for the time until it is past this."""
    await until(lambda: client.call("time.now"), lambda answer: answer[1] >= at_ms)


async def test_a_session_that_nobody_extends_ends_at_its_deadline(store_url: str) -> None:
    """
    Its connections are told `expired` within a second, and are unbound; its key says why.

    How late that was is a metric.
    """
    async with (
        serving("--store", store_url, "--ttl-s", "1", "--activity", "none") as server,
        connected(server.url) as one,
        connected(server.url) as other,
    ):
        key = await one.login("alice")
        await other.call("session.restore", key)
        _, session, _ = other.events()[0]
        for client in (one, other):
            while client.events()[-1][0] != "session.unset":
                await client.receive()
            late_ms = time.time() * 1000 - session["expiresAt"]
            assert 0 <= late_ms < AT_MOST_LATE_MS
            _, data, cursor = client.events()[-1]
            assert data == {"reason": "expired", "id": session["id"]}
            assert cursor is not None
            assert (await client.call("session.list"))[0] == "noSession"
        assert (await one.call("session.isValid", key))[0] == "expired"
        late = "keystay_expiry_late_seconds"
        families = await until_scraped(server, lambda seen: value(seen, f"{late}_count") > 0)
        assert value(families, f"{late}_count") == 1
        assert 0 <= value(families, f"{late}_sum") * 1000 < AT_MOST_LATE_MS


async def test_a_bound_connection_keeps_its_session_alive(store_url: str) -> None:
    """A session that is held lives on beyond its ttl, and nobody is told about it."""
    async with (
        serving("--store", store_url, "--ttl-s", "2.5") as server,
        connected(server.url) as holder,
        connected(server.url) as asking,
    ):
        key = await holder.login("alice")
        _, session, _ = await holder.event()
        await wait_until(asking, session["expiresAt"] + 500)
        assert (await asking.call("session.isValid", key))[0] is None
        assert (await holder.call("session.list"))[0] is None
        assert len(holder.events()) == 1


async def test_the_maximum_age_holds_for_held_sessions() -> None:
    """No activity extends a session beyond its maximum age."""
    async with (
        serving("--ttl-s", "2.5", "--max-age-s", "3.2") as server,
        connected(server.url) as holder,
    ):
        await holder.login("alice")
        _, session, _ = await holder.event()
        name, data, _ = await holder.event()
        assert (name, data["reason"]) == ("session.unset", "expired")
        assert time.time() * 1000 >= session["endsAt"]


async def test_commands_as_activity() -> None:
    """
    With `activity = commands`, only a connection that sends some keeps its session.

    `time.now` is none: a browser asks for it only to hear whether the server is there.
    """
    async with (
        serving("--ttl-s", "2.5", "--activity", "commands") as server,
        connected(server.url) as probing,
        connected(server.url) as busy,
    ):
        await probing.login("alice")
        await busy.login("bob")

        async def ask() -> list[str]:
            await probing.call("time.now")
            assert (await busy.call("session.list"))[0] is None
            return [name for name, *_ in probing.events()]

        await until(ask, lambda heard: "session.unset" in heard)


async def test_what_became_due_while_no_server_ran_is_made_up_for(valkey: Valkey) -> None:
    """
    A session whose deadline passed while every node was down ends at the next start.

    Until nodes had the time to extend what they hold, its key answers `unavailable`.
    """
    async with serving("--store", valkey.url(), "--ttl-s", "1", dev=True) as server:
        async with connected(server.url) as client:
            key = await client.login("alice")
        await server.kill()
    async with (
        serving("--store", valkey.url()) as server,
        connected(server.url) as client,
    ):
        error, _ = await until(
            lambda: client.call("session.isValid", key),
            lambda answer: answer[0] not in (None, "unavailable"),
        )
        assert error == "expired"


@pytest.mark.parametrize("activity", ["always", ""])
async def test_an_unknown_activity_is_a_configuration_error(activity: str) -> None:
    """The setting takes `connection`, `commands` and `none`."""
    with pytest.raises(AssertionError, match="exited with 2"):
        async with serving("--activity", activity):
            pass
