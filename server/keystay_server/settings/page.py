"""
Makes docs/reference/configuration.md from the schema: `python -m keystay_server.settings.page`.
"""

import sys
from collections.abc import Iterator
from dataclasses import Field, fields
from typing import Any

from keystay_server.settings.config import Config

# The setting that a section begins with. One that is added stands where its kin stand.
_SECTIONS = {
    "listen": "Addresses and store",
    "tls_cert": "TLS and pages",
    "ttl_s": "Sessions",
    "jwt_key_file": "Login with JWT",
    "max_connections": "Limits",
    "command_timeout_s": "Deadlines",
    "log_level": "Logs and traces",
}

_HEAD = """\
# Which settings does the server have?

```sh
keystay serve --config keystay.toml --ttl-s 3600
keystay config show --config keystay.toml     # each value, and where it came from
keystay config check keystay.toml             # what is wrong with a file
keystay doctor --config keystay.toml          # and with the files and servers that it names
```

```toml
listen = "0.0.0.0:8330"
store = "redis://127.0.0.1:6379/0"
origins = ["https://game.example"]
ttl_s = 3600
```

| a setting | in the file | in the environment | as a flag |
|---|---|---|---|
| a value | `ttl_s = 3600` | `KEYSTAY_TTL_S=3600` | `--ttl-s 3600` |
| a list | `origins = ["a", "b"]` | `KEYSTAY_ORIGINS=a,b` | `--origins a,b` |
| a switch | `dev = true` | `KEYSTAY_DEV=true` | `--dev` |

A later source wins: defaults, file, environment, flags. Times are in seconds.

Two variables are no settings:

- `KEYSTAY_API_KEY` is the secret of backends. It is never a flag: every user of a machine can read
  flags.
- `KEYSTAY_CONTROL` is the setting `control`, and where the command line finds the server: HOST:PORT
  or a URL, `https://` only if `control_tls_cert` is set.

These tables are made from `server/keystay_server/settings/config.py` by `make configuration`.
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
