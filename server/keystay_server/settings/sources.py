"""
Where the value of a setting comes from: defaults < file < environment < flags.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from keystay_server.settings.config import Config
from keystay_server.settings.errors import ConfigError
from keystay_server.settings.suggestions import nearest
from keystay_server.settings.values import converted

ENVIRONMENT_PREFIX = "KEYSTAY_"

# A secret is not shown as settings are.
_OTHER_VARIABLES = frozenset({"KEYSTAY_API_KEY"})


@dataclass(frozen=True, slots=True)
class Sourced:
    """The value of a setting, and its source as an operator would look for it."""

    value: Any
    source: str


def load(
    flags: Mapping[str, Any],
    file: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Config:
    """
    Read all sources, as `sourced` does, and check the settings together.

    Raises:
        ConfigError: If a setting is unknown or wrong, or the file cannot be read.
    """
    return configured(sourced(flags, file, environment))


def sourced(
    flags: Mapping[str, Any],
    file: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> dict[str, Sourced]:
    """
    Read all sources; return what is set in them, by setting.

    Args:
        flags: The flags of the command line, by name of the setting.
        file: A TOML file, or None.

    Raises:
        ConfigError: If a setting is unknown or of the wrong type, or the file cannot be read.
    """
    given: list[tuple[str, Any, str]] = []
    if file is not None:
        text = _read_file(file)
        given += [(name, value, _line(file, text, name)) for name, value in _parsed(file, text)]
    for variable, value in environment.items():
        if variable.startswith(ENVIRONMENT_PREFIX) and variable not in _OTHER_VARIABLES:
            name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
            given.append((name, value, variable))
    given += [(name, value, f"--{name.replace('_', '-')}") for name, value in flags.items()]
    values: dict[str, Sourced] = {}
    for name, value, source in given:
        known = _known(name, source)
        values[known] = Sourced(_converted(known, value, source), source)
    return values


def read_one(
    name: str,
    flags: Mapping[str, Any],
    file: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Any:
    """Read one setting, even if others are wrong; None if it is not set, or cannot be read."""
    variable = f"{ENVIRONMENT_PREFIX}{name.upper()}"
    # A pipe can be read once, and it is for `sourced`.
    is_readable = file is not None and Path(file).is_file()
    try:
        in_file = dict(_parsed(file, _read_file(file))) if file and is_readable else {}
    except ConfigError:
        in_file = {}
    return flags.get(name, environment.get(variable, in_file.get(name)))


def configured(values: Mapping[str, Sourced]) -> Config:
    """
    Check the settings together.

    Raises:
        ConfigError: If one of them is wrong.
    """
    try:
        return Config(**{name: each.value for name, each in values.items()})
    except ConfigError as error:
        if error.setting in values:
            error.source = values[error.setting].source
        raise


def _read_file(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError("config", f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError("config", f"{file}: not TOML, which is UTF-8: {error}") from error


def _parsed(file: str, text: str) -> list[tuple[str, Any]]:
    try:
        return list(tomllib.loads(text).items())
    except ValueError as error:
        raise ConfigError("config", f"{file}: not TOML: {error}") from error


def _line(file: str, text: str, name: str) -> str:
    """FILE:LINE of a setting; FILE alone where the line is not easily found."""
    pattern = re.compile(rf"""\s*\[?\s*["']?{re.escape(name)}["']?\s*[]=.]""")
    for number, line in enumerate(text.splitlines(), start=1):
        if pattern.match(line):
            return f"{file}:{number}"
    return file


def _known(name: str, source: str) -> str:
    names = [setting.name for setting in fields(Config)]
    if name in names:
        return name
    raise ConfigError(name, "no such setting", source=source, nearest=nearest(name, names))


def _converted(name: str, value: Any, source: str) -> Any:
    default = next(setting.default for setting in fields(Config) if setting.name == name)
    try:
        return converted(value, default)
    except ValueError as error:
        raise ConfigError(name, str(error), source=source) from None
