"""
Who asks, told by an API key, as a bearer token (RFC 6750).
"""

import hmac
from http import HTTPStatus

from starlette.requests import Request

from keystay_server.control.auth.key_ring import KeyRing
from keystay_server.control.auth.rights import Principal, unauthorized
from keystay_server.control.auth.wrong_keys import RETRY_AFTER_S, WrongKeys
from keystay_server.control.http.problems import Problem


class Bearer:
    """
    Knows who asks by the API key that they send.

    A right key is served however many wrong ones come: those are counted after
    the comparison, and what is saved is the rest of the answer.
    """

    def __init__(self, keys: KeyRing, wrong_keys: WrongKeys) -> None:
        self._keys = keys
        self._wrong_keys = wrong_keys

    def principal(self, request: Request) -> Principal | None:
        """Tell who asks by the header `Authorization`; None if there is none."""
        given = request.headers.getlist("authorization")
        if not given:
            return None
        scheme, _, token = given[0].partition(" ")
        if len(given) > 1 or scheme.lower() != "bearer":
            raise unauthorized("this is not an API key", ', error="invalid_token"')
        return self.holder(token.strip(), request.client.host if request.client else "")

    def holder(self, token: str, address: str) -> Principal:
        """
        Tell who holds the API key.

        Raises:
            Problem: If it is none: 401, or 429 if there have been many from the address.
        """
        key = self._keys.find(token)
        if key is not None:
            seed = hmac.digest(token.encode(), b"keystay seed v1", "sha256")
            return Principal(key.name, key.rights, seed)
        if self._wrong_keys.note(address):
            raise unauthorized("this is not the API key", ', error="invalid_token"')
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too many requests with a wrong API key",
            {"Retry-After": str(RETRY_AFTER_S)},
            code="rateLimited",
            retryAfter=RETRY_AFTER_S,
        )
