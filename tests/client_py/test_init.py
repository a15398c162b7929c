"""`import keystay`: the public names, loaded when they are used."""

import subprocess
import sys

import pytest

import keystay


@pytest.mark.parametrize("name", keystay.__all__)
def test_a_public_name_can_be_loaded(name: str) -> None:
    """Each one is there, and only those are."""
    assert getattr(keystay, name) is getattr(keystay, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As of every module."""
    with pytest.raises(AttributeError, match="module 'keystay' has no attribute 'Clint'"):
        getattr(keystay, "Clint")  # noqa: B009


@pytest.mark.parametrize(
    ("name", "unneeded"),
    [("Control", "websockets"), ("connect", "h11"), ("verify_webhook", "ssl")],
)
def test_a_name_loads_what_it_needs(name: str, unneeded: str) -> None:
    """A backend waits for no WebSocket library, and a client for no HTTP library."""
    program = f"import sys, keystay; keystay.{name}; print({unneeded!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n"
