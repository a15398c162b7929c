"""
Refuses requests without exactly one valid `Host` (RFC 9112, section 3.2).
"""

import re
from http import HTTPStatus

from starlette.types import ASGIApp, Receive, Scope, Send

from keystay_server.control.http.problems import problem_response

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(:[0-9]{1,5})?")


class OneHost:
    """
    ASGI middleware.

    The demo trusts `Host`; a proxy in front may have checked another one than the last.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI request."""
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        is_optional = scope["http_version"] == "1.0" and not hosts
        if not is_optional and (len(hosts) != 1 or not _HOST.fullmatch(hosts[0])):
            refusal = problem_response(
                HTTPStatus.BAD_REQUEST, "a request must have one valid Host header", {}
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)
