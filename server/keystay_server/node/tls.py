"""
The certificate that a door shows, exchanged while the door is open.

A listening socket keeps the context that it was opened with. So that one only hands over: each
new connection belongs to the context that was loaded last, and those before stay with theirs.
"""

import hashlib
import ssl
from pathlib import Path

from keystay_server.settings.errors import ConfigError


class Certificate:
    """
    A certificate chain and its private key.

    Args:
        settings: How the settings begin that name the files: `..._cert` and `..._key`.

    Raises:
        ConfigError: If the files cannot be used.
    """

    def __init__(self, settings: str, cert: str, key: str) -> None:
        self._settings = settings
        self._cert, self._key = Path(cert), Path(key)
        self._digest = b""
        self._door = _Door(ssl.PROTOCOL_TLS_SERVER)
        self.reload()

    @property
    def context(self) -> ssl.SSLContext:
        """What a door is opened with."""
        return self._door

    def reload(self) -> str | None:
        """
        Read both files again, for new connections; return what is new.

        Raises:
            ConfigError: If they cannot be used. What was read before stays good.
        """
        try:
            both = self._cert.read_bytes() + self._key.read_bytes()
            digest = hashlib.sha256(both).digest()
            if digest == self._digest:
                return None  # TLS sessions can go on being resumed.
            # Into a fresh context: one in use may be left with half a pair, and keeps the old
            # certificate beside one of another kind, for those who ask for that.
            self._door.current = self._loaded()
        except OSError as error:  # ssl.SSLError is one.
            raise ConfigError(
                f"{self._settings}_cert",
                f"cannot be loaded with {self._settings}_key: {error}",
            ) from error
        self._digest = digest
        return f"new connections get the new certificate of {self._settings}_cert"

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._cert, self._key, self._password)
        return context

    def _password(self) -> str:
        # OpenSSL would ask for it on the terminal, and hold up everybody meanwhile.
        raise ConfigError(
            f"{self._settings}_key", "is encrypted; there is no way to decrypt it"
        )


class _Door(ssl.SSLContext):
    """
    Hands each connection over to the current context.

    The server name callback could do so too, but a client that resumes a TLS session would go
    round it, and be shown the old certificate for as long as its ticket is good.
    """

    current: ssl.SSLContext

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """What an event loop calls with each connection that it accepted."""
        return self.current.wrap_bio(incoming, outgoing, server_side, server_hostname, session)
