"""
A disk that fills up under a running server.
"""

from pathlib import Path

from tests.server.stores.sqlite.full_disk import full_disk
from tests.support.asking import until
from tests.support.backend import backend_of
from tests.support.raw_client import RawClient, connected
from tests.support.server_process import serving


async def test_a_logout_on_a_full_disk_is_never_a_success(tmp_path: Path) -> None:
    """
    It answers `unavailable`, the key is refused at once, everybody else is served, and the end
    is written and told as soon as the disk takes writes: it outlives a killed server.
    """
    store = f"sqlite:///{tmp_path}/keystay.db"
    async with (
        serving("--store", store) as server,
        connected(server.url) as alice,
        connected(server.url) as bob,
    ):
        key, bobs_key = await alice.login("alice"), await bob.login("bob")
        with full_disk(server.pid):
            await refused(alice, "session.logout")
            await refused(bob, "session.login", "anonymous")
            assert (await bob.call("session.restore", bobs_key))[0] is None, "it only reads"
            for method in ("session.isValid", "session.restore"):
                assert (await bob.call(method, key))[0] == "loggedOut"
            assert (await bob.call("session.isValid", bobs_key))[0] is None
            assert [s["actorId"] for s in (await bob.call("session.list"))[1]] == ["bob"]
            assert [name for name, _, _ in alice.events()] == ["session.set"]
        await bob.login("carol")
        await alice.event()
        name, data, _ = await alice.event()
        assert (name, data["reason"]) == ("session.unset", "loggedOut")
        await server.kill()
    async with serving("--store", store) as server, connected(server.url) as client:
        assert (await client.call("session.isValid", key))[0] == "loggedOut"
        assert (await client.call("session.isValid", bobs_key))[0] is None


async def test_a_server_on_a_full_disk_stops_in_good_order(tmp_path: Path) -> None:
    """SIGTERM is answered with 0, whatever could not be written."""
    async with (
        serving("--store", f"sqlite:///{tmp_path}/keystay.db") as server,
        connected(server.url) as alice,
    ):
        await alice.login("alice")
        with full_disk(server.pid):
            await refused(alice, "session.logout")
            assert await server.terminate() == 0


async def test_a_server_on_a_full_disk_is_not_ready(tmp_path: Path) -> None:
    """Before anybody has tried to log in, and ready again when there is room."""
    async with (
        serving("--store", f"sqlite:///{tmp_path}/keystay.db") as server,
        backend_of(server.control, "test-api-key") as http,
    ):

        async def status() -> int:
            return (await http.get("/readyz")).status_code

        with full_disk(server.pid):
            await until(status, lambda code: code == 503)
            assert (await http.get("/livez")).status_code == 200
        await until(status, lambda code: code == 200)


async def refused(client: RawClient, method: str, *params: object) -> None:
    """Send a command: it is `unavailable`, with a time to wait."""
    error, details = await client.call(method, *params)
    assert error == "unavailable"
    assert details["retryAfter"] > 0
