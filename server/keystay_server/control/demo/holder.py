"""
Authorization in the demo: the holder of a session may act on the sessions of its actor.

There is no API key and no cookie, so a cross-site request gains nothing. Pages of other hosts
are refused, also those whose name resolves to this machine (DNS rebinding).
"""

from http import HTTPStatus
from urllib.parse import unquote, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from keystay_protocol.errors import InvalidSessionKey
from keystay_server.control.auth.rights import Principal
from keystay_server.control.http.same_origin import check_same_origin
from keystay_server.control.schema.body import path_parameter
from keystay_server.control.schema.operation import Handler
from keystay_server.sessions.keys import actor_of
from keystay_server.sessions.service import Sessions
from keystay_server.settings.addresses import is_loopback

KEY_HEADER = "X-Keystay-Session"
"""The session key of the page, percent-encoded: headers are ASCII."""


class DemoAuthenticator:
    """Accepts requests of the demo page. Its principal has no scopes."""

    def principal(self, request: Request) -> Principal | None:
        """
        Return the principal.

        Raises:
            HTTPException: If the request is not from the demo page on this machine.
        """
        check_loopback_host(request)
        check_same_origin(request)
        return Principal("demo", frozenset())


def check_loopback_host(request: Request) -> None:
    """
    Return if `Host` is a name of this machine.

    Raises:
        HTTPException: If it is not.
    """
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:
        host = None
    if not is_loopback(host):
        raise HTTPException(HTTPStatus.FORBIDDEN, "the demo is available at localhost only")


def require_holder(handler: Handler, sessions: Sessions) -> Handler:
    """
    Wrap a handler: the request must have the key of a session of the actor in the path.

    The wrapped handler raises NoSession, SessionEnded or HTTPException if it has not.
    """

    async def handle(request: Request) -> Response:
        try:
            record = await sessions.check(unquote(request.headers.get(KEY_HEADER, "")))
        except InvalidSessionKey:
            raise HTTPException(
                HTTPStatus.FORBIDDEN, "this needs the key of a session"
            ) from None
        if _actor_in_path(request) != record.actor_id:
            raise HTTPException(HTTPStatus.FORBIDDEN, "this session belongs to another actor")
        return await handler(request)

    return handle


def _actor_in_path(request: Request) -> str | None:
    if "actorId" in request.path_params:
        return path_parameter(request, "actorId")
    return actor_of(path_parameter(request, "id"))
