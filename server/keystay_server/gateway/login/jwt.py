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
from keystay_server.gateway.login.token_refusals import Cause, TokenRefusals
from keystay_server.settings.config import Config
from keystay_server.settings.errors import ConfigError
from keystay_server.telemetry.counts import Counts

LEEWAY_S = 10.0


class WrongClaim(jwt.InvalidTokenError):
    """A claim that is Keystay's own has the wrong type."""


_CAUSES: tuple[tuple[type[Exception], Cause], ...] = (
    (jwt.ExpiredSignatureError, Cause.EXPIRED),
    (jwt.ImmatureSignatureError, Cause.NOT_YET_VALID),
    (jwt.InvalidAudienceError, Cause.AUDIENCE),
    (jwt.InvalidIssuerError, Cause.ISSUER),
    (jwt.InvalidAlgorithmError, Cause.ALGORITHM),
    (jwt.InvalidSignatureError, Cause.SIGNATURE),
    (jwt.DecodeError, Cause.MALFORMED),
    (jwt.InvalidTokenError, Cause.CLAIM),
)


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
        leeway_s: By how much the clocks of the issuer and of this server may differ: for
            `exp`, `nbf` and `iat`.
        refusals: Where it is recorded why a token was refused.

    Raises:
        ValueError: If the key is unusable or of another kind.
    """

    def __init__(
        self,
        key: bytes,
        *,
        audience: str | None = None,
        issuer: str | None = None,
        leeway_s: float = LEEWAY_S,
        refusals: TokenRefusals | None = None,
    ) -> None:
        self._key, self._algorithms = _read_key(key)
        self._audience = audience
        self._issuer = issuer
        self._leeway_s = leeway_s
        self._refusals = refusals or TokenRefusals(Counts())

    @classmethod
    def from_config(cls, config: Config, counts: Counts) -> "Jwt":
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
                leeway_s=config.jwt_leeway_s,
                refusals=TokenRefusals(counts),
            )
        except OSError as error:
            raise ConfigError("jwt_key_file", f"{file}: {error.strerror}") from error
        except ValueError as error:
            raise ConfigError("jwt_key_file", f"{file}: {error}") from error

    async def authenticate(self, credentials: Any) -> Identity:
        match credentials:
            case str(token) | {"token": str(token)}:
                try:
                    return _identity(self._claims(token))
                except (jwt.PyJWTError, ValueError) as error:
                    cause = _cause(error)
                    self._refusals.record(cause)
                    # Another cause would only help an attacker.
                    is_late = cause is Cause.EXPIRED
                    what = "has expired" if is_late else "is not accepted"
                    raise LoginFailed(f"the token {what}") from None
        raise InvalidParams("credentials must be a token or a map with token, a string")

    def _claims(self, token: str) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token,
            self._key,
            algorithms=self._algorithms,
            audience=self._audience,
            issuer=self._issuer,
            leeway=self._leeway_s,
            options={"require": ["exp", "sub"]},
        )
        return claims


def _identity(claims: dict[str, Any]) -> Identity:
    match claims:
        case {"meta": meta} if not isinstance(meta, dict):
            raise WrongClaim("meta is not a map")
        case {"language": language} if not isinstance(language, str):
            raise WrongClaim("language is not a string")
    return Identity(claims["sub"], claims.get("meta", {}), claims.get("language", "en"))


def _cause(error: Exception) -> Cause:
    match error:
        case jwt.MissingRequiredClaimError(claim="aud"):
            return Cause.AUDIENCE
        case jwt.MissingRequiredClaimError(claim="iss"):
            return Cause.ISSUER
    # The first that fits: an InvalidSignatureError is a DecodeError.
    return next((cause for kind, cause in _CAUSES if isinstance(error, kind)), Cause.MALFORMED)


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
