"""
Origins (RFC 6454): how the setting `origins` is written, and what a browser sends.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address

DEFAULT_PORTS = {"http": 80, "https": 443}

ANY = "*"
"""In the setting: every page."""

_PAGE_SCHEMES = {"ws": "http", "wss": "https"}

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\s]+)(?::([0-9]{1,5}))?")
_LABELS = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")


@dataclass(frozen=True, slots=True)
class Origin:
    """
    A scheme, a host and a port, in their canonical form.

    `port` is None only where the scheme has no default port and none was written. `host` begins
    with `*.` in a pattern for all subdomains.
    """

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        is_default = self.port == DEFAULT_PORTS.get(self.scheme)
        return (
            f"{self.scheme}://{host}" if is_default else f"{self.scheme}://{host}:{self.port}"
        )

    def matches(self, other: "Origin") -> bool:
        """Return whether the other one is this origin or, for a pattern, a subdomain."""
        if self.host.startswith("*."):
            return (
                (self.scheme, self.port) == (other.scheme, other.port)
                and other.host.endswith(self.host[1:])
                and len(other.host) >= len(self.host)
            )
        return self == other


def parse_setting(text: str) -> Origin:
    """
    Read one value of the setting `origins`: https://HOST[:PORT] or https://*.DOMAIN[:PORT].

    Raises:
        ValueError: If it could never match. The text has the right form, where there is one.
    """
    scheme, colon, rest = text.lower().partition("://")
    if "://" in rest:
        raise ValueError(f"{text!r} is more than one origin: separate them with commas")
    authority, _, path = rest.partition("/")
    page_scheme = _PAGE_SCHEMES.get(scheme, scheme)
    origin = _parsed(page_scheme, authority, is_setting=True) if colon else None
    if origin is None:
        raise ValueError(f"{text!r} is neither * nor like https://HOST or https://*.DOMAIN")
    if page_scheme != scheme:
        raise ValueError(f"{text!r} is the URL of a WebSocket, not of a page: write {origin}")
    if path:
        raise ValueError(f"{text!r} has a path, which an origin has not: write {origin}")
    return origin


def parse_header(text: str) -> Origin | None:
    """Read what a browser sends as `Origin`; None if it is no origin, such as `null`."""
    scheme, colon, authority = text.partition("://")
    return _parsed(scheme.lower(), authority, is_setting=False) if colon else None


def parse_host(host: str, scheme: str) -> Origin | None:
    """Read a `Host` header, as the origin of a page of that scheme; None if it is malformed."""
    return _parsed(scheme, host, is_setting=False) if host else None


def _parsed(scheme: str, authority: str, *, is_setting: bool) -> Origin | None:
    if scheme == "file" and not authority:
        return Origin(scheme, "", None)
    match = _HOST_PORT.fullmatch(authority)
    if match is None or not _SCHEME.fullmatch(scheme) or not (is_setting or match[1].isascii()):
        return None
    host, port = match.group(1), None if match.group(2) is None else int(match.group(2))
    if port is None:
        port = DEFAULT_PORTS.get(scheme)
    elif not 1 <= port <= 65535:
        return None
    is_pattern = is_setting and host.startswith("*.")
    canonical = _canonical_host(host.removeprefix("*.") if is_pattern else host)
    if canonical is None:
        return None
    return Origin(scheme, f"*.{canonical}" if is_pattern else canonical, port)


def _canonical_host(host: str) -> str | None:
    if host.startswith("["):
        try:
            return ip_address(host[1:-1]).compressed
        except ValueError:
            return None
    try:
        # A browser sends names in their ASCII form.
        name = host.lower() if host.isascii() else host.encode("idna").decode().lower()
    except UnicodeError:
        return None
    return name.removesuffix(".") if _LABELS.fullmatch(name) else None
