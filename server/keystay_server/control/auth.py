"""
Who may use the API: whoever sends the API key, as a bearer token (RFC 6750).
"""

import hashlib
import hmac
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from keystay_protocol.session import SECRET_PREFIX

# What people call a key when they put it where it does not belong.
_KEY_PARAMETERS = frozenset(
    {"key", "api_key", "apikey", "api-key", "access_token", "token", "authorization"}
)


class BearerAuth:
    """Passes on the requests that carry the API key, and refuses all others."""

    def __init__(self, app: ASGIApp, api_key: str) -> None:
        self._app = app
        self._digest = _digest(api_key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI has it."""
        request = Request(scope)
        self._refuse_key_in_url(request)
        self._check(request)
        await self._app(scope, receive, send)

    def _refuse_key_in_url(self, request: Request) -> None:
        for name, value in request.query_params.multi_items():
            if (
                name.lower() in _KEY_PARAMETERS
                or SECRET_PREFIX in value
                or self._is_api_key(value)
            ):
                raise HTTPException(
                    HTTPStatus.BAD_REQUEST,
                    "never put a key into a URL, URLs end up in logs: "
                    "send it as Authorization: Bearer, and replace the one that was sent",
                )

    def _check(self, request: Request) -> None:
        given = request.headers.getlist("authorization")
        if not given:
            raise _unauthorized("send the API key as Authorization: Bearer", "")
        scheme, _, token = given[0].partition(" ")
        if len(given) > 1 or scheme.lower() != "bearer" or not self._is_api_key(token.strip()):
            raise _unauthorized("this is not the API key", ', error="invalid_token"')

    def _is_api_key(self, text: str) -> bool:
        # Digests: the time a comparison takes tells not even how long the key is.
        return hmac.compare_digest(_digest(text), self._digest)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _unauthorized(detail: str, why: str) -> HTTPException:
    return HTTPException(
        HTTPStatus.UNAUTHORIZED,
        detail,
        {"WWW-Authenticate": f'Bearer realm="keystay"{why}'},
    )
