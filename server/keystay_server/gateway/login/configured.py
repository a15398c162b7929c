"""
The ways to log in that the settings turn on.
"""

from keystay_server.gateway.login.anonymous import Anonymous
from keystay_server.gateway.login.authenticators import Authenticator
from keystay_server.settings.config import Config
from keystay_server.telemetry.counts import Counts


def configured_authenticators(config: Config, counts: Counts) -> dict[str, Authenticator]:
    """
    Return them by the name that `session.login` uses.

    Args:
        counts: Where refused tokens are counted.

    Raises:
        ConfigError: If the file with the key of JWTs cannot be used.
    """
    authenticators: dict[str, Authenticator] = {}
    if config.dev:
        authenticators["anonymous"] = Anonymous()
    if config.jwt_key_file:
        # Imported here: a server without JWT loads no cryptography.
        from keystay_server.gateway.login.jwt import Jwt

        authenticators["jwt"] = Jwt.from_config(config, counts)
    return authenticators
