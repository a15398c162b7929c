"""
What a program that embeds the server imports.
"""

import subprocess
import sys

import pytest

import keystay_server
from keystay_server.gateway.login.authenticators import Identity
from keystay_server.settings.config import Config


def test_its_names_are_in_the_package() -> None:
    """App, Authenticator, Config, ConfigError and Identity."""
    for name in keystay_server.__all__:
        assert getattr(keystay_server, name).__name__ == name
    with pytest.raises(AttributeError, match="nonsense"):
        _ = keystay_server.nonsense


def test_former_modules_still_give_them() -> None:
    """`keystay_server.config` and `keystay_server.authenticators` were documented."""
    code = (
        "from keystay_server.authenticators import Identity\n"
        "from keystay_server.config import Config, ConfigError\n"
        "print(Identity.__module__, Config.__module__)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.split() == [Identity.__module__, Config.__module__], run.stderr


def test_the_package_alone_loads_nothing_else() -> None:
    """The command line starts as quickly as before."""
    code = "import sys, keystay_server; print([m for m in sys.modules if 'asyncio' in m])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr
