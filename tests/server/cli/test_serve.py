"""
`keystay serve`: how a server that cannot start ends.
"""

import json
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.server.shell import COMMAND, SOON_S, environment

FREE = ("--listen", "127.0.0.1:0", "--control", "127.0.0.1:0")
ENV = {"KEYSTAY_API_KEY": "test-api-key-of-22-characters"}
NO_SUCH_ADDRESS = "192.0.2.1:0"
"""An address of a network for documentation (RFC 5737), which no machine has."""


NO_SUCH_FLAG = "--no-such-flag: no such flag"


def serve(
    *flags: str,
    cwd: Path | None = None,
    before: Callable[[], None] | None = None,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a server that must not start."""
    return subprocess.run(
        [*COMMAND, "serve", *flags],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env=environment(ENV if env is None else env),
        cwd=cwd,
        preexec_fn=before,
        timeout=SOON_S,
    )


@pytest.mark.parametrize("setting", ["listen", "control"])
def test_a_port_in_use_may_pass(setting: str) -> None:
    """The exit code is 75: a service manager starts the server again."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        done = serve(*FREE, "--store", "memory://", f"--{setting}", address)
    assert (done.returncode, done.stdout) == (75, "")
    assert done.stderr.startswith(f"keystay: {setting}: {address}: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("setting", ["listen", "control"])
def test_an_address_that_is_not_there_may_pass(setting: str) -> None:
    """The network of the machine may come up later."""
    flags = (f"--{setting}", NO_SUCH_ADDRESS, "--control-insecure")
    done = serve(*FREE, "--store", "memory://", *flags)
    assert done.returncode == 75
    assert done.stderr.startswith(f"keystay: {setting}: {NO_SUCH_ADDRESS}: ")


def test_a_database_that_is_held_may_pass(tmp_path: Path) -> None:
    """By a server that is about to stop, for example."""
    holder = (
        "import sqlite3; db = sqlite3.connect('keystay.db', isolation_level=None);"
        "db.execute('PRAGMA locking_mode=EXCLUSIVE'); db.execute('PRAGMA journal_mode=WAL');"
        "db.execute('CREATE TABLE t (x)'); print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        done = serve(*FREE, "--store", "sqlite:///keystay.db", cwd=tmp_path)
        process.communicate(b"\n")
    assert done.returncode == 75
    assert done.stderr == "keystay: store: keystay.db is held by another process\n"


def test_a_disk_that_takes_no_writes_may_pass(tmp_path: Path) -> None:
    """Somebody makes room on it."""
    done = serve(
        *(*FREE, "--store", "sqlite:///keystay.db"), cwd=tmp_path, before=_write_nothing
    )
    assert done.returncode == 75
    assert done.stderr.startswith("keystay: store: keystay.db cannot be used: ")
    assert done.stderr.count("\n") == 1


def test_a_key_that_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    """A file without a key would be a wrong one at the next start."""
    done = serve(*FREE, "--store", "memory://", cwd=tmp_path, before=_write_nothing, env={})
    assert done.returncode == 75
    assert done.stderr.startswith("keystay: KEYSTAY_API_KEY: ")
    assert list(tmp_path.iterdir()) == []


def test_too_few_descriptors_may_pass(tmp_path: Path) -> None:
    """Whatever needs one when there is none left."""
    done = serve(*FREE, "--store", "memory://", cwd=tmp_path, before=_open_few)
    assert done.returncode == 75


@pytest.mark.parametrize(
    ("flags", "setting"),
    [
        (("--store", "mysql://localhost"), "store"),
        (("--store", "sqlite:///no/such/directory/keystay.db"), "store"),
        (("--listen", "0.0.0.0.0:1"), "listen"),
        (("--tls-cert", "missing", "--tls-key", "missing"), "tls_cert"),
        (("--policy", "none"), "policy"),
    ],
)
def test_a_wrong_setting_does_not_pass(
    tmp_path: Path, flags: tuple[str, ...], setting: str
) -> None:
    """The exit code is 2: the next start would fail in the same way."""
    done = serve(*FREE, "--store", "memory://", *flags, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"keystay: {setting}: ")


@pytest.mark.parametrize(
    ("flags", "env", "code", "message"),
    [
        (("--log-format", "json", "--policy", "none"), {}, 2, "policy: must be many"),
        (("--log-format=json", "--no-such-flag"), {}, 2, NO_SUCH_FLAG),
        (
            ("--no-such-flag",),
            {"KEYSTAY_LOG_FORMAT": "json"},
            2,
            NO_SUCH_FLAG,
        ),
        (("--config", "keystay.toml"), {}, 2, "polcy: no such setting"),
        (("--config", "keystay.toml", "--no-such-flag"), {}, 2, NO_SUCH_FLAG),
        (
            ("--listen", NO_SUCH_ADDRESS, "--log-format", "json"),
            {},
            75,
            "listen: ",
        ),
    ],
)
def test_why_a_server_does_not_start_is_a_json_line(
    tmp_path: Path, flags: tuple[str, ...], env: dict[str, str], code: int, message: str
) -> None:
    """With the log format `json`, wherever that is set and whatever else is wrong."""
    (tmp_path / "keystay.toml").write_text('log_format = "json"\npolcy = "single"\n')
    done = serve("--store", "memory://", *flags, cwd=tmp_path, env={**ENV, **env})
    assert done.returncode == code
    [line] = [json.loads(line) for line in done.stderr.splitlines()]
    assert (line["level"], line["logger"]) == ("error", "keystay")
    assert line["message"].startswith(message)


def _write_nothing() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _open_few() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))
