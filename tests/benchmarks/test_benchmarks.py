"""
Facts about the benchmarks: they run, judge answers, and say how Keystay stands to its peer.

No figure is asserted: the machine that runs tests is busy with other things.
"""

import json
from typing import Any

import pytest

from benchmarks import commands, events, growth, handshakes, idle, propagation, stored
from benchmarks.closed_loop import Caller, WrongReply, run
from benchmarks.peer_servers import CENTRIFUGO, FLOOR, FOLDER, NODE, SOCKET_IO, available
from benchmarks.servers import running, split_cores
from benchmarks.wire import command, logged_in


@pytest.fixture(autouse=True)
def _affinity_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark keeps to one core; the tests after it do not have to."""
    monkeypatch.setattr("benchmarks.servers.os.sched_setaffinity", lambda *_: None)


def reported(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert report["machine"]["python"]
    return report


def test_commands_tells_the_cpu_time_of_each_command_on_each_server(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each comes with its ratio to `session.isValid` of the first peer in the same run."""
    size = ["--connections", "2", "--commands", "64", "--warm-up", "8", "--rounds", "2"]
    commands.main([*size, "--stores", "sqlite", "--json"])
    found = reported(capsys)["results"]
    assert {r["in_flight"] for r in found if r["command"] == "time.now"} == {1, 16}
    results = {(r["server"], r["command"]): r for r in found}
    assert set(results) == {
        ("bare asyncio", "session.isValid"),
        ("bare websockets", "session.isValid"),
        ("sqlite", "session.isValid"),
        ("sqlite", "time.now"),
        ("sqlite", "session.restore"),
        ("sqlite", "session.login"),
    }
    assert all(result["cpu_us"] > 0 for result in results.values())
    assert results["bare asyncio", "session.isValid"]["ratio"] == 1
    assert results["sqlite", "session.isValid"]["ratio"] > 0


def test_events_tells_the_cpu_time_of_each_event_to_everybody_and_to_an_actor(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every connection gets every event, on the peers too."""
    size = ["--connections", "3", "--events", "2", "--rounds", "2"]
    events.main([*size, "--peers", "bare asyncio", "--json"])
    results = {(r["server"], r["to"]): r for r in reported(capsys)["results"]}
    expected = {("bare asyncio", "everybody"), ("memory", "everybody"), ("memory", "actor")}
    assert set(results) == expected
    assert all(result["cpu_us"] > 0 for result in results.values())


def test_idle_tells_the_memory_and_the_cpu_time_of_a_connection_on_each_server(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The peer is measured beside Keystay, and the table has the ratio."""
    size = ["--connections", "60", "--warm-up", "20", "--rounds", "1", "--idle-s", "0.1"]
    idle.main([*size, "--stores", "memory", "--json"])
    peer, keystay = reported(capsys)["results"]
    assert (peer["server"], peer["ratio"]) == ("bare websockets", 1)
    assert keystay["server"] == "memory"
    assert all(keystay[figure] > 0 for figure in ("bytes_each", "ratio", "cpu_us_per_s"))


def test_growth_tells_what_a_command_costs_at_each_number_of_connections(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On each server, with the ratio to the first one that has as many connections."""
    size = ["--connections", "2,4", "--asking", "3", "--commands", "20", "--rounds", "1"]
    growth.main([*size, "--stores", "memory", "--json"])
    results = {(r["server"], r["connections"]): r for r in reported(capsys)["results"]}
    expected = {("bare asyncio", 2), ("memory", 2), ("bare asyncio", 4), ("memory", 4)}
    assert set(results) == expected
    assert [results["memory", size]["asking"] for size in (2, 4)] == [2, 3]
    assert results["bare asyncio", 4]["ratio"] == 1


def test_handshakes_tells_the_cpu_time_of_each_client_that_comes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With a login, and on Keystay with a restore."""
    handshakes.main(["--clients", "5", "--rounds", "1", "--stores", "memory", "--json"])
    results = {(r["server"], r["first"]): r for r in reported(capsys)["results"]}
    logins = {("bare asyncio", "session.login"), ("memory", "session.login")}
    assert set(results) == {*logins, ("memory", "session.restore")}
    assert all(result["cpu_us"] > 0 for result in results.values())


@pytest.mark.skipif(
    not (FOLDER / "node_modules").exists(), reason="the peers in Node are not installed"
)
@pytest.mark.parametrize("peer", [NODE, SOCKET_IO])
def test_the_peers_in_node_answer_the_same_messages(peer: str) -> None:
    """Whatever protocol they have below."""
    with (
        split_cores() as core,
        running(peer, core) as server,
        logged_in(server.connect, 1) as [(client, key)],
    ):
        frame = client.dialect.command("session.isValid", key)
        run([Caller(client, frame, lambda messages: messages == [[1, 7, None, None]])], 10)
        client.send(client.dialect.command("pub", "news", "x"))
        assert sorted(client.receive()[0] for _ in range(2)) == [1, 2]


def test_a_peer_that_is_not_there_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a reason."""
    monkeypatch.setenv("PATH", "")
    assert available([FLOOR, CENTRIFUGO]) == [FLOOR]
    assert "there is no centrifugo on the PATH" in capsys.readouterr().err


@pytest.mark.long
def test_propagation_tells_how_soon_clients_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Logouts and expiries reach every client; those of a dead node recover on the other."""
    size = ["--connections", "4", "--logouts", "4", "--expiring", "8", "--returning", "4"]
    propagation.main([*size, "--within-ms", "0", "--rounds", "1", "--json"])
    results = {result["measurement"]: result for result in reported(capsys)["results"]}
    counted = {name: (each["connections"], each["delays"]) for name, each in results.items()}
    assert counted == {"logout": (4, 4), "expiry": (8, 8), "return": (4, 4)}
    assert all(0 < each["p50_ms"] <= each["max_ms"] for each in results.values())
    assert results["return"]["per_s"] > 0


def test_a_wrong_answer_ends_a_benchmark() -> None:
    """A server that is fast because it fails is not fast."""
    with split_cores() as core, running("memory", core) as server:
        client = server.connect()
        caller = Caller(client, command("session.isValid", "no key"), lambda m: m[0][2] is None)
        with pytest.raises(WrongReply, match="invalidSessionKey"):
            run([caller], 10)
        client.close()


def test_stored_tells_what_a_session_takes_in_the_server_and_in_the_store(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In SQLite and in Valkey."""
    stored.main(["--sessions", "200", "--warm-up", "10", "--json"])
    results = {result["store"]: result for result in reported(capsys)["results"]}
    assert set(results) == {"sqlite", "redis"}
    assert all(result["store_bytes"] > 0 for result in results.values())
