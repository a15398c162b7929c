"""
The certificate of a listening socket, exchanged while the socket is open.

A listening socket keeps the context that it was opened with. That context only delegates:
each new connection uses the context that was loaded last; older ones keep theirs.
"""

import hashlib
import ssl
from pathlib import Path

from keystay_server.settings.errors import ConfigError


class Certificate:
    """
    A certificate chain and its private key.

    Args:
        settings: The beginning of the settings with the files: `..._cert` and `..._key`.

    Raises:
        ConfigError: If the files cannot be used.
    """

    def __init__(self, settings: str, cert: str, key: str) -> None:
        self._settings = settings
        self._cert, self._key = Path(cert), Path(key)
        self._digest = b""
        self._delegating = _DelegatingContext(ssl.PROTOCOL_TLS_SERVER)
        self.reload()

    @property
    def context(self) -> ssl.SSLContext:
        """The context for a listening socket."""
        return self._delegating

    def reload(self) -> str | None:
        """
        Read both files again, for new connections; return what changed, for the log.

        Raises:
            ConfigError: If they cannot be used. The present certificate stays in use.
        """
        try:
            both = self._cert.read_bytes() + self._key.read_bytes()
            digest = hashlib.sha256(both).digest()
            if digest == self._digest:
                return None  # TLS sessions can go on being resumed.
            # Into a fresh context: one in use could be left with half a pair, and it keeps the
            # old certificate beside one of another key type.
            self._delegating.current = self._loaded()
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
        # OpenSSL would ask for it on the terminal and block the server.
        raise ConfigError(
            f"{self._settings}_key", "is encrypted; there is no way to decrypt it"
        )


class _DelegatingContext(ssl.SSLContext):
    """
    Delegates each connection to the current context.

    The server name callback could do so too, but it is not called when a client resumes a
    TLS session: the old certificate would stay in use as long as its tickets are valid.
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
        """Called by the event loop with each accepted connection."""
        return self.current.wrap_bio(incoming, outgoing, server_side, server_hostname, session)
