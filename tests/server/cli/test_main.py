"""
The command line, as a shell calls it.
"""

import asyncio
import json
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from keystay_protocol import __version__
from keystay_server.cli.main import main
from tests.support.backend import backend_of
from tests.support.raw_client import connected
from tests.support.server.shell import SOON_S, in_a_process, keystay, on_terminal, running
from tests.support.server_process import ServerProcess, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

API_KEY = "the-api-key-of-these-tests"
PAGE = 200


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[ServerProcess]:
    """A server that keeps sessions in memory."""
    async with serving(env={"KEYSTAY_API_KEY": API_KEY}) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Operator:
    """A shell whose environment names the server and its key."""

    control: str

    def session(self, *arguments: str) -> str:
        """What `keystay session ...` prints; it must succeed."""
        done = self.run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `keystay session ...`."""
        return keystay("session", *arguments, env=self.env)

    @property
    def env(self) -> dict[str, str]:
        """Their environment."""
        return {"KEYSTAY_CONTROL": self.control, "KEYSTAY_API_KEY": API_KEY}


@pytest.fixture
def operator(server: ServerProcess) -> Operator:
    """A shell for the server."""
    return Operator(server.control)


async def test_a_session_is_created_read_and_ended(
    server: ServerProcess, operator: Operator
) -> None:
    """Its connections get the reason with which an operator ends it."""
    flags = ("--meta", '{"name": "Zoë"}', "--ttl", "60", "--max-age", "90.5", "--json")
    session = json.loads(operator.session("create", "a/b:c", *flags))
    assert session["key"].startswith("a/b:c:kst_")
    assert session["meta"] == {"name": "Zoë"}
    assert session["expiresAt"] - session["createdAt"] == 60_000
    assert session["endsAt"] - session["createdAt"] == 90_500
    public = {name: value for name, value in session.items() if name != "key"}
    assert json.loads(operator.session("list", "a/b:c", "--json")) == {"sessions": [public]}
    assert json.loads(operator.session("get", session["id"], "--json")) == public
    async with connected(server.url) as client:
        await client.call("session.restore", session["key"])
        ended = operator.session("revoke", session["id"], "--reason", "banned", "--json")
        assert json.loads(ended) == {"id": session["id"], "ended": True}
        assert (await client.event())[0] == "session.set"
        unset = await client.event()
        assert unset[:2] == ("session.unset", {"reason": "banned", "id": session["id"]})
        assert await client.call("session.isValid", session["key"]) == ("banned", None)


async def test_former_names_of_commands_work(operator: Operator) -> None:
    """`session show` and `session end` are `get` and `revoke`: tools rely on them."""
    session = json.loads(operator.session("create", "former", "--json"))
    del session["key"]
    assert json.loads(operator.session("show", session["id"], "--json")) == session
    ended = operator.session("end", session["id"], "--reason", "banned", "--json")
    assert json.loads(ended) == {"id": session["id"], "ended": True}


async def test_a_session_is_updated_and_reassigned(operator: Operator) -> None:
    """Meta and language by revision; then another actor has a session in its place."""
    session = json.loads(operator.session("create", "before", "--json"))
    flags = ("--meta", '{"level": 3}', "--language", "de", "--revision", "1", "--json")
    updated = json.loads(operator.session("update", session["id"], *flags))
    assert (updated["meta"], updated["language"], updated["revision"]) == (
        {"level": 3},
        "de",
        2,
    )
    stale = operator.run("update", session["id"], *flags)
    assert (stale.returncode, "revision" in stale.stderr) == (1, True)
    moved = json.loads(operator.session("reassign", session["id"], "after", "--json"))
    assert (moved["actorId"], moved["meta"]) == ("after", {"level": 3})
    assert moved["key"].startswith("after:kst_")
    assert operator.run("get", session["id"]).returncode == 1


async def test_all_sessions_of_an_actor_are_revoked(operator: Operator) -> None:
    """`session revoke --actor` ends them all, and prints how many there were."""
    for _ in range(3):
        operator.session("create", "many")
    assert json.loads(operator.session("revoke", "--actor", "many", "--json")) == {"ended": 3}
    assert operator.session("revoke", "--actor", "many") == "0 sessions of many have ended\n"
    assert operator.run("revoke").returncode == 2


async def test_a_long_list_is_asked_for_page_by_page(
    server: ServerProcess, operator: Operator
) -> None:
    """An operator sees all sessions of an actor, and on a terminal how far it is."""
    async with backend_of(server.control, API_KEY) as c:
        for _ in range(PAGE + 1):
            await c.post("/v1/sessions", json={"actorId": "crowd"})
    listed = json.loads(operator.session("list", "crowd", "--json"))["sessions"]
    assert len({session["id"] for session in listed}) == PAGE + 1
    said = await on_terminal("session", "list", "crowd", env=operator.env)
    assert "00 so far" in said
    assert all(session["id"] in said for session in listed)


async def test_people_read_it_aligned(operator: Operator) -> None:
    """Without `--json` a session is a list of fields, and several are a table."""
    created = operator.session("create", "dots", "--meta", '{"level": 3}')
    fields = dict(line.split(maxsplit=1) for line in created.splitlines())
    assert list(fields) == [
        *("id", "actor", "created", "expires", "ends", "language", "version", "meta", "key")
    ]
    assert (fields["actor"], fields["ends"], fields["meta"]) == ("dots", "-", '{"level": 3}')
    assert len({line.index(line.split()[1], 8) for line in created.splitlines()}) == 1
    shown = operator.session("show", fields["id"])
    assert shown == created[: created.index("key ")]
    head, row = operator.session("list", "dots").splitlines()
    assert head.split() == ["ID", "CREATED", "EXPIRES", "LANGUAGE", "VERSION", "META"]
    assert row.startswith(fields["id"])
    assert row.index(fields["meta"]) == head.index("META")
    assert operator.session("end", fields["id"]) == f"{fields['id']} has ended\n"
    assert operator.session("list", "dots") == "dots has no session\n"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("show", "nothing"), "no live session has this id"),
        (("end", "YQ.nothing", "--reason", "two words"), "reason must be a word"),
        (("create", "alice", "--ttl", "-1"), "ttl must be more than 0 seconds"),
        (("create", ""), "actorId must be 1 to 128 bytes"),
        (("list", "\udcff"), "the query must be UTF-8"),
    ],
)
async def test_a_refusal_is_one_line_and_1(
    operator: Operator, arguments: tuple[str, ...], why: str
) -> None:
    """What the server refuses exits with 1, and one line on standard error with the reason."""
    done = operator.run(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"keystay: {why}")
    assert done.stderr.count("\n") == 1


async def test_a_wrong_key_is_refused(server: ServerProcess) -> None:
    """Another API key than the server's exits with 1."""
    done = keystay(
        *("session", "list", "alice", "--control", server.control),
        env={"KEYSTAY_API_KEY": "wrong"},
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "keystay: this is not the API key\n"


async def test_the_key_is_read_from_the_working_directory(
    server: ServerProcess, tmp_path: Path
) -> None:
    """Where a server made its `keystay.key`, the command line needs no variable."""
    (tmp_path / "keystay.key").write_text(f"{API_KEY}\n")
    done = keystay(
        "session", "list", "alice", "--control", server.control, env={}, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (0, "alice has no session\n")


async def test_a_server_that_is_not_there_exits_with_1() -> None:
    """A control plane that cannot be reached exits with 1 and is named."""
    done = in_a_process(
        *("session", "list", "a", "--control", "http://127.0.0.1:1"),
        env={"KEYSTAY_API_KEY": "x"},
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "keystay: http://127.0.0.1:1 cannot be reached: Connection refused\n"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("session", "list", "a", "b"), "keystay session list: 1 word too many"),
        (("doctor", "redis://u:pw@h", "x"), "keystay doctor: 2 words too many"),
        (("serve", "ksa_hunter2"), "keystay serve: 1 word too many\n"),
        (("session", "create"), "keystay session create: the following arguments are required"),
        (("session", "create", "a", "--meta", "[]"), "keystay session create: argument --meta"),
        (("session", "create", "a", "--ttl", "nan"), "keystay session create: argument --ttl"),
        (("session", "list", "a"), "keystay: KEYSTAY_API_KEY: is not set"),
    ],
)
async def test_wrong_usage_is_one_line_and_2(
    tmp_path: Path, arguments: tuple[str, ...], why: str
) -> None:
    """An invalid command exits with 2, and one line that names the invalid part."""
    done = keystay(*arguments, env={}, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(why)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sesion", "list"), "keystay: sesion: no such command; did you mean session?"),
        (
            ("session", "lsit", "a"),
            "keystay session: lsit: no such command; did you mean list?",
        ),
        (("frobnicate",), "keystay: frobnicate: no such command"),
        (
            ("serve", "--lisen", "127.0.0.1:0"),
            "keystay serve: --lisen: no such flag; did you mean --listen?",
        ),
        (
            ("serve", "--max_outbox_bytes", "2000"),
            "keystay serve: --max_outbox_bytes: no such flag; did you mean --max-outbox-bytes?",
        ),
        (("serve", "--lis"), "keystay serve: --lis: no such flag; did you mean --listen?"),
        (
            ("session", "create", "a", "--mta", "{}"),
            "keystay session create: --mta: no such flag; did you mean --meta?",
        ),
        (
            ("session", "create", "--mta={}", "a"),
            "keystay session create: --mta: no such flag; did you mean --meta?",
        ),
        (("stats", "-json"), "keystay stats: -json: no such flag; did you mean --json?"),
        (("--frobnicate", "stats"), "keystay: --frobnicate: no such flag"),
        (("doctor", "--password=hunter2"), "keystay doctor: --password: no such flag"),
    ],
)
async def test_an_unknown_command_or_flag_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    """A command or flag that there is not is one line with the nearest; no value is shown."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert (ended.value.code, *capsys.readouterr()) == (2, "", f"{said}\n")


async def test_one_variable_is_the_servers_and_the_command_lines() -> None:
    """`KEYSTAY_CONTROL` may be a URL or HOST:PORT, to either of them."""
    async with serving("--control", "http://127.0.0.1:0") as server:
        address = server.control.removeprefix("http://")
        done = keystay(
            *("session", "list", "a"),
            env={"KEYSTAY_CONTROL": address, "KEYSTAY_API_KEY": "test-api-key"},
        )
    assert done.stdout == "a has no session\n"


async def test_ctrl_c_ends_a_command_in_silence() -> None:
    """Who waits no longer for an answer gets 130, as shells have it, and no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(SOON_S)
        control = f"http://127.0.0.1:{silent.getsockname()[1]}"
        words = ("session", "list", "a", "--control", control)
        async with running(*words, env={"KEYSTAY_API_KEY": "x"}) as asking:
            connection, _ = await asyncio.to_thread(silent.accept)
            with connection:
                asking.send_signal(signal.SIGINT)
                async with asyncio.timeout(SOON_S):
                    said = await asking.communicate()
            assert (asking.returncode, said) == (130, (b"", b""))


@pytest.mark.parametrize("arguments", [(), ("session",)])
async def test_no_command_shows_which_there_are(arguments: tuple[str, ...]) -> None:
    """Without a command, the commands are printed on standard error, and the exit code is 2."""
    done = keystay(*arguments, env={})
    assert (done.returncode, done.stdout) == (2, "")
    assert "commands:" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (
            ("--help",),
            ["serve", "session", "emit", "broadcast", "feed", "stats", "config", "doctor"],
        ),
        (("session", "revoke", "--help"), ["ID", "--reason", "--json", "KEYSTAY_CONTROL"]),
        (("serve", "--help"), ["--listen", "--control-insecure", "127.0.0.1:8330", "--config"]),
        (("--version",), [f"keystay {__version__}\n"]),
    ],
)
async def test_help_is_there_for_those_who_ask(
    arguments: tuple[str, ...], shown: list[str]
) -> None:
    """`--help` and `--version` go to standard output and exit with 0."""
    done = in_a_process(*arguments, env={})
    assert (done.returncode, done.stderr) == (0, "")
    for word in shown:
        assert word in done.stdout


@pytest.mark.parametrize(
    ("flags", "env", "why"),
    [
        ((), {"KEYSTAY_CONTROL": "example.org:1"}, "control: example.org can be reached"),
        (("--store", "mysql://x"), {}, "store: the URL must start with"),
        ((), {"KEYSTAY_API_KEY": "two words"}, "KEYSTAY_API_KEY: an API key is visible ASCII"),
        (("--config", "nowhere.toml"), {}, "config: nowhere.toml: No such file"),
    ],
)
async def test_a_wrong_setting_is_one_line_and_2(
    flags: tuple[str, ...], env: dict[str, str], why: str
) -> None:
    """A server that cannot run as configured exits with 2, and one line names the setting."""
    done = in_a_process(
        *("serve", "--store", "memory://", "--listen", "127.0.0.1:0", *flags),
        env={"KEYSTAY_CONTROL": "127.0.0.1:0", "KEYSTAY_API_KEY": "x", **env},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"keystay: {why}")
    assert done.stderr.count("\n") == 1
