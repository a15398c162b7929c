"""
`node/reload.py`: what SIGHUP does, and what it says about it.
"""

import asyncio
import logging
import os
import signal
from pathlib import Path

import pytest

from keystay_server.node.reload import Reload
from keystay_server.settings.errors import ConfigError
from tests.support.server.shell import SOON_S, running


def broken() -> str | None:
    """A part whose file is broken."""
    raise ConfigError("api_keys_file", "not TOML")


def faulty() -> str | None:
    """A part that has a fault."""
    raise RuntimeError("oops")


def read_again(*parts: object, caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Read these parts again; return the log: levels and lines."""
    reload = Reload()
    for part in parts:
        reload.add(part)  # type: ignore[arg-type]
    caplog.set_level(logging.INFO, "keystay.reload")
    reload.read_again()
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_each_part_is_read_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    """One that fails keeps no other from being read; whatever is new or wrong has a line."""
    parts = (lambda: "the first is new", broken, lambda: None, faulty, lambda: "so is the last")
    assert read_again(*parts, caplog=caplog) == [
        ("INFO", "SIGHUP: the first is new"),
        ("ERROR", "SIGHUP: api_keys_file: not TOML; what was read before stays in use"),
        ("ERROR", "SIGHUP: reading a part again failed; it stays as it was"),
        ("INFO", "SIGHUP: so is the last"),
    ]
    assert [bool(record.exc_info) for record in caplog.records] == [False, False, True, False]


def test_that_nothing_is_new_is_said_too(caplog: pytest.LogCaptureFixture) -> None:
    """An operator sees that the signal arrived."""
    said = read_again(lambda: None, caplog=caplog)
    assert said == [("INFO", "SIGHUP: nothing has changed")]


async def test_a_server_that_starts_hears_it_later(tmp_path: Path) -> None:
    """SIGHUP, as from a hook that comes early, does not end it: it reads again once it can."""
    config = tmp_path / "keystay.toml"
    os.mkfifo(config)  # It is still reading its settings for as long as nobody writes them.
    async with running(
        "serve", "--config", str(config), env={"KEYSTAY_API_KEY": "k"}
    ) as server:
        async with asyncio.timeout(SOON_S):
            with await asyncio.to_thread(config.open, "w") as settings:
                server.send_signal(signal.SIGHUP)
                settings.write('listen = "127.0.0.1:0"\ncontrol = "127.0.0.1:0"\n')
                settings.write('store = "memory://"\n')
            assert server.stdout is not None
            assert b'"event": "ready"' in await server.stdout.readline()
            server.terminate()
            _, log = await server.communicate()
    assert server.returncode == 0
    assert b"SIGHUP: nothing has changed" in log
