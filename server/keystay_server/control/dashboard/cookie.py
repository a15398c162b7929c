"""
Authentication by the cookie of the dashboard, with protection against cross-site requests.

A browser adds the cookie to requests of any page. A page of another site cannot read the CSRF
token, cannot add a header without a preflight (which is always refused), and cannot forge
`Origin` or `Sec-Fetch-Site`.
"""

import hmac
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request

from keystay_server.control.auth.key_ring import KeyRing
from keystay_server.control.auth.rights import Principal
from keystay_server.control.auth.wrong_keys import WrongKeys, too_many_wrong_keys
from keystay_server.control.dashboard.ticket import Tickets
from keystay_server.control.http.same_origin import check_same_origin

COOKIE = "keystay_dashboard"
TOKEN_HEADER = "X-Keystay-Csrf"  # noqa: S105  # the name of a header


class Cookies:
    """
    The cookies of browsers.

    Forged ones are limited, counted and logged as wrong API keys are, after the comparison: a
    right one is always accepted.
    """

    def __init__(self, tickets: Tickets, wrong_keys: WrongKeys) -> None:
        self._tickets = tickets
        self._wrong_keys = wrong_keys

    def ticket_of(self, request: Request) -> str | None:
        """
        Return the ticket of the request, if it is valid.

        Raises:
            Problem: 429 for a forged one, after many from the address.
        """
        ticket = request.cookies.get(COOKIE, "")
        if self._tickets.name_of(ticket) is not None:
            return ticket
        address = request.client.host if request.client else ""
        if ticket and self._tickets.is_forged(ticket) and not self._wrong_keys.record(address):
            raise too_many_wrong_keys()
        return None

    def key_name_of(self, request: Request) -> str | None:
        """
        Return the name of the API key of the logged-in user; None without a valid cookie.

        Raises:
            HTTPException: If the cookie is valid and the request is from another site.
            Problem: As `ticket_of` does.
        """
        ticket = self.ticket_of(request)
        if ticket is None:
            return None
        check_same_origin(request)
        token = request.headers.get(TOKEN_HEADER, "")
        if not hmac.compare_digest(token.encode(), self._tickets.token_of(ticket).encode()):
            raise HTTPException(
                HTTPStatus.FORBIDDEN, f"the cookie is accepted with a valid {TOKEN_HEADER} only"
            )
        return self._tickets.name_of(ticket)


class CookieAuthenticator:
    """Authenticates requests by the cookie. An API key in the request takes precedence."""

    def __init__(self, cookies: Cookies, keys: KeyRing) -> None:
        self._cookies = cookies
        self._keys = keys

    def principal(self, request: Request) -> Principal | None:
        """Return the principal of the key used at login; None without a valid cookie."""
        if "authorization" in request.headers:
            return None
        name = self._cookies.key_name_of(request)
        key = None if name is None else self._keys.named(name)
        return None if key is None else Principal(key.name, key.rights)
