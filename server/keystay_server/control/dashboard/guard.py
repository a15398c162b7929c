"""
When a request from a browser counts: it comes from our own page, and says so.

A browser adds the cookie to requests that any page makes. What another site's
page cannot do is to read our token, to add a header of its own without asking
(which nothing here ever allows), and to lie about where it is from.
"""

import hmac
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request

from keystay_server.control.dashboard.ticket import Tickets
from keystay_server.control.http.same_origin import check_is_from_our_page

COOKIE = "keystay_dashboard"
TOKEN_HEADER = "X-Keystay-Csrf"  # noqa: S105  # the name of a header


def ticket_of(request: Request, tickets: Tickets) -> str | None:
    """The good ticket that the request has, if it has one."""
    ticket = request.cookies.get(COOKIE, "")
    return ticket if tickets.name_of(ticket) is not None else None


def visitor(request: Request, tickets: Tickets) -> str | None:
    """
    Tell with which key the sender of the request has logged in; None for nobody.

    Raises:
        HTTPException: If somebody has, and the request is not from our page.
    """
    ticket = ticket_of(request, tickets)
    if ticket is None:
        return None
    check_is_from_our_page(request)
    token = request.headers.get(TOKEN_HEADER, "")
    if not hmac.compare_digest(token.encode(), tickets.token_of(ticket).encode()):
        raise HTTPException(
            HTTPStatus.FORBIDDEN, f"the cookie counts with the page's {TOKEN_HEADER} only"
        )
    return tickets.name_of(ticket)
