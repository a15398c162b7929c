"""
What is to be looked at on the machine that a server runs on.
"""

import os
import shutil
import stat
from pathlib import Path
from urllib.parse import urlsplit

from keystay_server.admin.doctor.findings import Finding
from keystay_server.config import Config, ConfigError
from keystay_server.control.api_key import (
    FILE_NAME,
    MIN_CHARACTERS,
    VARIABLE,
    directory_beside,
    is_short,
)

SPARE_FILES = 1200
"""Beside a file for each client: 1024 for backends, and the store, the log, the libraries."""
FEW_FILES = 4096
LITTLE_SPACE_BYTES = 256 * 1024 * 1024

_LONGER_KEY = f"use a random one, of {MIN_CHARACTERS} characters at least: openssl rand -hex 32"


def check_open_files(config: Config) -> Finding:
    """Whether as many files may be open as there may be connections."""
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
    """Whether the file with the API key is its owner's alone; None if there is none."""
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


def check_key(config: Config, environment: dict[str, str]) -> Finding:
    """Whether the API key is long enough not to be guessed."""
    path = directory_beside(config.store) / FILE_NAME
    key, where = environment.get(VARIABLE, ""), VARIABLE
    if not key:
        where = str(path)
        try:
            key = path.read_text(errors="replace").strip()
        except OSError:
            return Finding("API key", "good", f"{FILE_NAME} is made at the first start")
    if is_short(key):
        found = f"the one in {where} has {len(key)} characters"
        return Finding("API key", "bad", found, _LONGER_KEY)
    return Finding("API key", "good", f"the one in {where} is long enough")


def check_api_keys(config: Config) -> Finding | None:
    """Whether more API keys can be read and are long enough; None if there are no more."""
    about, path = "api_keys_file", config.api_keys_file
    if not path:
        return None
    # Imported late: it takes the HTTP framework, which is long to load.
    from keystay_server.control.key_ring import keys_in

    try:
        keys = keys_in(path)
    except ConfigError as error:
        found = str(error).removeprefix(f"{about}: ")
        advice = "the server would not start: put the file right, or leave the setting out"
        return Finding(about, "bad", found, advice)
    short = [f"[{key.name}]" for key in keys if key.is_short]
    if short:
        found = f"{', '.join(short)}: fewer than {MIN_CHARACTERS} characters"
        return Finding(about, "bad", found, _LONGER_KEY)
    return Finding(about, "good", f"the keys in {path} are long enough")


def check_files(config: Config) -> list[Finding]:
    """Whether the files that settings name can be read, beside those of TLS and API keys."""
    findings = []
    for name in ("jwt_key_file", "webhook_secret_file"):
        path = getattr(config, name)
        if not path:
            continue
        try:
            with Path(path).open("rb"):
                findings.append(Finding(name, "good", f"{path} can be read"))
        except OSError as error:
            advice = "the server would not start: make the file, or leave the setting out"
            findings.append(Finding(name, "bad", f"{path}: {error.strerror}", advice))
    return findings


def check_settings(config: Config) -> list[Finding]:
    """What is allowed, and may not be meant."""
    findings = []
    if config.dev:
        advice = "leave out dev: anybody can be any actor"
        findings.append(Finding("dev", "bad", "anonymous login is on", advice))
    if "*" in config.origins:
        advice = "name the pages, unless every page may connect with its visitors' keys"
        findings.append(Finding("origins", "doubtful", "pages of any host may connect", advice))
    if config.control_insecure:
        advice = "make sure that something in front of it encrypts the traffic"
        found = "backends may come from other machines in clear text"
        findings.append(Finding("control_insecure", "doubtful", found, advice))
    return findings


def check_database(config: Config) -> list[Finding]:
    """Whether the SQLite file can be written, and has room."""
    parts = urlsplit(config.store)
    if parts.scheme == "memory":
        advice = "use sqlite:///PATH or redis://, unless sessions may be forgotten"
        return [Finding("store", "doubtful", "sessions are lost at each restart", advice)]
    path = Path(parts.path.removeprefix("/"))
    if parts.netloc or not parts.path.removeprefix("/"):
        raise ConfigError("store: the URL names no file: write sqlite:///PATH")
    if not path.parent.is_dir():
        found = f"{path.parent} is no directory"
        return [Finding("store", "bad", found, f"mkdir -p {path.parent}")]
    target = path if path.exists() else path.parent
    if not os.access(target, os.W_OK):
        advice = "give it to the user that the server runs as"
        return [Finding("store", "bad", f"{target} cannot be written by this user", advice)]
    findings = [Finding("store", "good", f"{path} can be written")]
    free = shutil.disk_usage(path.parent).free
    found = f"{free // (1024 * 1024)} MiB are free"
    if free < LITTLE_SPACE_BYTES:
        advice = "make room: on a full disk nobody can log in, and no logout is kept"
        findings.append(Finding("disk", "bad", found, advice))
    else:
        findings.append(Finding("disk", "good", found))
    return findings
