"""
Checks of this machine, its files and the settings.
"""

import os
import shutil
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from keystay_server.cli.doctor.findings import Finding
from keystay_server.control.auth.api_key import (
    FILE_NAME,
    MIN_CHARACTERS,
    VARIABLE,
    directory_beside,
    is_short,
    read_api_key,
)
from keystay_server.settings.config import Config
from keystay_server.settings.errors import ConfigError
from keystay_server.stores import REDIS

SPARE_FILES = 1200
"""Beside one per client: 1024 for the control port, and the store, the log, libraries."""
FEW_FILES = 4096
LITTLE_SPACE_BYTES = 256 * 1024 * 1024

_NO_START = "the server would not start"
_FIX = f"{_NO_START}: correct the file, or leave the setting out"
_LONGER_KEY = f"use a random one of at least {MIN_CHARACTERS} characters: openssl rand -hex 32"


def check_open_files(config: Config) -> Finding:
    """Check that the limit of open files allows all connections."""
    try:
        import resource
    except ImportError:  # Windows has no such limit.
        return Finding("open files", "good", "not limited on this system")
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return Finding("open files", "good", "no limit")
    found, wanted = f"at most {limit}", config.max_connections + SPARE_FILES
    if config.max_connections and limit < wanted:
        advice = f"raise it to {wanted} (ulimit -n, LimitNOFILE)"
        if limit > SPARE_FILES:  # 0 would be no limit.
            lower = limit - SPARE_FILES
            advice += f", or lower max_connections from {config.max_connections} to {lower}"
        return Finding("open files", "bad", found, advice)
    if limit < FEW_FILES:
        advice = "raise it (ulimit -n, LimitNOFILE): each connection takes one"
        return Finding("open files", "doubtful", found, advice)
    return Finding("open files", "good", found)


def check_key_file(config: Config) -> Finding | None:
    """Check the mode of the file with the API key; None if there is no file."""
    path = directory_beside(config.store) / FILE_NAME
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return None
    except OSError as error:
        advice = "let the server's user read it"
        return Finding("API key file", "bad", f"{path}: {error.strerror}", advice)
    found = f"{path} has mode {mode:04o}"
    if mode & 0o077 and os.name == "posix":
        return Finding("API key file", "bad", found, f"chmod 600 {path}, and replace the key")
    return Finding("API key file", "good", found)


_SHARED_KEY = f"with several nodes, set {VARIABLE} to the same key on all of them"


def check_keys(config: Config, environment: dict[str, str]) -> list[Finding]:
    """Check that the API keys are valid, and too long to be guessed."""
    directory, default = directory_beside(config.store), None
    try:
        default = read_api_key(directory, environment)
    except ConfigError as error:
        findings = [Finding("API key", "bad", str(error), f"{_NO_START}: {_LONGER_KEY}")]
    else:
        where = VARIABLE if environment.get(VARIABLE) else str(directory / FILE_NAME)
        findings = [_judge_key(default, where, directory)]
        if not environment.get(VARIABLE) and urlsplit(config.store).scheme in REDIS:
            found = f"{VARIABLE} is not set: each node would create a key of its own"
            findings.append(Finding("API key of all nodes", "doubtful", found, _SHARED_KEY))
    if config.api_keys_file:
        findings.append(_check_api_keys(config.api_keys_file, default))
    return findings


def _judge_key(key: str | None, where: str, directory: Path) -> Finding:
    about = "API key"
    if key is None:
        if os.access(directory, os.W_OK):
            return Finding(about, "good", f"{FILE_NAME} is created at the first start")
        advice = f"{_NO_START}: set {VARIABLE}, or let its user write there"
        return Finding(about, "bad", f"{FILE_NAME} cannot be created in {directory}", advice)
    if is_short(key):
        found = f"the one in {where} has {len(key)} characters"
        return Finding(about, "bad", found, _LONGER_KEY)
    return Finding(about, "good", f"the one in {where} is long enough")


def _check_api_keys(path: str, default: str | None) -> Finding:
    about = "api_keys_file"
    # Imported late: it loads the HTTP framework, which is slow.
    from keystay_server.control.auth.key_ring import DEFAULT_NAME, keys_of

    try:
        keys = keys_of(default, path)
    except ConfigError as error:
        return Finding(about, "bad", error.what, _FIX)
    short = [f"[{key.name}]" for key in keys if key.is_short and key.name != DEFAULT_NAME]
    if short:
        found = f"{', '.join(short)}: fewer than {MIN_CHARACTERS} characters"
        return Finding(about, "bad", found, _LONGER_KEY)
    return Finding(about, "good", f"the keys in {path} are long enough")


def check_secrets(config: Config) -> list[Finding]:
    """Check the keys for JWTs and webhooks, if there are any."""
    # Imported late: they load cryptography, which is slow.
    from keystay_server.feed.signing import read_secrets
    from keystay_server.gateway.login.jwt import Jwt
    from keystay_server.telemetry.counts import Counts

    loads: dict[str, Callable[[], object]] = {}
    if config.jwt_key_file:
        loads["jwt_key_file"] = partial(Jwt.from_config, config, Counts())
    if config.webhook_url:
        loads["webhook_secret_file"] = partial(read_secrets, config.webhook_secret_file)
    return [_try(about, getattr(config, about), load) for about, load in loads.items()]


def _try(about: str, path: str, load: Callable[[], object]) -> Finding:
    try:
        load()
    except ConfigError as error:
        return Finding(about, "bad", error.what, _FIX)
    return Finding(about, "good", f"{path} can be used")


def check_settings(config: Config) -> list[Finding]:
    """Check settings that are valid and may be a mistake."""
    findings = []
    if config.dev:
        advice = "leave out dev: anybody can log in as any actor"
        findings.append(Finding("dev", "bad", "anonymous login is on", advice))
    if "*" in config.origins:
        advice = "name the pages, unless every page may connect with the keys of its visitors"
        findings.append(Finding("origins", "doubtful", "pages of any host may connect", advice))
    if config.control_insecure:
        advice = "make sure that a proxy in front of it encrypts the traffic"
        found = "plain HTTP from other machines is allowed"
        findings.append(Finding("control_insecure", "doubtful", found, advice))
    return findings


def _examined(path: Path) -> Finding:
    # Imported late: not every store is a file.
    from keystay_server.stores.errors import StoreError, StoreNotReady
    from keystay_server.stores.sqlite.schema import examine

    try:
        examine(str(path))
    except StoreNotReady as error:
        advice = "none, if that is a server that runs: it holds the file"
        return Finding("store", "doubtful", str(error), advice)
    except StoreError as error:
        return Finding("store", "bad", str(error), "restore a backup, or recover what is left")
    return Finding("store", "good", f"{path} is writable and not damaged")


def check_database(config: Config) -> list[Finding]:
    """Check that the SQLite file is writable, whole and ours, and has space."""
    parts = urlsplit(config.store)
    if parts.scheme == "memory":
        advice = "use sqlite:///PATH or redis://, unless sessions may be lost"
        return [Finding("store", "doubtful", "sessions are lost at each restart", advice)]
    path = Path(parts.path.removeprefix("/"))
    if not path.parent.is_dir():
        found = f"{path.parent} is not a directory"
        return [Finding("store", "bad", found, f"mkdir -p {path.parent}")]
    target = path if path.exists() else path.parent
    if not os.access(target, os.W_OK):
        advice = "make it writable for the user of the server"
        return [Finding("store", "bad", f"{target} is not writable for this user", advice)]
    findings = [_examined(path) if path.exists() else Finding("store", "good", "is new")]
    free = shutil.disk_usage(path.parent).free
    found = f"{free // (1024 * 1024)} MiB are free"
    if free < LITTLE_SPACE_BYTES:
        advice = "free space: on a full disk nobody can log in or out"
        findings.append(Finding("disk", "bad", found, advice))
    else:
        findings.append(Finding("disk", "good", found))
    return findings
