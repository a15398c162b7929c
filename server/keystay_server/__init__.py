"""
The Keystay server.

A program that embeds it needs five names, which stay where they are:

    from keystay_server import App, Authenticator, Config, ConfigError, Identity
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keystay_server.app import App
    from keystay_server.gateway.login.authenticators import Authenticator, Identity
    from keystay_server.settings.config import Config
    from keystay_server.settings.errors import ConfigError

__all__ = ["App", "Authenticator", "Config", "ConfigError", "Identity"]

# Loaded when they are used: the command line imports this package, and must start quickly.
_HOMES = {
    "App": "keystay_server.app",
    "Authenticator": "keystay_server.gateway.login.authenticators",
    "Config": "keystay_server.settings.config",
    "ConfigError": "keystay_server.settings.errors",
    "Identity": "keystay_server.gateway.login.authenticators",
}

# Modules that were documented before these names were here.
_FORMER_MODULES = ("authenticators", "config")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


for _name in _FORMER_MODULES:
    _module = ModuleType(f"{__name__}.{_name}", "Use `keystay_server` itself.")
    _module.__getattr__ = __getattr__  # type: ignore[method-assign]
    sys.modules[_module.__name__] = _module
