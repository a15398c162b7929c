"""
`control/telemetry.py`: what nodes tell of themselves.
"""

import asyncio
import base64
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.control.conftest import API_KEY
from tests.server.feed.test_webhooks import Receiver
from tests.support.asking import until
from tests.support.backend import backend_of
from tests.support.raw_client import connected
from tests.support.scraping import Families, scraped, until_scraped, value
from tests.support.server_process import ServerProcess, serving
from tests.support.valkey import running_valkey

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOON_S = 10.0
NO_KEY = "nobody:kst_" + "A" * 43


async def stats(backend: httpx.AsyncClient) -> Any:
    answer = await backend.get("/v1/stats")
    assert answer.status_code == 200
    return answer.json()


async def test_metrics_need_no_key_and_tell_what_happened() -> None:
    """Connections, commands by method and result, events; all that clients did is there."""
    async with serving() as server, connected(server.url) as client:
        key = await client.login("alice")
        assert (await client.call("session.isValid", key))[0] is None
        assert (await client.call("session.isValid", NO_KEY))[0] == "noSession"
        async with connected(server.url) as other:
            assert (await other.call(key))[0] == "unknownCommand"
            cursor = (await client.event())[2]
            await other.call("session.restore", key, {"cursor": cursor})
            families = await scraped(server)
    assert value(families, "keystay_connections") == 2
    assert value(families, "keystay_bound_connections") == 2
    assert value(families, "keystay_connections_opened_total") == 2
    is_valid = {"method": "session.isValid"}
    assert value(families, "keystay_commands_total", **is_valid, result="ok") == 1
    assert value(families, "keystay_commands_total", **is_valid, result="noSession") == 1
    assert value(families, "keystay_command_seconds_count", **is_valid) == 2
    unknown = {"method": "unknown", "result": "unknownCommand"}
    assert value(families, "keystay_commands_total", **unknown) == 1
    assert value(families, "keystay_restores_recovered_total") == 1
    # session.set of the login to one, and of the restore to the other.
    assert value(families, "keystay_events_sent_total") == 2
    assert value(families, "keystay_propagation_seconds_count") == 1
    assert value(families, "keystay_store_operation_seconds_count", operation="create") == 1
    assert 0 <= value(families, "keystay_expiry_overdue_seconds") < SOON_S


async def test_a_webhook_that_stands_still_is_seen(tmp_path: Path) -> None:
    """What waits gets older while the receiver refuses, and is gone when it takes it."""
    secret = tmp_path / "secret"
    secret.write_text(f"whsec_{base64.b64encode(bytes(32)).decode()}\n")
    receiver, posts = Receiver(), "keystay_webhook_deliveries_total"
    receiver.answers = [b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"] * 1000
    async with await asyncio.start_server(receiver.serve, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        hook = ("--webhook-url", f"http://127.0.0.1:{port}/", "--webhook-secret-file", secret)
        async with serving(*map(str, hook)) as server, connected(server.url) as client:
            await until_scraped(server, has_begun)
            await client.login("alice")
            late = await until_scraped(server, lambda seen: behind_s(seen) > 0.5)
            assert value(late, "keystay_webhook_delivering") == 1
            assert value(late, posts, result="failed") > 0
            assert value(late, posts, result="delivered") == 0
            await until_scraped(server, lambda seen: behind_s(seen) > behind_s(late))
            receiver.answers.clear()
            await receiver.until(lambda: len(receiver.events) == 1)
            taken = await until_scraped(server, lambda seen: behind_s(seen) < 0.5)
            assert value(taken, posts, result="delivered") == 1


def has_begun(families: Families) -> bool:
    """Whether the first position was saved, from which webhooks are delivered."""
    done = "keystay_store_operation_seconds_count"
    return value(families, done, operation="save_position") > 0


def behind_s(families: Families) -> float:
    """How far the webhook is behind."""
    return value(families, "keystay_webhook_behind_seconds")


async def test_no_label_and_no_metric_is_of_a_clients_choosing() -> None:
    """Whatever methods clients think of, there are as many series as before."""
    async with serving() as server, connected(server.url) as client:
        before = await scraped(server)
        for number in range(50):
            await client.call(f"evil.{number}")
        unknown = {"method": "unknown", "result": "unknownCommand"}
        after = await until_scraped(
            server, lambda seen: value(seen, "keystay_commands_total", **unknown) == 50
        )
    assert "evil" not in str(after)
    added = {
        (sample.name, *sample.labels.values())
        for name, family in after.items()
        for sample in family.samples
        if all(sample.labels != old.labels for old in before[name].samples)
    }
    assert added == {("keystay_commands_total", "unknown", "unknownCommand")}


async def test_stats_need_the_key(stranger: httpx.AsyncClient) -> None:
    """They contain nodes and addresses, so they need a key."""
    assert (await stranger.get("/v1/stats")).status_code == 401


async def test_stats_take_no_parameters(backend: httpx.AsyncClient) -> None:
    """A parameter that is not known is refused, as everywhere."""
    assert (await backend.get("/v1/stats?x=1")).status_code == 400


async def test_stats_of_a_single_node(
    backend: httpx.AsyncClient, server: ServerProcess
) -> None:
    """It lists itself, as it is now."""
    before = await stats(backend)
    async with connected(server.url) as client:
        await client.login("stats:1")
        now = await stats(backend)
    [then], [node] = before["nodes"], now["nodes"]
    assert now["node"] == node["id"] == then["id"]
    assert node["listen"] == server.url
    assert node["startedAt"] <= node["seenAt"] <= time.time() * 1000
    assert node["connections"] == then["connections"] + 1
    assert node["bound"] == then["bound"] + 1
    assert node["commands"] == then["commands"] + 1
    assert 0 < node["p50Ms"] <= node["p99Ms"]


async def test_stats_of_two_nodes(tmp_path: Path) -> None:
    """Each lists both, and names itself; one that was killed is gone soon after."""
    key = {"KEYSTAY_API_KEY": API_KEY}
    with running_valkey(tmp_path) as valkey:
        store = ("--store", valkey.url())
        async with serving(*store, env=key) as first, serving(*store, env=key) as second:
            async with asyncio.timeout(SOON_S):
                one, two = await asyncio.gather(until_listed(first, 2), until_listed(second, 2))
            assert one["node"] != two["node"]
            assert [each["id"] for each in one["nodes"]] == sorted((one["node"], two["node"]))
            assert {each["listen"] for each in two["nodes"]} == {first.url, second.url}
            await first.kill()
            async with asyncio.timeout(SOON_S):
                left = await until_listed(second, 1)
            assert left["nodes"][0]["id"] == left["node"] == two["node"]
            valkey.kill()
            async with backend_of(second.control, API_KEY) as backend:
                assert (await backend.get("/v1/stats")).status_code == 503


async def until_listed(server: ServerProcess, count: int) -> Any:
    """The stats, once there are so many nodes in them."""
    async with backend_of(server.control, API_KEY) as backend:
        return await until(lambda: stats(backend), lambda seen: len(seen["nodes"]) == count)
