"""
Login with a token that another service signed (JWT, RFC 7519).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from keystay_protocol.errors import InvalidParams, LoginFailed
from keystay_server.gateway.login.authenticators import Identity
from keystay_server.settings.config import Config
from keystay_server.settings.errors import ConfigError


class Jwt:
    """
    Accepts JSON Web Tokens.

    `sub` is the actor, `exp` is required; `meta` (a map) and `language` become fields of the
    session.

    Args:
        key: A shared secret (HS256), or a public key in PEM (RS256, EdDSA). The kind of key
            decides the algorithm, never the token.
        audience: The `aud` that a token must contain; None: it must have no `aud`.
        issuer: The `iss` that a token must have; None: any.

    Raises:
        ValueError: If the key is unusable or of another kind.
    """

    def __init__(
        self, key: bytes, *, audience: str | None = None, issuer: str | None = None
    ) -> None:
        self._key, self._algorithms = _read_key(key)
        self._audience = audience
        self._issuer = issuer

    @classmethod
    def from_config(cls, config: Config) -> "Jwt":
        """
        Create it from the settings `jwt_...`.

        Raises:
            ConfigError: If the file with the key cannot be used.
        """
        file = config.jwt_key_file
        try:
            return cls(
                Path(file).read_bytes(),
                audience=config.jwt_audience or None,
                issuer=config.jwt_issuer or None,
            )
        except OSError as error:
            raise ConfigError("jwt_key_file", f"{file}: {error.strerror}") from error
        except ValueError as error:
            raise ConfigError("jwt_key_file", f"{file}: {error}") from error

    async def authenticate(self, credentials: Any) -> Identity:
        match credentials:
            case str(token) | {"token": str(token)}:
                return _identity(self._claims(token))
        raise InvalidParams("credentials must be a token or a map with token, a string")

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key,
                algorithms=self._algorithms,
                audience=self._audience,
                issuer=self._issuer,
                options={"require": ["exp", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise LoginFailed("the token has expired") from None
        except (jwt.PyJWTError, ValueError):
            # The cause would only help an attacker.
            raise LoginFailed("the token is not accepted") from None
        return claims


def _identity(claims: dict[str, Any]) -> Identity:
    match claims:
        case {"meta": meta} if not isinstance(meta, dict):
            raise LoginFailed("the claim meta is not a map")
        case {"language": language} if not isinstance(language, str):
            raise LoginFailed("the claim language is not a string")
    return Identity(claims["sub"], claims.get("meta", {}), claims.get("language", "en"))


def _read_key(key: bytes) -> tuple[Any, Sequence[str]]:
    if not key.lstrip().startswith(b"-----BEGIN"):
        secret = key.strip()
        if len(secret) < 32:
            raise ValueError("a shared secret needs at least 32 bytes (RFC 7518, 3.2)")
        return secret, ["HS256"]
    match load_pem_public_key(key):
        case RSAPublicKey() as rsa:
            return rsa, ["RS256"]
        case Ed25519PublicKey() as ed25519:
            return ed25519, ["EdDSA"]
    raise ValueError("a public key must be RSA or Ed25519")
