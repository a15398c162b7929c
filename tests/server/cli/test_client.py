"""
`admin/client.py`: whom the command line asks, and with which key.
"""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keystay_server.cli.client import ControlClient, Refused
from keystay_server.settings.errors import ConfigError
from tests.support.certificate import make_certificate
from tests.support.server.shell import keystay
from tests.support.server_process import serving


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A service that says this to its first client, whatever it is asked; its URL."""
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


@pytest.mark.parametrize(
    "url",
    ["ftp://host:1", "http://", "http://host:port", "http://host:99999", "http://host:0", ":1"],
)
def test_a_url_is_checked(url: str) -> None:
    """What is no URL of a control plane is refused before anything is sent."""
    with pytest.raises(ConfigError, match=r"^control: .* is not http://HOST:PORT$"):
        ControlClient(url, "key")


@pytest.mark.parametrize("url", ["127.0.0.1:1", "http://127.0.0.1:1/", "http://127.0.0.1:1/x"])
def test_a_server_that_is_not_there_is_named(url: str) -> None:
    """A server that cannot be reached is named, with the system's word for why."""
    with pytest.raises(Refused, match=f"^{url} cannot be reached: Connection refused$"):
        ControlClient(url, "key").ask("GET", "/livez")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 9\r\n\r\nwebsocket",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
    ],
)
def test_another_service_is_not_taken_for_a_server(answer: bytes) -> None:
    """Whatever answers but does not speak as a control plane does is told apart."""
    with (
        answering(answer) as url,
        pytest.raises(Refused, match="is not the control plane of a server"),
    ):
        ControlClient(url, "key").ask("GET", "/livez")


def test_a_redirect_is_not_followed() -> None:
    """The API key goes to the server that was named, and nowhere else."""
    redirect = b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n"
    with answering(redirect) as url, pytest.raises(Refused, match="the server answered 302"):
        ControlClient(url, "key").ask("GET", "/livez")


def test_a_url_that_is_wrong_says_where_it_was_set() -> None:
    """`--control` or the variable; a password in it is not shown."""
    environment = {"KEYSTAY_CONTROL": "ftp://me:hunter2@host:1", "KEYSTAY_API_KEY": "key"}
    for url, source in (("ftp://host:1", "--control"), (None, "KEYSTAY_CONTROL")):
        with pytest.raises(ConfigError, match=f"HOST:PORT, in {source}$") as caught:
            ControlClient.from_environment(url, environment)
        assert "hunter2" not in str(caught.value)


async def test_the_wrong_scheme_is_told(tmp_path: Path) -> None:
    """A server with TLS that is asked without, and the reverse, are told apart from none."""
    certificate, key = make_certificate(tmp_path)
    tls = ("--control-tls-cert", str(certificate), "--control-tls-key", str(key))
    async with serving(*tls) as server:
        address = server.control.removeprefix("https://")
        whys = {
            f"https://{address}": "its certificate is not trusted: self-signed certificate; "
            "name a file with an authority of your own in SSL_CERT_FILE",
            f"http://{address}": "it hung up without an answer: is it https://?",
            address: "it hung up without an answer: is it https://?",
        }
        for url, why in whys.items():
            assert await refusal(url) == f"{url} cannot be reached: {why}"
    async with serving() as server:
        url = server.control.replace("http", "https")
        why = "it does not speak TLS: is it http://?"
        assert await refusal(url) == f"{url} cannot be reached: {why}"


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


async def refusal(url: str) -> str:
    """What the command line says of the server at this address."""
    with pytest.raises(Refused) as caught:
        await asyncio.to_thread(ControlClient(url, "test-api-key").ask, "GET", "/v1/stats")
    return str(caught.value)


def test_no_key_is_a_configuration_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the variable and the file nothing is sent."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="KEYSTAY_API_KEY: is not set, and there is no"):
        ControlClient.from_environment(None, {})
