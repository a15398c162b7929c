"""
Asks a server's control plane, with nothing but the standard library.
"""

import json
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import (
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    HTTPSConnection,
    RemoteDisconnected,
)
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from keystay_server.control.auth.api_key import FILE_NAME, VARIABLE, read_api_key
from keystay_server.settings.errors import ConfigError
from keystay_server.settings.masking import without_secrets

DEFAULT_URL = "http://127.0.0.1:8331"
URL_VARIABLE = "KEYSTAY_CONTROL"
ANSWER_S = 30.0

# OpenSSL's X509_V_ERR_...: signed by itself, or by nobody that is known here.
_UNKNOWN_AUTHORITY = frozenset({18, 19, 20, 21})


class Refused(Exception):
    """The server refused, or could not be asked. The text is one line, for the operator."""


class Unreachable(Refused):
    """It could not be asked, or not now: it may be worth another attempt."""


class ControlClient:
    """
    One server's control plane.

    No proxy is used, whatever the environment says: the API key is for the
    server alone.

    Raises:
        ConfigError: If the URL is none.
    """

    def __init__(self, url: str, api_key: str) -> None:
        self._url = without_secrets(url)
        self._parts = _split(url)
        self._api_key = api_key

    @classmethod
    def from_environment(
        cls, url: str | None, environment: Mapping[str, str] = os.environ
    ) -> "ControlClient":
        """
        Take the server's URL, if none is given, and the API key from where they are kept.

        Raises:
            ConfigError: If there is no API key, or the URL is none.
        """
        api_key = read_api_key(Path(), environment)
        if api_key is None:
            raise ConfigError(
                VARIABLE, f"is not set, and there is no {FILE_NAME} in this directory"
            )
        try:
            return cls(url or environment.get(URL_VARIABLE) or DEFAULT_URL, api_key)
        except ConfigError as error:
            error.source = "--control" if url else URL_VARIABLE
            raise

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """
        Send a request; return the document of the answer, None if it has none.

        Raises:
            Refused: If there is no answer, or it is a refusal.
        """
        try:
            status, text = self._exchange(method, path, body)
            document = json.loads(text) if text else None
        except OSError as error:
            raise Unreachable(f"{self._url} cannot be reached: {_why(error)}") from error
        except (HTTPException, ValueError) as error:
            raise Refused(f"{self._url} is not the control plane of a server") from error
        if status >= 300:  # It never redirects.
            raise Refused(_reason(status, document))
        return document

    @contextmanager
    def stream(
        self, path: str, headers: Mapping[str, str], silence_s: float
    ) -> Iterator[HTTPResponse]:
        """
        Get what goes on for as long as the server likes, to be read line by line.

        Args:
            silence_s: How long nothing may come before a read raises `TimeoutError`.

        Raises:
            Unreachable: If the server cannot be asked, or not now.
            Refused: If it refuses.
        """
        connection = self._connection(silence_s)
        try:
            try:
                sent = {"Authorization": f"Bearer {self._api_key}", **headers}
                connection.request("GET", self._parts.path.rstrip("/") + path, None, sent)
                answer = connection.getresponse()
            except (OSError, HTTPException) as error:
                raise Unreachable(f"{self._url} cannot be reached: {_why(error)}") from error
            if answer.status >= 300:
                raise _refusal(answer)
            yield answer
        finally:
            connection.close()

    def _connection(self, timeout_s: float) -> HTTPConnection:
        connection_type = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        return connection_type(str(self._parts.hostname), self._parts.port, timeout=timeout_s)

    def _exchange(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> tuple[int, bytes]:
        connection = self._connection(ANSWER_S)
        try:
            connection.request(
                method,
                self._parts.path.rstrip("/") + path,
                None if body is None else json.dumps(body),
                {
                    "Authorization": f"Bearer {self._api_key}",
                    "Content-Type": "application/json",
                },
            )
            answer: HTTPResponse = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def quoted(text: str) -> str:
    """The text as a part of a path, or a value in a query."""
    return quote(text, safe="", errors="surrogateescape")


def _refusal(answer: HTTPResponse) -> Refused:
    try:
        reason = _reason(answer.status, json.loads(answer.read()))
    except (OSError, HTTPException, ValueError):
        reason = _reason(answer.status, None)
    # 429 and what the server could not help: it may be better soon.
    is_passing = answer.status == 429 or answer.status >= 500
    return Unreachable(reason) if is_passing else Refused(reason)


def _split(url: str) -> SplitResult:
    # HOST:PORT will do: so it stands in the server's own setting.
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        is_url = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # the port is no number
        is_url = False
    if not is_url:
        raise ConfigError("control", f"{without_secrets(url)!r} is not http://HOST:PORT")
    return parts


def _why(error: OSError | HTTPException) -> str:
    match error:
        case ssl.SSLCertVerificationError(verify_message=str(message), verify_code=code):
            said = f"its certificate is not trusted: {message.rstrip('.')}"
            if code in _UNKNOWN_AUTHORITY:
                said += "; name a file with an authority of your own in SSL_CERT_FILE"
            return said
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER"):
            return "it does not speak TLS: is it http://?"
        case RemoteDisconnected():
            return "it hung up without an answer: is it https://?"
        case OSError(strerror=str(message)):
            return message
    return str(error)


def _reason(status: int, problem: Any) -> str:
    match problem:
        case {"detail": str(detail)}:
            return detail
        case {"title": str(title)}:
            return title
    return f"the server answered {status}"
