"""
Whether a browser sent a request from a page of this server.
"""

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

_READS = frozenset({"GET", "HEAD"})


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
        is_same = urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    else:
        is_same = request.method in _READS
    if not is_same:
        raise HTTPException(HTTPStatus.FORBIDDEN, "only pages of this server may send this")
