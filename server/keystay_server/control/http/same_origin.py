"""
Whether a browser sent a request from a page of this server.
"""

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

_READS = frozenset({"GET", "HEAD"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


def check_same_origin(request: Request) -> None:
    """
    Return if the request is from the same origin, by its headers.

    Browsers send `Sec-Fetch-Site` over TLS and on loopback only, and `Origin` with all
    requests that do not only read.

    Raises:
        HTTPException: If it is not, or if the headers are missing on a write.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        is_same = site == "same-origin"
    elif origin is not None:
        is_same = _names(origin, request.headers.get("host", ""))
    else:
        is_same = request.method in _READS
    if not is_same:
        raise HTTPException(HTTPStatus.FORBIDDEN, "only pages of this server may send this")


def _names(origin: str, host: str) -> bool:
    """Tell whether the origin is of this host. `Origin` has no default port, `Host` may."""
    try:
        parts = urlsplit(origin)
        default = _DEFAULT_PORTS[parts.scheme]
        asked = urlsplit(f"//{host}")
        same_port = (parts.port or default) == (asked.port or default)
    except (ValueError, KeyError):  # It is no URL, or `null`.
        return False
    return same_port and parts.hostname is not None and parts.hostname == asked.hostname
