"""
The deployment files, and what they have to agree with.
"""

import re
from collections.abc import Mapping
from typing import Any

from keystay_server.settings.config import Config
from keystay_server.settings.sources import load
from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"

CLIENTS, BACKENDS = 8330, 8331

_OTHERS_MAY_TAKE_S = 3.0
"""Closing the control port, and the store's last answers."""


def text(path: str) -> str:
    """A file below deploy/."""
    return (DEPLOY / path).read_text()


def config_from(environment: Mapping[str, Any]) -> Config:
    """The settings of a server with these variables; an unknown or wrong one is an error."""
    return load({}, None, {name: str(value) for name, value in environment.items()})


def drained_after_s(config: Config) -> float:
    """How long a node may take from SIGTERM to its end."""
    return 2 * config.drain_timeout_s + config.close_timeout_s + _OTHERS_MAY_TAKE_S


def silence_s(config: Config) -> float:
    """How long a connection may be silent before the server gives it up."""
    return config.ping_interval_s + config.ping_timeout_s


def seconds(duration: str) -> float:
    """A duration such as 75s, 500ms or 2m."""
    match = re.fullmatch(r"(\d+)(ms|s|m)?", duration)
    assert match, duration
    return int(match[1]) * {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}[match[2]]
