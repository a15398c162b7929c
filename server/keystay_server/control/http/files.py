"""
The pages and assets of the package, and their security headers.

No page has inline scripts or styles, and nothing is loaded from other hosts: the content
security policy allows neither.
"""

import hashlib
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class Page:
    """
    A page in the folder `pages` of a package; `render` replaces each `{{name}}` in it.

    Args:
        connect: A further origin to which its scripts may connect.
    """

    def __init__(self, package: str, name: str, connect: str = "") -> None:
        self._template = files(package).joinpath("pages", name).read_text(encoding="utf-8")
        self._headers = _headers(connect)

    def render(self, status: HTTPStatus = HTTPStatus.OK, /, **values: str) -> Response:
        """Return the page; the values are escaped."""
        text = self._template
        for name, value in values.items():
            text = text.replace("{{" + name + "}}", escape(value))
        return HTMLResponse(text, status, self._headers)


class Assets:
    """The files in the folder `assets` of a package, by name."""

    def __init__(self, package: str) -> None:
        self._assets = {
            file.name: _asset(file.name, file.read_bytes())
            for file in files(package).joinpath("assets").iterdir()
            if file.name.rpartition(".")[2] in _TYPES
        }

    async def serve(self, request: Request) -> Response:
        """`GET .../{name}`: the asset, or 304 if the browser has it."""
        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        # It may be cached, and has to be revalidated.
        headers = {**_headers(), "ETag": asset.etag, "Cache-Control": "no-cache"}
        if asset.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(asset.content, HTTPStatus.OK, headers, asset.media_type)


@dataclass(frozen=True, slots=True)
class _Asset:
    """One file."""

    content: bytes
    media_type: str
    etag: str


def _asset(name: str, content: bytes) -> _Asset:
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return _Asset(content, _TYPES[name.rpartition(".")[2]], etag)


def _headers(connect: str = "") -> dict[str, str]:
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        f"connect-src 'self' {connect}".rstrip(),
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        # With `no-referrer` browsers would send `Origin: null` with the login form.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }
