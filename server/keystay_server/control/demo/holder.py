"""
Who may play the backend: whoever holds a session may act on what belongs to its actor.

Here there is no API key and no cookie, so that nothing is gained by having a browser
send a request along; what is left to refuse is another site's page, also one whose
name leads to this machine.
"""

from http import HTTPStatus
from urllib.parse import unquote, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from keystay_protocol.errors import InvalidSessionKey
from keystay_server.control.auth.rights import Principal
from keystay_server.control.http.same_origin import check_is_from_our_page
from keystay_server.control.schema.body import from_path
from keystay_server.control.schema.operation import Answer
from keystay_server.sessions.keys import actor_of
from keystay_server.sessions.service import Sessions
from keystay_server.settings.addresses import is_loopback

KEY_HEADER = "X-Keystay-Session"
"""The key of the session that the page holds, percent-encoded: headers are ASCII."""


class OurPage:
    """Lets in requests of the demo's page. It has no rights: it is asked what it holds."""

    def principal(self, request: Request) -> Principal | None:
        """
        Return who asks.

        Raises:
            HTTPException: If it is not our page on this machine.
        """
        check_is_on_this_machine(request)
        check_is_from_our_page(request)
        return Principal("demo", frozenset())


def check_is_on_this_machine(request: Request) -> None:
    """
    Return if the browser was led here by a name of this machine.

    Raises:
        HTTPException: If by another: it may be that of somebody else's page.
    """
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:
        host = None
    if not is_loopback(host):
        raise HTTPException(HTTPStatus.FORBIDDEN, "the demo is at localhost only")


def for_holder(answer: Answer, sessions: Sessions) -> Answer:
    """
    Answer those who hold a session of the actor that the path is about.

    To others it raises NoSession, SessionEnded or HTTPException.
    """

    async def answer_holder(request: Request) -> Response:
        try:
            record = await sessions.check(unquote(request.headers.get(KEY_HEADER, "")))
        except InvalidSessionKey:
            raise HTTPException(HTTPStatus.FORBIDDEN, "this takes a session") from None
        if _actor_in_path(request) != record.actor_id:
            raise HTTPException(HTTPStatus.FORBIDDEN, "this is about another actor")
        return await answer(request)

    return answer_holder


def _actor_in_path(request: Request) -> str | None:
    if "actorId" in request.path_params:
        return from_path(request, "actorId")
    return actor_of(from_path(request, "id"))
