"""
Principals and their scopes.

An `Authenticator` turns a request into a `Principal`, by API key or by cookie; handlers
see nothing but the principal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from keystay_protocol.session import SECRET_PREFIX
from keystay_server.control.auth.api_key import PREFIX
from keystay_server.control.http.problems import Problem

MAX_QUERY_PARAMETERS = 128
"""They are parsed before authentication. The feed accepts 100 actors."""

# Names under which people put a key into a URL.
_KEY_PARAMETERS = frozenset(
    {"key", "api_key", "apikey", "api-key", "access_token", "token", "authorization"}
)
_PRINCIPAL, _AUTHENTICATOR = "keystay.principal", "keystay.authenticator"


class Right(StrEnum):
    """The scopes of API keys."""

    READ = "read"
    """Read sessions, connections, the feed and statistics."""
    SESSIONS = "sessions"
    """Create, update, reassign and revoke sessions."""
    EVENTS = "events"
    """Emit events and broadcast."""
    ADMIN = "admin"
    """Everything."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The sender of a request. The name may be logged."""

    name: str
    rights: frozenset[Right]
    seed: bytes | None = field(default=None, repr=False)
    """Session keys of idempotent requests are derived from it. None: none are accepted."""

    def may(self, right: Right) -> bool:
        """Tell whether the principal has this scope."""
        return right in self.rights or Right.ADMIN in self.rights


class Authenticator(Protocol):
    """One way to authenticate a request."""

    def principal(self, request: Request) -> Principal | None:
        """
        Return the principal; None if the request has no credentials of this kind.

        Raises:
            HTTPException: If its credentials are invalid.
        """


class Authentication:
    """ASGI middleware: passes on authenticated requests, and refuses all others."""

    def __init__(self, app: ASGIApp, authenticators: Sequence[Authenticator]) -> None:
        self._app = app
        self._authenticators = authenticators

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI request."""
        request = Request(scope)
        query = _query(request)
        # By its form alone: the response must not reveal whether a key is valid.
        if any(_is_like_key(name, value) for name, value in query):
            raise _key_in_url()
        for authenticator in self._authenticators:
            principal = authenticator.principal(request)
            if principal is not None:
                if _token(request) in (value for _, value in query if value):
                    raise _key_in_url()
                await self._app(
                    {**scope, _PRINCIPAL: principal, _AUTHENTICATOR: authenticator},
                    receive,
                    send,
                )
                return
        raise unauthorized("send the API key as Authorization: Bearer", "")


def _query(request: Request) -> list[tuple[str, str]]:
    # Counted before they are parsed, which costs more.
    if request.scope["query_string"].count(b"&") >= MAX_QUERY_PARAMETERS:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"there are more than {MAX_QUERY_PARAMETERS} query parameters",
        )
    return request.query_params.multi_items()


def _is_like_key(name: str, value: str) -> bool:
    return name.lower() in _KEY_PARAMETERS or value.startswith(PREFIX) or SECRET_PREFIX in value


def _token(request: Request) -> str:
    return request.headers.get("authorization", "").partition(" ")[2].strip()


def _key_in_url() -> Problem:
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "never put a key into a URL, URLs end up in logs: "
        "send it as Authorization: Bearer, and replace this key",
    )


def principal_of(request: Request) -> Principal:
    """Return the principal of a request that passed `Authentication`."""
    principal: Principal = request.scope[_PRINCIPAL]
    return principal


def may_still(request: Request, right: Right) -> bool:
    """Tell whether the request would still be authorized: for long responses."""
    authenticator: Authenticator = request.scope[_AUTHENTICATOR]
    try:
        principal = authenticator.principal(request)
    except HTTPException:
        return False
    return principal is not None and principal.may(right)


def require(request: Request, right: Right) -> None:
    """
    Return if the principal has this scope.

    Raises:
        Problem: If not; it names the scope.
    """
    if not principal_of(request).may(right):
        why = f'Bearer realm="keystay", error="insufficient_scope", scope="{right}"'
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"this needs the scope {right}, which the key does not have",
            {"WWW-Authenticate": why},
            code="insufficientScope",
        )


def unauthorized(detail: str, challenge: str) -> Problem:
    """Return the response to an unauthenticated request."""
    headers = {"WWW-Authenticate": f'Bearer realm="keystay"{challenge}'}
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers)
