"""
The pages and assets that come with the package, and the headers they are served with.

No page holds a script or a style, and nothing is loaded from elsewhere: that is
what lets the policy be as strict as it is.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from importlib.resources import files

from starlette.responses import HTMLResponse, Response

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

SECURITY_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it is sent."""

    content: bytes
    media_type: str
    etag: str


def read_assets() -> Mapping[str, Asset]:
    """Read all assets, by name."""
    return {
        file.name: _asset(file.name, file.read_bytes())
        for file in files(__package__).joinpath("assets").iterdir()
        if file.name.rpartition(".")[2] in _TYPES
    }


def read_page(name: str) -> str:
    """Read a page; `{{word}}` in it is for `page`."""
    return files(__package__).joinpath("pages", name).read_text(encoding="utf-8")


def page(template: str, status: HTTPStatus = HTTPStatus.OK, /, **words: str) -> Response:
    """Make a page out of its template; the words are text, never HTML."""
    for name, word in words.items():
        template = template.replace("{{" + name + "}}", escape(word))
    return HTMLResponse(template, status, SECURITY_HEADERS)


def answer_asset(asset: Asset, if_none_match: str | None) -> Response:
    """Send an asset, or 304 to whoever has it. It may be kept, and has to be asked about."""
    headers = {**SECURITY_HEADERS, "ETag": asset.etag, "Cache-Control": "no-cache"}
    if if_none_match is not None and asset.etag in if_none_match:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(asset.content, HTTPStatus.OK, headers, asset.media_type)


def _asset(name: str, content: bytes) -> Asset:
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return Asset(content, _TYPES[name.rpartition(".")[2]], etag)
