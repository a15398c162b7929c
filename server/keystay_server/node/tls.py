"""
The certificate of a listening socket, exchanged while the socket is open.

A listening socket keeps the context that it was opened with. That context only delegates:
each new connection uses the context that was loaded last; older ones keep theirs.
"""

import errno
import hashlib
import os
import ssl
from pathlib import Path
from typing import Protocol

from keystay_server.settings.errors import ConfigError

_HTTP_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 46\r\n\r\nthis port speaks TLS: use wss:// or https://\r\n"
)


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
        self._delegating = TlsContext(ssl.PROTOCOL_TLS_SERVER)
        self.reload()

    @property
    def context(self) -> "TlsContext":
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

    def _loaded(self) -> "_LoadedContext":
        context = _LoadedContext(ssl.PROTOCOL_TLS_SERVER)
        context.delegating = self._delegating
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._cert, self._key, self._password)
        return context

    def _password(self) -> str:
        # OpenSSL would ask for it on the terminal and block the server.
        raise ConfigError(
            f"{self._settings}_key", "is encrypted; there is no way to decrypt it"
        )


class TlsObserver(Protocol):
    """The port that a context is for."""

    def admits(self) -> bool:
        """Return whether one more connection may begin its TLS handshake."""

    def tls_failed(self, reason: str) -> bool:
        """
        Note that a TLS handshake failed; `reason` is OpenSSL's, such as `HTTP_REQUEST`.

        Returns:
            Whether the client is to be answered in HTTP, without TLS.
        """


class TlsContext(ssl.SSLContext):
    """
    Delegates each connection to the current context.

    The server name callback could do so too, but it is not called when a client resumes a
    TLS session: the old certificate would stay in use as long as its tickets are valid.
    """

    current: "_LoadedContext"
    observer: TlsObserver | None = None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """
        Called by the event loop with each accepted connection.

        Raises:
            OSError: If the connection is not admitted: the loop drops it.
        """
        if self.observer is not None and not self.observer.admits():
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        tls = self.current.wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        assert isinstance(tls, _Tls)
        tls.outgoing = outgoing
        return tls


class _Tls(ssl.SSLObject):
    """TLS of one connection. A client that speaks HTTP without TLS can be answered in HTTP."""

    outgoing: ssl.MemoryBIO
    _failure: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            context = self.context
            assert isinstance(context, _LoadedContext)
            observer = context.delegating.observer
            if observer is None or not observer.tls_failed(error.reason or "unknown"):
                raise
            # The loop sends what there is and asks again when the client sends more or closes.
            self._failure = error
            self.outgoing.write(_HTTP_ANSWER)
            raise ssl.SSLWantReadError from error


class _LoadedContext(ssl.SSLContext):
    """A context with a certificate."""

    sslobject_class = _Tls
    delegating: TlsContext
