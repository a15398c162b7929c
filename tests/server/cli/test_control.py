"""
`cli/control.py`: which server is called, with which key, and what its failures look like.
"""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keystay_server.cli.control import location
from keystay_server.settings.errors import ConfigError
from tests.support.certificate import make_certificate
from tests.support.server.shell import keystay
from tests.support.server_process import serving


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A service that sends this to its first client; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(10)


KEY = {"KEYSTAY_API_KEY": "key"}


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://host:1", "http://", "http://host:port", "http://host:99999", "http://host:0"),
        *(":1", "http://me:hunter2@host:1", "http://host:1/?a=b"),
    ],
)
def test_a_url_is_checked(url: str) -> None:
    """An invalid URL is refused before anything is sent, and its password not shown."""
    with pytest.raises(ConfigError, match=r"^control: .* is not http://HOST:PORT") as caught:
        location(url, KEY)
    assert "hunter2" not in str(caught.value)


def test_a_wrong_url_names_its_source() -> None:
    """`--control` or the variable."""
    environment = {**KEY, "KEYSTAY_CONTROL": "ftp://host:1"}
    for url, source in (("ftp://host:1", "--control"), (None, "KEYSTAY_CONTROL")):
        with pytest.raises(ConfigError, match=f"HOST:PORT, in {source}$"):
            location(url, environment)


@pytest.mark.parametrize("url", ["127.0.0.1:1", "http://127.0.0.1:1/", "http://127.0.0.1:1/x"])
def test_a_server_out_of_reach_is_named(url: str) -> None:
    """The error has the URL, and the reason of the network."""
    full = url if url.startswith("http") else f"http://{url}"
    expected = f"{full.rstrip('/')} cannot be reached: Connection refused"
    assert refusal(url) == expected


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 9\r\n\r\nwebsocket",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
        b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_another_service_is_not_taken_for_a_server(answer: bytes) -> None:
    """Redirects are not followed either: the API key is for the server alone."""
    with answering(answer) as url:
        assert refusal(url) == f"{url} is not the control port of a Keystay server"


async def test_a_wrong_scheme_is_reported(tmp_path: Path) -> None:
    """TLS on one side only is named as the probable reason."""
    certificate, key = make_certificate(tmp_path)
    tls = ("--control-tls-cert", str(certificate), "--control-tls-key", str(key))
    async with serving(*tls) as server:
        address = server.control.removeprefix("https://")
        assert refusal(f"https://{address}") == (
            f"https://{address} cannot be reached: its certificate is not trusted: self-signed "
            "certificate; name a file with an authority of your own in SSL_CERT_FILE"
        )
        for url in (f"http://{address}", address):
            assert refusal(url) == (
                f"the connection to http://{address} broke: "
                "the server closed it without an answer: is it https://?"
            )
    async with serving() as server:
        url = server.control.replace("http", "https")
        assert refusal(url) == f"{url} cannot be reached: it does not use TLS: is it http://?"


async def test_an_authority_of_ones_own_is_trusted(tmp_path: Path) -> None:
    """`SSL_CERT_FILE` names it, and the server still has to be whom its certificate names."""
    certificate, key = make_certificate(tmp_path)
    tls = ("--control-tls-cert", str(certificate), "--control-tls-key", str(key))
    async with serving(*tls) as server:
        env = {"KEYSTAY_API_KEY": "test-api-key", "SSL_CERT_FILE": str(certificate)}
        named = server.control.replace("127.0.0.1", "localhost")
        done = [
            await asyncio.to_thread(
                keystay, "session", "list", "alice", "--control", url, env=env
            )
            for url in (named, server.control)
        ]
    assert [each.returncode for each in done] == [0, 1]
    assert "its certificate is not trusted: IP address mismatch" in done[1].stderr
    assert "SSL_CERT_FILE" not in done[1].stderr


def refusal(url: str) -> str:
    """What the command line prints for the server at this URL."""
    done = keystay("stats", "--control", url, env={"KEYSTAY_API_KEY": "test-api-key"})
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr.removeprefix("keystay: ").rstrip("\n")


def test_no_key_is_a_configuration_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the variable and the file nothing is sent."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="KEYSTAY_API_KEY: is not set, and there is no"):
        location(None, {})
