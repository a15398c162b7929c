"""
`keystay doctor`, as an operator runs it.
"""

import json
import re
from pathlib import Path

import pytest

from tests.support.server.shell import keystay, on_terminal
from tests.support.valkey import running_valkey

ENV = {"KEYSTAY_API_KEY": "k" * 40}


def found(output: str) -> dict[str, str]:
    """How each thing was found to be."""
    return {each["about"]: each["level"] for each in json.loads(output)["findings"]}


def test_a_machine_that_is_well_is_0(tmp_path: Path) -> None:
    """Nothing is bad; each finding is a line."""
    store = ("--store", f"sqlite:///{tmp_path}/keystay.db")
    done = keystay("doctor", *store, env=ENV)
    assert (done.returncode, done.stderr) == (0, "")
    head, *lines = done.stdout.splitlines()
    assert head.split() == ["ABOUT", "FOUND", "WHAT", "TO", "DO"]
    assert {line.split()[0] for line in lines} <= {"good", "doubtful"}
    answer = json.loads(keystay("doctor", *store, "--json", env=ENV).stdout)
    assert answer["ok"] is True
    assert len(answer["findings"]) == len(lines)


def test_a_store_is_examined(tmp_path: Path) -> None:
    """A Valkey that keeps nothing is bad, one that keeps everything good."""
    with running_valkey(tmp_path) as valkey:
        done = keystay("doctor", "--store", valkey.url(), "--json", env=ENV)
        assert done.returncode == 1
        levels = found(done.stdout)
        assert (levels["store"], levels["persistence"]) == ("good", "bad")
    with running_valkey(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as valkey:
        done = keystay("doctor", "--store", valkey.url(), "--json", env=ENV)
        assert done.returncode == 0
        levels = found(done.stdout)
        assert levels["persistence"] == levels["eviction"] == levels["clock"] == "good"


@pytest.mark.parametrize(
    ("rights", "level"), [("+@all -config", "doubtful"), ("+@all -evalsha", "bad")]
)
def test_missing_rights_of_the_stores_user_are_reported(
    tmp_path: Path, rights: str, level: str
) -> None:
    """Without its settings the store is doubtful, without scripts it is of no use."""
    acl = ("--user", "keystay", "on", ">hunter2", "~*", "&*", *rights.split())
    with running_valkey(tmp_path, *acl) as valkey:
        url = valkey.url(userinfo="keystay:hunter2@")
        done = keystay("doctor", "--store", url, "--json", env=ENV)
    levels = found(done.stdout)
    assert levels["store" if level == "bad" else "store settings"] == level
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:hunter2@127.0.0.1:1/0",
        "redis+cluster://user:hunter2@127.0.0.1:1",
        "redis+sentinel://user:hunter2@127.0.0.1:1/main",
    ],
)
def test_a_store_that_is_away_is_bad(url: str) -> None:
    """It exits with 1, names the address and the reason, and shows no password."""
    done = keystay("doctor", "--store", url, env=ENV)
    assert (done.returncode, done.stderr) == (1, "")
    assert re.search(r"^bad +store +.*127\.0\.0\.1:1", done.stdout, re.MULTILINE)
    if "sentinel" not in url:
        assert "it cannot be reached: Connection refused" in done.stdout
    assert "hunter2" not in done.stdout


@pytest.mark.long
def test_a_store_that_is_silent_is_bad(tmp_path: Path) -> None:
    """It is reported after a deadline."""
    with running_valkey(tmp_path) as valkey:
        valkey.pause()
        done = keystay("doctor", "--store", valkey.url(), env=ENV)
        valkey.resume()
    assert done.returncode == 1
    assert "it does not answer" in done.stdout


def test_a_wrong_setting_is_2() -> None:
    """A server could not start with it: that comes first."""
    done = keystay("doctor", "--store", "redis://host/x", env=ENV)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("keystay: store: ")


async def test_a_terminal_shows_colours() -> None:
    """What is bad stands out."""
    said = await on_terminal("doctor", "--store", "memory://", "--dev", env=ENV)
    assert "\x1b[31mbad" in said
