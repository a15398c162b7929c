"""
THE TABLE OF PAGES: the dashboard's own paths, beside those of the API.
"""

import time

from starlette.routing import Route

from keystay_server.control.auth.wrong_keys import WrongKeys
from keystay_server.control.dashboard.endpoints import DashboardEndpoints
from keystay_server.control.dashboard.ticket import Keyring, Tickets
from keystay_server.control.http.files import Assets


def make_tickets(keyring: Keyring) -> Tickets:
    """Make what issues tickets for these keys, by the clock of this machine."""
    return Tickets(keyring, time.time)


def make_pages(tickets: Tickets, wrong_keys: WrongKeys) -> list[Route]:
    """Make the routes. They need no API key: who is nobody sees the log-in page."""
    answers = DashboardEndpoints(tickets, wrong_keys)
    return [
        Route("/", answers.home, methods=["GET"]),
        Route("/login", answers.login, methods=["POST"]),
        Route("/login", answers.to_home, methods=["GET"]),
        Route("/logout", answers.logout, methods=["POST"]),
        Route("/assets/{name}", Assets(__package__).answer, methods=["GET"]),
    ]
