"""
Authentication by API key, as a bearer token (RFC 6750).
"""

import hmac

from starlette.requests import Request

from keystay_server.control.auth.key_ring import KeyRing
from keystay_server.control.auth.rights import Principal, unauthorized
from keystay_server.control.auth.wrong_keys import WrongKeys, too_many_wrong_keys


class BearerAuthenticator:
    """
    Authenticates requests by their API key.

    Wrong keys are limited after the comparison: a right key is always accepted.
    """

    def __init__(self, keys: KeyRing, wrong_keys: WrongKeys) -> None:
        self._keys = keys
        self._wrong_keys = wrong_keys

    def principal(self, request: Request) -> Principal | None:
        """Return the principal of the header `Authorization`; None without that header."""
        given = request.headers.getlist("authorization")
        if not given:
            return None
        scheme, _, token = given[0].partition(" ")
        if len(given) > 1 or scheme.lower() != "bearer":
            raise unauthorized("this is not an API key", ', error="invalid_token"')
        return self.principal_of_key(
            token.strip(), request.client.host if request.client else ""
        )

    def principal_of_key(self, token: str, address: str) -> Principal:
        """
        Return the principal of an API key.

        Raises:
            Problem: If it is unknown: 401, or 429 after many from the address.
        """
        key = self._keys.find(token)
        if key is not None:
            seed = hmac.digest(token.encode(), b"keystay seed v1", "sha256")
            return Principal(key.name, key.rights, seed)
        if self._wrong_keys.record(address):
            raise unauthorized("this is not the API key", ', error="invalid_token"')
        raise too_many_wrong_keys()
