"""
Who asks, and what they may do.

Another way to say who asks than an API key, such as a cookie, is one more
`Authenticator`: the operations see a `Principal` and nothing else.
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
"""They are read before it is known who asks. The feed takes a hundred actors."""

# What people call a key when they put it where it does not belong.
_KEY_PARAMETERS = frozenset(
    {"key", "api_key", "apikey", "api-key", "access_token", "token", "authorization"}
)
_PRINCIPAL, _WAY = "keystay.principal", "keystay.way"


class Right(StrEnum):
    """What a key may do: the scopes of the API."""

    READ = "read"
    """See sessions, actors, the feed, and how the nodes are."""
    SESSIONS = "sessions"
    """Open, change, reassign and end sessions."""
    EVENTS = "events"
    """Say something to clients."""
    ADMIN = "admin"
    """All of these, and whatever else there is."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. The name may be logged."""

    name: str
    rights: frozenset[Right]
    seed: bytes | None = field(default=None, repr=False)
    """What keys of sessions are derived from if a request may come twice; else it may not."""

    def may(self, right: Right) -> bool:
        """Tell whether they have this right."""
        return right in self.rights or Right.ADMIN in self.rights


class Authenticator(Protocol):
    """One way to tell who asks."""

    def principal(self, request: Request) -> Principal | None:
        """
        Tell who asks; None if the request says nothing of this kind.

        Raises:
            HTTPException: If what it says is wrong.
        """


class Authentication:
    """Passes on the requests of which it is known who asks, and refuses all others."""

    def __init__(self, app: ASGIApp, ways: Sequence[Authenticator]) -> None:
        self._app = app
        self._ways = ways

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI has it."""
        request = Request(scope)
        query = _query(request)
        # By its looks alone: what is good here is not for everybody to find out.
        if any(_looks_like_key(name, value) for name, value in query):
            raise _key_in_url()
        for way in self._ways:
            principal = way.principal(request)
            if principal is not None:
                if _token(request) in (value for _, value in query if value):
                    raise _key_in_url()
                await self._app({**scope, _PRINCIPAL: principal, _WAY: way}, receive, send)
                return
        raise unauthorized("send the API key as Authorization: Bearer", "")


def _query(request: Request) -> list[tuple[str, str]]:
    # Counted before they are taken apart, which costs more.
    if request.scope["query_string"].count(b"&") >= MAX_QUERY_PARAMETERS:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"there are more than {MAX_QUERY_PARAMETERS} query parameters",
        )
    return request.query_params.multi_items()


def _looks_like_key(name: str, value: str) -> bool:
    return name.lower() in _KEY_PARAMETERS or value.startswith(PREFIX) or SECRET_PREFIX in value


def _token(request: Request) -> str:
    return request.headers.get("authorization", "").partition(" ")[2].strip()


def _key_in_url() -> Problem:
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "never put a key into a URL, URLs end up in logs: "
        "send it as Authorization: Bearer, and replace the one that was sent",
    )


def principal_of(request: Request) -> Principal:
    """Who asks; known below `Authentication`."""
    principal: Principal = request.scope[_PRINCIPAL]
    return principal


def may_still(request: Request, right: Right) -> bool:
    """Tell whether who asks would be let in now too: for an answer that goes on."""
    way: Authenticator = request.scope[_WAY]
    try:
        principal = way.principal(request)
    except HTTPException:
        return False
    return principal is not None and principal.may(right)


def require(request: Request, right: Right) -> None:
    """
    Pass if who asks has this right.

    Raises:
        Problem: If not; it names the right.
    """
    if not principal_of(request).may(right):
        why = f'Bearer realm="keystay", error="insufficient_scope", scope="{right}"'
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"this needs the scope {right}, which the key has not",
            {"WWW-Authenticate": why},
            code="insufficientScope",
        )


def unauthorized(detail: str, why: str) -> Problem:
    """The answer to a request of nobody knows whom."""
    headers = {"WWW-Authenticate": f'Bearer realm="keystay"{why}'}
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers)
