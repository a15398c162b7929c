"""
The handlers of the dashboard's own paths: page, login, logout.
"""

import asyncio
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from keystay_server.control.auth.wrong_keys import RETRY_AFTER_S, WrongKeys
from keystay_server.control.dashboard.cookie import COOKIE, Cookies
from keystay_server.control.dashboard.ticket import VALID_S, Tickets
from keystay_server.control.http.files import Page
from keystay_server.control.http.same_origin import check_same_origin
from keystay_server.control.schema.body import read_bytes

HOME = "./"
"""Relative: a proxy may serve the dashboard below a path."""
FORM_S = 10.0

_WRONG = "That is not an API key of this server."
_TOO_MANY = "Too many wrong keys from your address. Wait a moment, then try again."


class DashboardEndpoints:
    """The handlers. They need no API key: without a valid cookie there is the login page."""

    def __init__(self, tickets: Tickets, cookies: Cookies, wrong_keys: WrongKeys) -> None:
        self._tickets = tickets
        self._cookies = cookies
        self._wrong_keys = wrong_keys
        self._dashboard = Page(__package__, "dashboard.html")
        self._login = Page(__package__, "login.html")

    async def home(self, request: Request) -> Response:
        """`GET /`: the dashboard, or the login page."""
        ticket = self._cookies.ticket_of(request)
        if ticket is None:
            return self._login_page(request)
        return self._dashboard.render(
            token=self._tickets.token_of(ticket),
            key=self._tickets.name_of(ticket) or "",
        )

    async def login(self, request: Request) -> Response:
        """`POST /login`: a form with the API key; sets the cookie, or shows the page again."""
        try:
            check_same_origin(request)
        except HTTPException:
            return self._login_page(request, HTTPStatus.FORBIDDEN, _why_foreign(request))
        ticket = self._tickets.issue(await _key_in(request))
        if ticket is None:
            return self._wrong_key(request)
        answer = RedirectResponse(HOME, HTTPStatus.SEE_OTHER)
        self._set_cookie(request, answer, ticket, VALID_S)
        return answer

    async def to_home(self, _: Request) -> Response:
        """`GET /login`: for a browser that reloads after a wrong key."""
        return RedirectResponse(HOME, HTTPStatus.SEE_OTHER)

    async def logout(self, request: Request) -> Response:
        """`POST /logout`: delete the cookie."""
        if self._cookies.key_name_of(request) is None:
            check_same_origin(request)
        answer = Response(status_code=HTTPStatus.NO_CONTENT)
        self._set_cookie(request, answer, "", 0)
        return answer

    def _wrong_key(self, request: Request) -> Response:
        address = request.client.host if request.client else ""
        if self._wrong_keys.record(address):
            return self._login_page(request, HTTPStatus.FORBIDDEN, _WRONG)
        answer = self._login_page(request, HTTPStatus.TOO_MANY_REQUESTS, _TOO_MANY)
        answer.headers["Retry-After"] = str(RETRY_AFTER_S)
        return answer

    def _login_page(
        self, request: Request, status: HTTPStatus = HTTPStatus.OK, error: str = ""
    ) -> Response:
        # Browsers do not send a strict cookie after a link on another site: the page then
        # reloads itself once, with the cookie.
        site = request.headers.get("sec-fetch-site", "")
        is_crossing = site in ("cross-site", "same-site") and request.method == "GET"
        return self._login.render(status, error=error, crossing="yes" if is_crossing else "no")

    def _set_cookie(self, request: Request, answer: Response, value: str, valid_s: int) -> None:
        # Behind a proxy that terminates TLS, a header has the scheme of the browser.
        origin, forwarded = (
            request.headers.get(name, "") for name in ("origin", "x-forwarded-proto")
        )
        schemes = (request.url.scheme, origin.partition(":")[0], forwarded)
        answer.set_cookie(
            COOKIE,
            value,
            max_age=valid_s,
            path=None,  # That of the page, so that other applications do not get it.
            secure="https" in schemes,
            httponly=True,
            samesite="strict",
        )


def _why_foreign(request: Request) -> str:
    """Why the form is refused, for people who set up a proxy."""
    origin, host = (request.headers.get(name, "nothing") for name in ("origin", "host"))
    return (
        f"The form comes from {origin}, and the request is for {host}. "
        "A proxy must pass on the header Host."
    )


async def _key_in(request: Request) -> str:
    """Return the key in the form; empty if there is none, or the body is no form."""
    try:
        async with asyncio.timeout(FORM_S):
            form = await read_bytes(request)
        fields = parse_qs(form.decode("ascii"), max_num_fields=4)
    except (TimeoutError, ValueError):
        return ""
    return fields.get("key", [""])[0].strip()
