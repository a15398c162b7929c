"""
Makes docs/configuration.md from the schema: `python -m keystay_server.settings.page`.
"""

import sys
from collections.abc import Iterator
from dataclasses import Field, fields
from typing import Any

from keystay_server.settings.config import Config

# The setting that a section begins with. One that is added stands where its kin stand.
_SECTIONS = {
    "listen": "Doors and store",
    "tls_cert": "TLS and pages",
    "ttl_s": "Sessions",
    "jwt_key_file": "Login with JWT",
    "max_connections": "Limits",
    "command_timeout_s": "Deadlines",
    "log_level": "Logs and traces",
}

_HEAD = """\
# Configuration

Made from the schema, `server/keystay_server/settings/config.py`, by `make
configuration`; a test keeps it so.

A setting has one name. `ttl_s` is a key of the TOML file (`--config FILE`), `KEYSTAY_TTL_S`
in the environment, and `--ttl-s` as a flag. A later source wins: defaults < file <
environment < flags.

```toml
listen = "0.0.0.0:8330"
store = "redis://127.0.0.1:6379/0"
origins = ["https://game.example"]
ttl_s = 3600
```

In the environment and as a flag, several values are one text with commas; a switch is `true`
or `false` in the file and the environment, and a flag without a value. Times are in seconds.
`keystay config show` tells each value and where it came from, with passwords masked; `keystay
config check FILE` tells what is wrong with a file, and exits with 2 if anything is; the files
and servers that settings name are looked at by `keystay doctor --config FILE`.

Two variables are not settings, for they are not the server's alone: `KEYSTAY_API_KEY`, the
secret that backends send, is never a flag, for whoever can list the processes of a machine
sees their flags; `KEYSTAY_CONTROL` is also where the command line finds the server, as
HOST:PORT or as a URL, `https://` only where `control_tls_cert` is set.
"""


def page() -> str:
    """The page, as Markdown."""
    return "\n".join([_HEAD, *_tables()])


def _tables() -> Iterator[str]:
    for setting in fields(Config):
        if setting.name in _SECTIONS:
            yield f"## {_SECTIONS[setting.name]}\n"
            yield "| setting | type | default | |"
            yield "|---|---|---|---|"
        yield _row(setting)
        if _is_last(setting):
            yield ""


def _is_last(setting: "Field[Any]") -> bool:
    names = [each.name for each in fields(Config)]
    following = names[names.index(setting.name) + 1 :]
    return bool(following) and following[0] in _SECTIONS


def _row(setting: "Field[Any]") -> str:
    meaning = setting.metadata["help"].replace("|", "\\|")
    return f"| `{setting.name}` | {_type(setting)} | {_default(setting)} | {meaning} |"


def _type(setting: "Field[Any]") -> str:
    match setting.default:
        case bool():
            return "switch"
        case int():
            return "whole number"
        case float():
            return "seconds" if setting.name.endswith("_s") else "number"
        case tuple():
            return "list"
    return "text"


def _default(setting: "Field[Any]") -> str:
    default = setting.default
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if default in ("", ()):
        return "none"
    if isinstance(default, tuple):
        return f"`{','.join(default)}`"
    return f"`{default:g}`" if isinstance(default, float) and default < 1e6 else f"`{default}`"


if __name__ == "__main__":
    sys.stdout.write(page() + "\n")
