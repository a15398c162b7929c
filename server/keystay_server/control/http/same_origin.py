"""
Whether a request comes from a page of this very server, by the browser's own word.
"""

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

_READS = frozenset({"GET", "HEAD"})


def check_is_from_our_page(request: Request) -> None:
    """
    Return if the browser says that our page sent this.

    `Sec-Fetch-Site` is the browser's own word, but it gives it over TLS and on
    loopback only. Everywhere it gives `Origin` with what is not just read.

    Raises:
        HTTPException: If it says anything else, or nothing where it has to.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        is_ours = site == "same-origin"
    elif origin is not None:
        is_ours = urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    else:
        is_ours = request.method in _READS
    if not is_ours:
        raise HTTPException(HTTPStatus.FORBIDDEN, "this is for this server's own pages only")
