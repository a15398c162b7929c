"""
THE TABLE OF PAGES: the paths of the dashboard beside those of the API.
"""

import time

from starlette.routing import Route

from keystay_server.control.auth.wrong_keys import WrongKeys
from keystay_server.control.dashboard.cookie import Cookies
from keystay_server.control.dashboard.endpoints import DashboardEndpoints
from keystay_server.control.dashboard.ticket import Keyring, Tickets
from keystay_server.control.http.files import Assets


def make_tickets(keyring: Keyring) -> Tickets:
    """Make the tickets of these keys, with the clock of this machine."""
    return Tickets(keyring, time.time)


def make_pages(tickets: Tickets, cookies: Cookies, wrong_keys: WrongKeys) -> list[Route]:
    """Make the routes. They need no API key."""
    handlers = DashboardEndpoints(tickets, cookies, wrong_keys)
    return [
        Route("/", handlers.home, methods=["GET"]),
        Route("/login", handlers.login, methods=["POST"]),
        Route("/login", handlers.to_home, methods=["GET"]),
        Route("/logout", handlers.logout, methods=["POST"]),
        Route("/assets/{name}", Assets(__package__).serve, methods=["GET"]),
    ]
