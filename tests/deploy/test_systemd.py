"""
`deploy/systemd/`: the unit and its settings.
"""

import re
import shlex
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from keystay_server.settings.config import Config
from keystay_server.settings.errors import EXIT_MISCONFIGURED, EXIT_TEMPORARY
from keystay_server.settings.sources import load
from tests.support.deploy.files import DEPLOY, drained_after_s, text
from tests.support.server.shell import keystay


def unit() -> dict[str, dict[str, list[str]]]:
    """The unit's sections; a key may be there several times."""
    sections: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    section = ""
    for line in text("systemd/keystay.service").splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = match[1]
        elif line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals, line
            sections[section][name].append(value)
    return sections


SERVICE = unit()["Service"]
UNIT = unit()["Unit"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
def test_systemd_reads_it(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say, once the program is where it says."""
    here = text("systemd/keystay.service").replace("/opt/keystay/bin/keystay", "/bin/true")
    file = tmp_path / "keystay.service"
    file.write_text(here)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(file)],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
def test_it_is_let_do_little() -> None:
    """`systemd-analyze security` rates it 2 at most; a unit without a sandbox gets 10."""
    done = subprocess.run(
        [
            *("systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager"),
            str(DEPLOY / "systemd/keystay.service"),
        ],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_its_command_is_one_that_there_is() -> None:
    """Each flag is one of `keystay serve`."""
    [start] = SERVICE["ExecStart"]
    program, command, *flags = shlex.split(start)
    assert (Path(program).name, command) == ("keystay", "serve")
    known = keystay("serve", "--help", env={}).stdout
    for flag in [flag for flag in flags if flag.startswith("--")]:
        assert re.search(rf"^ +{flag}\b", known, re.MULTILINE), flag


def test_its_settings_are_right(tmp_path: Path) -> None:
    """The file is one that a server starts with, and its database is where systemd lets it."""
    path = DEPLOY / "systemd/keystay.toml"
    assert keystay("config", "check", str(path), env={}).returncode == 0
    config = load({}, str(path), {})
    [directory] = SERVICE["WorkingDirectory"]
    [state] = SERVICE["StateDirectory"]
    assert directory == f"/var/lib/{state}"
    assert config.store == f"sqlite:///{directory}/keystay.db"


def test_as_many_files_may_be_open_as_connections() -> None:
    """As `keystay doctor` wants it."""
    from keystay_server.cli.doctor.machine import SPARE_FILES

    config = load({}, str(DEPLOY / "systemd/keystay.toml"), {})
    assert int(SERVICE["LimitNOFILE"][0]) >= config.max_connections + SPARE_FILES


def test_there_is_time_to_drain() -> None:
    """systemd kills no node before its last command is finished."""
    assert int(SERVICE["TimeoutStopSec"][0]) > drained_after_s(Config())


def test_a_wrong_setting_is_not_tried_again() -> None:
    """The server exits with 2 then, and no other code prevents a restart."""
    assert SERVICE["RestartPreventExitStatus"] == [str(EXIT_MISCONFIGURED)]
    assert SERVICE["Restart"] == ["on-failure"]


def test_a_server_that_cannot_start_yet_is_started_again_and_again() -> None:
    """systemd would give up after five starts in ten seconds."""
    assert UNIT["StartLimitIntervalSec"] == ["0"]
    assert EXIT_TEMPORARY != EXIT_MISCONFIGURED


def test_it_is_started_once_it_says_so() -> None:
    """`keystay serve` itself does (`tests/server/node/test_systemd.py`), and no child of it."""
    assert (SERVICE["Type"], SERVICE["NotifyAccess"]) == (["notify"], ["main"])
